"""Metadata: what must be known to use trained weights, stored inside their file."""

import json
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import TypeAdapter

from rsn.codecs import BoxCodec, Codec, MegviiCodec
from rsn.errors import RsnError, WeightsError, check_threshold
from rsn.io.validation import from_json
from rsn.results import KEYPOINT_THRESHOLD
from rsn.skeletons import COCO_17, Skeleton
from rsn.weights.uncertainty import Uncertainty

if TYPE_CHECKING:
    import torch
    from torch import Tensor

METADATA_KEY = "rsn.metadata"  # in the metadata of a safetensors file
INPUT_MULTIPLE = 32  # the sides of an input are multiples of this: pixels per cell of the coarsest level
MAX_INPUT = 2048  # pixels of a side, far above any published
MAX_BBOX_PADDING = 10.0
MAX_KEYPOINTS = 1000


@dataclass(frozen=True, kw_only=True)
class WeightsMetadata:
    """What the weights of pose networks and of detectors have in common.

    model, options: name of a registered model and the options of its builder, see `rsn.register_model`.
    input_size: (height, width) of the input. mean, std: RGB, of pixels in [0, 1].
    trained_on, steps, license, notes: for readers. metrics: measured results by name.

    Raises:
        WeightsError: an input size that is no multiple of 32 or above `MAX_INPUT`, a mean or std that is no three
            numbers.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: str = field(kw_only=False)
    options: dict[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    trained_on: str = ""
    steps: int = 0
    license: str = ""
    notes: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.input_size) != 2 or not all(map(_is_input_side, self.input_size)):
            raise WeightsError(
                f"Invalid input_size: expected (height, width), multiples of {INPUT_MULTIPLE} up to {MAX_INPUT}, got"
                f" {tuple(self.input_size)}"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(map(isfinite, values)):
                raise WeightsError(f"Invalid {name}: expected three finite numbers, got {values}")
        if min(self.std) <= 0:
            raise WeightsError(f"Invalid std: expected numbers above 0, got {self.std}")

    @property
    def num_outputs(self) -> int:
        """The number of channels at the network's output, which its builder takes as `num_keypoints`."""
        raise NotImplementedError

    def summary(self) -> str:
        """One line: the network, and what decides its results."""
        height, width = self.input_size
        options = "".join(f", {name} {value}" for name, value in self.options.items())
        return f"{self.model}{options}, input {height}x{width}"

    def normalize(self, images: "Tensor") -> "Tensor":
        """(N, 3, H, W) uint8 RGB -> float32 as the network takes it, on the same device."""
        mean, std = _channels(self.mean, images.device), _channels(self.std, images.device)
        return images.float().div_(255).sub_(mean).div_(std)

    def to_metadata(self) -> dict[str, str]:
        """The metadata as the metadata of a safetensors file."""
        return {METADATA_KEY: json.dumps(self.to_document())}

    def to_document(self) -> dict[str, Any]:
        """The metadata as JSON can hold it."""
        document: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return document


