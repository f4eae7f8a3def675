"""A training recipe: everything that decides the result of a run, typed, read from YAML."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
)

from rsn.data.augment import Augmentation
from rsn.errors import RecipeError
from rsn.io.validation import read_mapping, validated
from rsn.models.prm import Refine
from rsn.training.losses import PoseLoss
from rsn.training.steps import Step
from rsn.weights.metadata import Decoder

_STRICT = ConfigDict(extra="forbid")


def _from_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:  # no such user
        raise ValueError(
            f"{path}: the home folder that it begins with is not known; write the path in full"
        ) from error


UserPath = Annotated[Path, AfterValidator(_from_home)]  # in which ~ is the home folder


@dataclass(frozen=True)
class DatasetConfig:
    """A labeled set: its annotations, the folder of its images, and the lowest box (pixels) to use.

    annotations: a COCO-keypoints file, MPII's .mat release or a list of MPII people in JSON; the file tells which.
    skeleton: a file that describes the skeleton, where a COCO-keypoints file does not.
    head_sizes: the gt_valid.mat that goes with an MPII list, for validation.
    """

    __pydantic_config__ = _STRICT

    annotations: UserPath
    images: UserPath
    skeleton: UserPath | None = None
    min_box_height: float = 0.0
    head_sizes: UserPath | None = None


@dataclass(frozen=True)
class OptimizationSettings:
    """How the weights are improved; the defaults are the reference's for COCO, on eight GPUs.

    batch_size: crops in a step, over all processes. learning_rate: at its height, for that batch size.
    schedule: a linear warm-up from a tenth, then down to zero, linearly as in the reference or as a half cosine.
    optimizer, weight_decay: "adam" adds the decay to the gradient (L2, the reference's), "adamw" to the step.
    decay_on: "everything" is the reference's; "convolutions" spares batch norms.
    average: decay of the exponential moving average of the weights, which is then what is validated and kept.
    """

    __pydantic_config__ = _STRICT

    steps: PositiveInt = 96_000
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 4e-3
    warmup_steps: NonNegativeInt = 2_400
    schedule: Literal["linear", "cosine"] = "linear"
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: NonNegativeFloat = 1e-5
    decay_on: Literal["everything", "convolutions"] = "everything"
    average: Annotated[float, Field(gt=0, lt=1)] | None = None


@dataclass(frozen=True)
class ComputeSettings:
    """How a run is carried out: what decides its speed and memory, and its result only up to rounding.

    images: "files" reads a person's image whenever it is their turn; "device" decodes all images once, keeps them
        on the device that trains (COCO's take 59 GB) and cuts the crops there.
    precision: Lightning's names. workers: processes that prepare crops, for each process that trains.
    accumulate_grad_batches: parts that a process takes its share of a batch in, one after the other, to save memory; batch norm
        then sees a part at a time. recompute: keep only the blocks' inputs and compute the blocks again in the
        backward pass; a third more work, much less memory. step: how a step is computed, from cutting the crops
        (with images on the device) to the loss, see `rsn.training.steps.Step`.
    """

    __pydantic_config__ = _STRICT

    images: Literal["files", "device"] = "files"
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    workers: NonNegativeInt = 4
    accumulate_grad_batches: PositiveInt = 1
    activation_checkpointing: bool = False
    step: Step = "eager"

    def __post_init__(self) -> None:
        # A replay writes all gradients anew, so parts would not add up; blocks that are recomputed were never captured.
        if self.step == "captured" and (self.accumulate_grad_batches > 1 or self.activation_checkpointing):
            raise ValueError(
                "compute.step: captured goes with neither compute.accumulate_grad_batches nor compute.activation_checkpointing"
            )


@dataclass(frozen=True)
class AnyRecipe:
    """What the recipes of pose networks and detectors have in common.

    train: sets that are mixed. output: folder of logs and checkpoints. model: name in the catalog. input_size:
    (height, width) of the crops. val_interval: steps. trained_on, license: for the weights' metadata.
    """

    __pydantic_config__ = _STRICT

    train: tuple[DatasetConfig, ...]
    validation: DatasetConfig
    output: UserPath
    model: str = "rsn18"
    input_size: tuple[PositiveInt, PositiveInt] = (256, 192)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    compute: ComputeSettings = field(default_factory=ComputeSettings)
    val_interval: PositiveInt = 2_400
    seed: int = 0
    trained_on: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        if self.input_size[0] % 32 or self.input_size[1] % 32:
            raise ValueError(
                f"input_size: height and width must be multiples of 32, not {list(self.input_size)}"
            )
        if self.optimization.steps % self.val_interval:
            raise ValueError(
                f"val_interval: {self.val_interval} must divide optimization.steps, {self.optimization.steps}"
            )


@dataclass(frozen=True)
class Recipe(AnyRecipe):
    """One training run of a pose network.

    train: mapped to the skeleton of the validation set by keypoint name. refine: where Pose Refine Machines stand.
    pretrained: weights to start with. head_bn_gamma: first value of the gain of the heatmaps' batch norm. The reference
    starts at 1, and Adam needs thousands of steps to grow it to the targets' spread of 10 to 40; a short run starts
    near there.
    decoder: what the heatmaps are made for and read with, see `rsn.codecs.decode`. blur: its kernel.
    norm: whose crops a batch norm takes its statistics of, those of each process (reference) or of all together
        (on GPUs only).
    max_unreadable_fraction: share of the images that may turn out to be unreadable before the run stops.
    """

    refine: Refine = "none"
    bbox_padding: tuple[PositiveFloat, PositiveFloat] = (1.09, 1.135)
    decoder: Decoder = "rsn"
    blur: PositiveInt = 5
    pretrained: UserPath | None = None
    head_bn_gamma: PositiveFloat = 1.0
    norm: Literal["each", "all"] = "each"
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: PoseLoss = field(default_factory=PoseLoss)
    max_unreadable_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01

    def with_batch_size(self, batch_size: int) -> "Recipe":
        """The same run in batches of another size, by the linear rule.

        As many crops are seen in all: the learning rate grows with the batch and the steps shrink. The warm-up
        keeps its number of steps, as in the reference.
        """
        settings, factor = self.optimization, batch_size / self.optimization.batch_size
        val_interval = max(round(self.val_interval / factor), 1)
        scaled = replace(
            settings,
            batch_size=batch_size,
            learning_rate=settings.learning_rate * factor,
            steps=val_interval * (settings.steps // self.val_interval),
        )
        return replace(self, optimization=scaled, val_interval=val_interval)


_R = TypeVar("_R")


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe for poses, see `read_settings`."""
    return read_settings(path, overrides, Recipe)


def read_settings(path: Path, overrides: tuple[str, ...], kind: type[_R]) -> _R:
    """Read a recipe of some kind and apply `key=value` overrides; a dotted key reaches inside: optimization.steps=100.

    Relative paths in a recipe are relative to the working directory, and `~` is the home folder.

    Raises:
        RecipeError: no such file, not YAML, or settings that do not exist or cannot be; all of them are named.
    """
    document = read_mapping(path, what="a recipe", error=RecipeError)
    for override in overrides:
        _override(document, override)
    return validated(kind, document, path=path, error=RecipeError)


def plain_settings(recipe: object, exclude: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A recipe of any kind as YAML and JSON have it, complete with the defaults; `exclude` are names to leave out."""
    document: dict[str, Any] = TypeAdapter(type(recipe)).dump_python(
        recipe, mode="json", exclude=set(exclude)
    )
    return document


def write_recipe(recipe: object) -> str:
    """A recipe of any kind as YAML, complete with the defaults."""
    return yaml.safe_dump(plain_settings(recipe), sort_keys=False)


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: write it as key=value, for instance optimization.steps=100")
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
