"""A training recipe: everything that decides the result of a run, typed, read from YAML."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, PositiveFloat, PositiveInt, TypeAdapter

from rsn.datasets.augment import Augmentation
from rsn.errors import RecipeError
from rsn.training.losses import PoseLoss
from rsn.typed_yaml import read_mapping, validated

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Source:
    """A labelled set: a COCO-keypoints file, the folder of its images, and the lowest box (pixels) to use.

    skeleton: a file that describes the body, where the annotations do not.
    """

    __pydantic_config__ = _STRICT

    annotations: Path
    images: Path
    skeleton: Path | None = None
    min_box_height: float = 0.0


@dataclass(frozen=True)
class Optimisation:
    """Adam with a linear warm-up from a tenth and a linear way down to zero (the reference's schedule).

    weight_decay is Adam's L2 term on every parameter, as in the reference.
    """

    __pydantic_config__ = _STRICT

    steps: PositiveInt = 96_000
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 4e-3
    warmup_steps: int = 2_400
    weight_decay: float = 1e-5


@dataclass(frozen=True)
class Recipe:
    """One training run.

    model: name in the catalog. input_size: (height, width). train: sets that are mixed, mapped to the body of the
    validation set by joint name. start_from: weights to start with. head_gain: first value of the gain of the heatmaps'
    batch norm. The reference starts at 1, and Adam needs thousands of steps to grow it to the targets' spread of
    10 to 40; a short run starts near there. output: folder of logs and checkpoints.
    """

    __pydantic_config__ = _STRICT

    train: tuple[Source, ...]
    validation: Source
    output: Path
    model: str = "rsn18"
    input_size: tuple[PositiveInt, PositiveInt] = (256, 192)
    extension: tuple[PositiveFloat, PositiveFloat] = (1.09, 1.135)
    start_from: Path | None = None
    head_gain: PositiveFloat = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: PoseLoss = field(default_factory=PoseLoss)
    optimisation: Optimisation = field(default_factory=Optimisation)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    validate_every: PositiveInt = 2_400
    workers: int = 4
    seed: int = 0
    trained_on: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        if self.input_size[0] % 32 or self.input_size[1] % 32:
            raise ValueError(
                f"input_size: height and width must be multiples of 32, not {list(self.input_size)}"
            )
        if self.optimisation.steps % self.validate_every:
            raise ValueError(
                f"validate_every: {self.validate_every} must divide optimisation.steps, {self.optimisation.steps}"
            )


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and apply `key=value` overrides, where a dotted key reaches inside: optimisation.steps=100.

    Relative paths in a recipe are relative to the working directory.

    Raises:
        RecipeError: no such file, not YAML, or settings that do not exist or cannot be; all of them are named.
    """
    document = read_mapping(path, what="a recipe", error=RecipeError)
    for override in overrides:
        _override(document, override)
    return validated(Recipe, document, path=path, known=SETTINGS, error=RecipeError)


def write_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, complete with the defaults."""
    document = TypeAdapter(Recipe).dump_python(recipe, mode="json")
    return yaml.safe_dump(document, sort_keys=False)


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: write it as key=value, for instance optimisation.steps=100")
    *path, last = key.split(".")
    for name in path:
        inner = document.setdefault(name, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: {name} has no settings inside it")
        document = inner
    try:
        document[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value is not valid YAML") from error


SETTINGS = [
    setting.name
    for part in (Recipe, Optimisation, PoseLoss, Source, Augmentation)
    for setting in fields(part)
]