@dataclass(frozen=True, kw_only=True)
class ModelMetadata(WeightsMetadata):
    """What belongs to the weights of a pose network.

    skeleton: the skeleton whose keypoints the network finds.
    bbox_padding: factors on (width, height) of a box before it is cropped at prediction time.
    codec: how keypoints are encoded as targets and decoded from outputs.
    person_threshold: detected persons with a lower score are not reported. keypoint_threshold: keypoints with a lower
        score are neither drawn nor tracked. Both in [0, 1].
    uncertainty: how to calculate the expected errors of keypoints; None for weights that were not calibrated.

    Raises:
        WeightsError: as `WeightsMetadata`; too many keypoints, a bbox_padding out of range.
        RsnError: a threshold outside [0, 1].
    """

    input_size: tuple[int, int] = (256, 192)
    skeleton: Skeleton = COCO_17
    bbox_padding: tuple[float, float] = (1.09, 1.135)
    codec: Codec = MegviiCodec()  # noqa: RUF009 - frozen
    person_threshold: float = 0.0
    keypoint_threshold: float = KEYPOINT_THRESHOLD
    uncertainty: Uncertainty | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.skeleton) > MAX_KEYPOINTS:
            raise WeightsError(
                f"Invalid skeleton: expected at most {MAX_KEYPOINTS} keypoints, got {len(self.skeleton)}"
            )
        padding = self.bbox_padding
        if len(padding) != 2 or not all(0 < factor <= MAX_BBOX_PADDING for factor in padding):
            raise WeightsError(
                f"Invalid bbox_padding: expected two factors above 0 and up to {MAX_BBOX_PADDING:g}, got {padding}"
            )
        check_threshold("person_threshold", self.person_threshold)
        check_threshold("keypoint_threshold", self.keypoint_threshold)

    @property
    def num_outputs(self) -> int:
        return self.codec.num_maps(len(self.skeleton))

    def summary(self) -> str:
        width, height = self.bbox_padding
        return (
            f"{super().summary()}, {self.skeleton.name} ({len(self.skeleton)} keypoints), bbox_padding {width:g} x"
            f" {height:g}, codec {self.codec.summary()}"
        )

    def to_document(self) -> dict[str, Any]:
        document = super().to_document()
        document["skeleton"]["upper_body"] = sorted(self.skeleton.upper_body)
        return document


@dataclass(frozen=True)
class DetectorSettings:
    """How a person detector of this package runs on an image.

    image_sizes: pixels of the image's longer side in the network's input; scores are averaged over them.
    flip_test: whether each is also given to the network flipped. box_threshold: boxes with lower scores are left out.

    Raises:
        WeightsError: a size that is no multiple of 32 or above `MAX_INPUT`. RsnError: a threshold outside [0, 1].
    """

    image_sizes: tuple[int, ...] = (256, 448)
    flip_test: bool = True
    box_threshold: float = 0.3

    def __post_init__(self) -> None:
        if not self.image_sizes or not all(map(_is_input_side, self.image_sizes)):
            raise WeightsError(
                f"Invalid image_sizes: expected multiples of {INPUT_MULTIPLE} up to {MAX_INPUT}, got"
                f" {list(self.image_sizes)}"
            )
        check_threshold("box_threshold", self.box_threshold)


@dataclass(frozen=True, kw_only=True)
class DetectorMetadata(WeightsMetadata):
    """What belongs to the weights of a person detector. Its input is the whole image, in any multiples of 32 pixels."""

    codec: ClassVar[BoxCodec] = BoxCodec()

    input_size: tuple[int, int] = (448, 448)
    detector: DetectorSettings = field(default_factory=DetectorSettings)

    @property
    def num_outputs(self) -> int:
        return self.codec.num_maps()

    def summary(self) -> str:
        return f"{super().summary()}, person boxes"


Metadata = ModelMetadata | DetectorMetadata


def parse_metadata(fields: dict[str, str] | None) -> Metadata:
    """Read the metadata of a safetensors file back.

    Raises:
        WeightsError: there is none, or it is invalid.
    """
    if not fields or METADATA_KEY not in fields:
        raise WeightsError("the file has no model metadata, so its input size and keypoints are unknown")
    text = fields[METADATA_KEY]
    try:
        return from_json(DetectorMetadata, text) if _is_detector(text) else from_json(ModelMetadata, text)
    except (ValueError, RsnError) as error:
        raise WeightsError(f"the file's model metadata cannot be read: {error}") from error


def _is_detector(text: str) -> bool:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "detector" in document


def _is_input_side(side: Any) -> bool:
    return isinstance(side, int) and INPUT_MULTIPLE <= side <= MAX_INPUT and side % INPUT_MULTIPLE == 0


def _channels(values: tuple[float, ...], device: "torch.device") -> "Tensor":
    """(1, 3, 1, 1), filled on the device: a copy would make a GPU wait, and cannot be captured."""
    import torch

    return torch.cat([torch.full((1, 1, 1, 1), value, device=device) for value in values], 1)
