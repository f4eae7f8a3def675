"""What the service answers, as the OpenAPI document describes it."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field

from rsn.codecs.heatmap import STRIDE
from rsn.geometry import Crop, FloatArray

Box = Annotated[
    tuple[float, float, float, float],
    Field(description="x, y, width, height in pixels of the upright image"),
]


class PersonResult(BaseModel):
    """One person, see `Person.to_dict`."""

    keypoints: Annotated[
        list[float],
        Field(
            description="x, y, score of each keypoint, one after the other, in pixels of the upright image; integers are"
            " pixel centers"
        ),
    ]
    score: Annotated[float, Field(description="the box score times the mean keypoint score")]
    bbox: Box
    box_score: float
    score_type: Annotated[Literal["0 to 1"], Field(description="the range of all scores")]


class ImageResult(BaseModel):
    """The people of one image, in the order of the boxes where these were given."""

    model: str
    width: Annotated[int, Field(description="of the upright image, in pixels")]
    height: int
    keypoints: Annotated[list[str], Field(description="names, in the order of the keypoints")]
    limbs: Annotated[list[tuple[int, int]], Field(description="pairs of keypoints to draw a line between")]
    people: list[PersonResult]


class Heatmaps(BaseModel):
    """What the network saw in one box: one map a keypoint."""

    model: str
    bbox: Box
    keypoints: list[str]
    matrix: Annotated[
        tuple[float, float, float, float, float, float],
        Field(
            description="a, b, c, d, e, f as SVG has them: the middle of column u, row v of a map lies at x = a u + c v"
            " + e, y = b u + d v + f of the upright image"
        ),
    ]
    maps: Annotated[
        list[list[list[int]]],
        Field(
            description="one a keypoint, rows of numbers: 0 nothing, 255 a keypoint, more of a network that overshoots"
        ),
    ]

    @classmethod
    def of(
        cls, model: str, crop: Crop, box: FloatArray, keypoints: list[str], maps: FloatArray
    ) -> "Heatmaps":
        """Heatmaps (K, h, w) of a crop, 255 at a certain keypoint."""
        origin, right, down = crop.to_image(STRIDE * np.array([[0, 0], [1, 0], [0, 1]]) + STRIDE / 2)
        return cls(
            model=model,
            bbox=tuple(box.round(2).tolist()),
            keypoints=keypoints,
            matrix=tuple(np.concatenate([right - origin, down - origin, origin]).round(4).tolist()),
            maps=np.rint(maps.clip(min=0)).astype(int).tolist(),
        )


class ModelEntry(BaseModel):
    """A model that is loaded."""

    name: str
    summary: str
    keypoints: list[str]
    keypoint_threshold: Annotated[
        float, Field(description="keypoints with lower scores are better not shown")
    ]
    has_detector: Annotated[
        bool,
        Field(description="whether people are found where no boxes are given; else the image is one person"),
    ]


class LimitsEntry(BaseModel):
    """What a request may ask for."""

    bytes: int
    pixels: int
    people: int
    seconds: float


class ServiceInfo(BaseModel):
    """What this service can do; the first model is the one that is taken unless another is named."""

    version: str
    models: list[ModelEntry]
    limits: LimitsEntry


class Problem(BaseModel):
    """Why a request was refused."""

    detail: Annotated[str, Field(description="one sentence: what was wrong and what to do")]
