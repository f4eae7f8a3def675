"""What all codecs have in common, and how they are found by name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import nan
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from rsn.codecs.arrays import Array, library_of
from rsn.errors import RsnError, UnknownNameError
from rsn.geometry import Crop
from rsn.io.validation import validated

if TYPE_CHECKING:
    from torch import Tensor

_CODECS: dict[str, type["Codec"]] = {}
_C = TypeVar("_C", bound="Codec")


@dataclass(frozen=True)
class Codec(ABC):
    """How keypoints are encoded as targets and decoded from a network's outputs.

    A codec is a frozen dataclass: its fields are options, which are stored with the weights. Write a codec of your own
    as a subclass with a `name`, decorated with `register_codec`; it gets tensors, unless it sets `takes_arrays`.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: ClassVar[str]
    takes_arrays: ClassVar[bool] = False  # whether outputs may also be NumPy arrays, as some backends return them

    def num_maps(self, num_keypoints: int) -> int:
        """The number of channels that a network needs at its output: one per keypoint, unless it is overridden."""
        return num_keypoints

    @abstractmethod
    def encode(self, keypoints: "Tensor", visibility: "Tensor", input_size: tuple[int, int]) -> Any:
        """The targets of a batch, on the device of the keypoints.

        Args:
            keypoints: (N, K, 2) x, y in pixels of the crop.
            visibility: (N, K): 2 visible, 1 occluded, 0 absent, -1 not annotated.
            input_size: (height, width) of the crop in pixels.
        """

    @abstractmethod
    def decode(self, outputs: Array) -> tuple[Array, Array]:
        """Outputs of a network -> keypoints (N, K, 2), x, y in pixels of the crop, and raw scores (N, K)."""

    def spread(self, outputs: Array, keypoints: Array) -> Array:
        """How far outputs reach around decoded keypoints (N, K, 2): (N, K) pixels of the crop; NaN where unknown."""
        unknown: Array = library_of(keypoints).full_like(keypoints[..., 0], nan)
        return unknown

    @abstractmethod
    def flip_back(self, outputs: Array, flip_indices: Sequence[int]) -> Array:
        """Outputs for flipped crops -> what they mean on the crops themselves.

        flip_indices: `Skeleton.flip_indices`, the index of every keypoint's counterpart.
        """

    def confidence(self, raw_scores: Array) -> Array:
        """Raw scores -> scores in [0, 1]: 0 for an empty map, 1 for the height of a target."""
        scores: Array = library_of(raw_scores).clip(raw_scores - 0.5, 0, 1)
        return scores

    def mean_score(self, raw_scores: Array) -> Array:
        """Raw scores (N, K) of the keypoints -> (N,), the factor of the person's raw score."""
        mean: Array = raw_scores.mean(-1)
        return mean

    def resample(
        self, outputs: "Tensor", crops: Sequence[Crop], target: "Codec", target_crops: Sequence[Crop]
    ) -> "Tensor":
        """Outputs on some crops -> the outputs of the codec `target` on other crops of the same persons.

        Raises:
            RsnError: outputs of these codecs cannot be converted into each other, so that no ensemble is possible.
        """
        raise RsnError(f"Models with the codecs {self.name!r} and {target.name!r} cannot form an ensemble")

    def summary(self) -> str:
        """The name, and the options that differ from their defaults."""
        changed = [
            f"{field.name} {getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"{self.name} ({', '.join(changed)})" if changed else self.name

    def to_config(self) -> dict[str, Any]:
        """The name and the options, as JSON can hold them; `codec_from_config` reads them back."""
        return {"name": self.name, **asdict(self)}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As a field of settings: a codec, or what `codec_from_config` takes; written as `to_config` gives it."""
        if cls is not Codec:
            return handler(source)
        return core_schema.no_info_plain_validator_function(
            _from_setting, serialization=core_schema.plain_serializer_function_ser_schema(Codec.to_config)
        )


def register_codec(cls: type[_C]) -> type[_C]:
    """Make a codec known by its `name`, for recipes and for weights that are loaded. A class decorator."""
    _CODECS[cls.name] = cls
    return cls


def create_codec(name: str, **options: Any) -> Codec:
    """The codec of this name.

    Raises:
        UnknownNameError: no codec of this name is registered. RsnError: it has no such option, or not with this value.
    """
    return codec_from_config({"name": name, **options})


def codec_from_config(config: Any) -> Codec:
    """A codec from its name, or from a name and options: `"unbiased"`, `{"name": "megvii", "blur_kernel_size": 9}`.

    A codec is returned as it is.

    Raises:
        UnknownNameError, RsnError: as `create_codec`; no name.
    """
    if isinstance(config, Codec):
        return config
    options = {"name": config} if isinstance(config, str) else config
    if not isinstance(options, Mapping) or not isinstance(name := options.get("name"), str):
        raise RsnError(f"Invalid codec: expected a name, or a name and options, got {config!r:.80}")
    if name not in _CODECS:
        raise UnknownNameError("codec", name, _CODECS)
    settings = {key: value for key, value in options.items() if key != "name"}
    return validated(_CODECS[name], settings, path=f"codec {name}", error=RsnError)


def _from_setting(value: Any) -> Codec:
    try:
        return codec_from_config(value)
    except RsnError as error:
        raise ValueError(str(error)) from error
