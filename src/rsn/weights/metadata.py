"""The metadata of a set of weights: all that must be known to use them, stored inside the weights file."""

import json
from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar, get_args

import torch
from pydantic import TypeAdapter
from torch import Tensor

from rsn.codecs import Codec, MegviiCodec
from rsn.errors import RsnError, UnknownNameError, WeightsError
from rsn.io.validation import from_json
from rsn.models.catalog import MODELS
from rsn.models.prm import Refine
from rsn.results import KEYPOINT_THRESHOLD, check_threshold
from rsn.skeletons import COCO_17, Skeleton

METADATA_KEY = "rsn.metadata"
COARSEST = 32  # input pixels to a cell of the coarsest level
LARGEST_INPUT = 2048  # pixels of a side: far above any published, and a crop still fits into memory
LARGEST_EXTENSION = 10.0
MOST_KEYPOINTS = 1000  # far above any published, and a network of so many still fits into memory


PERSON_BOX = Skeleton(
    "person_box",
    ("middle", "log_width", "log_height", "offset_x", "offset_y"),
    limbs=(),
    upper_body=frozenset(),
)


@dataclass(frozen=True)
class DetectorSettings:
    """How a person detector of ours looks at an image.

    image_sizes: sides, in pixels, of the squares that the image is resized into; the scores of all are averaged.
    flip_test: whether each is also given to the network flipped. box_threshold: boxes with lower scores are left out.

    Raises:
        WeightsError: a size that is no multiple of `COARSEST` or beyond `LARGEST_INPUT`.
        RsnError: a threshold outside [0, 1].
    """

    image_sizes: tuple[int, ...] = (256, 448)
    flip_test: bool = True
    box_threshold: float = 0.3

    def __post_init__(self) -> None:
        sizes = self.image_sizes
        if not sizes or any(not COARSEST <= side <= LARGEST_INPUT or side % COARSEST for side in sizes):
            raise WeightsError(
                f"Invalid image_sizes: expected multiples of {COARSEST}, at most {LARGEST_INPUT}, got {list(sizes)}"
            )
        check_threshold("box_threshold", self.box_threshold)


