"""The responses of the service, as its OpenAPI document describes them."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field

from rsn.geometry import Crop, FloatArray

Box = Annotated[
    tuple[float, float, float, float],
    Field(description="x, y, width, height in pixels of the upright image"),
]


class PersonResult(BaseModel, extra="forbid"):
    """One person, see `Person.to_dict`."""

    keypoints: Annotated[
        list[float],
        Field(description="x, y, score of each keypoint in one list; pixels of the upright image"),
    ]
    score: Annotated[float, Field(description="box score times mean keypoint score")]
    bbox: Box
    box_score: float
    score_type: Annotated[Literal["0 to 1"], Field(description="range of all scores")]
    std: Annotated[
        list[float],
        Field(
            default_factory=list,
            description="expected error of each keypoint in pixels; missing for weights without a calibration",
        ),
    ]


class ImageResult(BaseModel, extra="forbid"):
    """The people of one image, in the order of the given boxes; see `PoseResult.to_dict`."""

    width: Annotated[int, Field(description="of the upright image, in pixels")]
    height: int
    skeleton: str
    keypoint_names: list[str]
    limbs: Annotated[list[tuple[int, int]], Field(description="pairs of keypoint indices to connect by lines")]
    keypoint_threshold: Annotated[float, Field(description="keypoints with lower scores should not be drawn")]
    people: list[PersonResult]


class Heatmaps(BaseModel):
    """The output of the network for one box: one heatmap per keypoint."""

    model: str
    bbox: Box
    keypoint_names: list[str]
    matrix: Annotated[
        tuple[float, float, float, float, float, float],
        Field(
            description="a, b, c, d, e, f as in SVG: the center of column u, row v of a map is at x = a u + c v + e,"
            " y = b u + d v + f of the upright image"
        ),
    ]
    maps: Annotated[
        list[list[list[int]]],
        Field(description="one per keypoint, as rows of numbers; 255 is a certain keypoint, larger values occur"),
    ]

    @classmethod
    def from_maps(
        cls, model: str, crop: Crop, bbox: FloatArray, keypoint_names: list[str], maps: FloatArray
    ) -> "Heatmaps":
        """From heatmaps (K, h, w) of a crop."""
        stride = crop.size[0] / maps.shape[1]
        origin, right, down = crop.to_image(stride * np.array([[0, 0], [1, 0], [0, 1]]) + stride / 2)
        return cls(
            model=model,
            bbox=tuple(bbox.round(2).tolist()),
            keypoint_names=keypoint_names,
            matrix=tuple(np.concatenate([right - origin, down - origin, origin]).round(4).tolist()),
            maps=np.rint(maps.clip(min=0)).astype(int).tolist(),
        )


class ModelEntry(BaseModel):
    """A loaded model."""

    name: str
    summary: str
    keypoint_names: list[str]
    keypoint_threshold: Annotated[float, Field(description="keypoints with lower scores should not be drawn")]
    has_detector: Annotated[
        bool,
        Field(description="whether people are detected if no boxes are given; else the image is one person"),
    ]


class LimitsEntry(BaseModel):
    """Largest requests."""

    bytes: int
    pixels: int
    people: int
    seconds: float


class ServiceInfo(BaseModel):
    """The loaded models, the default first, and the limits of requests."""

    version: str
    models: list[ModelEntry]
    limits: LimitsEntry


class Problem(BaseModel):
    """Why a request was rejected."""

    detail: Annotated[str, Field(description="one sentence: what is wrong and what to do")]