@dataclass(frozen=True)
class ModelMetadata:
    """What belongs to trained weights.

    model, refine: name in the catalog, and where Pose Refine Machines stand.
    skeleton: the skeleton whose keypoints the heatmaps are.
    input_size: (height, width) of the crops. mean, std: RGB, of pixels in [0, 1].
    bbox_padding: factors on (width, height) of a box before it is cropped at prediction time.
    codec: how keypoints are encoded as targets and decoded from outputs.
    person_threshold: detected people whose score is lower are not reported. keypoint_threshold: keypoints whose score
        is lower are neither drawn nor tracked. Both in [0, 1].
    detector: of weights that find people instead of keypoints.
    trained_on, steps, license, notes: for people. metrics: measured results by name.

    Raises:
        WeightsError: an input size that does not divide by 32 or is beyond `LARGEST_INPUT`, or another setting that
            cannot be.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: str
    refine: Refine = "none"
    skeleton: Skeleton = COCO_17
    input_size: tuple[int, int] = (256, 192)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    bbox_padding: tuple[float, float] = (1.09, 1.135)
    codec: Codec = MegviiCodec()  # noqa: RUF009 - frozen
    trained_on: str = ""
    steps: int = 0
    license: str = ""
    notes: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    person_threshold: float = 0.0
    keypoint_threshold: float = KEYPOINT_THRESHOLD
    detector: DetectorSettings | None = None

    def __post_init__(self) -> None:
        height, width = self.input_size
        if any(
            not isinstance(side, int) or not COARSEST <= side <= LARGEST_INPUT or side % COARSEST
            for side in self.input_size
        ):
            raise WeightsError(
                f"an input of {height}x{width} pixels cannot be: height and width must be multiples of {COARSEST}, at"
                f" most {LARGEST_INPUT}"
            )
        if len(self.skeleton) > MOST_KEYPOINTS:
            raise WeightsError(
                f"Invalid skeleton: expected at most {MOST_KEYPOINTS} keypoints, got {len(self.skeleton)}"
            )
        if self.refine not in get_args(Refine):
            raise WeightsError(
                f"there is no refine named {self.refine!r}; known: {', '.join(get_args(Refine))}"
            )
        if (
            len(self.mean) != 3
            or len(self.std) != 3
            or not _finite(self.mean + self.std)
            or min(self.std) <= 0
        ):
            raise WeightsError(f"mean {self.mean} and std {self.std} must be three numbers each, std above 0")
        check_threshold("person_threshold", self.person_threshold)
        check_threshold("keypoint_threshold", self.keypoint_threshold)
        if len(self.bbox_padding) != 2 or not all(
            0 < factor <= LARGEST_EXTENSION for factor in self.bbox_padding
        ):
            raise WeightsError(
                f"a box cannot be extended by {self.bbox_padding}: two factors above 0 and up to {LARGEST_EXTENSION:g} are"
                " needed"
            )

    def summary(self) -> str:
        """One line: which network, and what decides its answers."""
        height, width = self.input_size
        refine = "" if self.refine == "none" else f" with refine machines ({self.refine})"
        return (
            f"{self.model}{refine}, {self.skeleton.name} ({len(self.skeleton)} keypoints), input {height}x{width}, box"
            f" extended by {self.bbox_padding[0]:g} x {self.bbox_padding[1]:g}, codec {self.codec.summary()}"
        )

    def normalize(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 RGB -> float32 as the network takes it, on the same device."""
        mean, std = _channels(self.mean, images.device), _channels(self.std, images.device)
        return images.float().div_(255).sub_(mean).div_(std)

    def to_metadata(self) -> dict[str, str]:
        """The metadata as the metadata of a safetensors file."""
        document = TypeAdapter(ModelMetadata).dump_python(self, mode="json")
        document["skeleton"]["upper_body"] = sorted(self.skeleton.upper_body)
        return {METADATA_KEY: json.dumps(document)}

    @classmethod
    def from_metadata(cls, fields: dict[str, str] | None) -> "ModelMetadata":
        """Read a metadata back.

        Raises:
            WeightsError: there is none, or it is not one of ours.
        """
        if fields and "rsn.card" in fields:  # TEMPORARY
            fields = _translated(fields["rsn.card"])
        if not fields or METADATA_KEY not in fields:
            raise WeightsError(
                "the file carries no model metadata, so its input size and keypoints are unknown"
            )
        try:
            metadata = from_json(cls, fields[METADATA_KEY])
        except WeightsError:
            raise
        except (ValueError, RsnError) as error:
            raise WeightsError(f"the file's model metadata cannot be read: {error}") from error
        if metadata.model not in MODELS:
            raise WeightsError(
                f"the file's model metadata: {UnknownNameError('model', metadata.model, MODELS)}"
            )
        return metadata


def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(1, 3, 1, 1), written by the device itself: a copy would make a GPU wait, and cannot be captured."""
    return torch.cat([torch.full((1, 1, 1, 1), value, device=device) for value in values], 1)


def _finite(numbers: tuple[float, ...]) -> bool:
    return all(map(isfinite, numbers))


def _translated(text: str) -> dict[str, str]:  # TEMPORARY: until the two files of the package are rewritten
    old = json.loads(text)
    skeleton = old["skeleton"]
    skeleton["keypoint_names"] = skeleton.pop("joints")
    pairs = skeleton.pop("mirror_pairs", None)
    if pairs is not None:
        skeleton["flip_pairs"] = pairs
    old["bbox_padding"] = old.pop("extension")
    old["metrics"] = old.pop("figures", {})
    name = {"rsn": "megvii"}.get(old["decoder"], old["decoder"])
    old["codec"] = {"name": name, "blur_kernel_size": old.pop("blur")}
    del old["decoder"]
    return {METADATA_KEY: json.dumps(old)}
