"""A training recipe: every setting that decides the result of a run, typed, read from YAML."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

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

from rsn.codecs import Codec, MegviiCodec
from rsn.data.annotations import PoseDataset
from rsn.data.augment import Augmentation
from rsn.data.loading import Interval
from rsn.data.reading import read_dataset
from rsn.errors import RecipeError
from rsn.evaluation.benchmarks import Benchmark, Options, find_benchmark, recognize_benchmark
from rsn.io.validation import read_mapping, validated
from rsn.models.prm import Refine
from rsn.skeletons import Skeleton
from rsn.training.losses import PoseLoss
from rsn.training.precision import Precision
from rsn.training.steps import Step

_STRICT = ConfigDict(extra="forbid")


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:  # no such user
        raise ValueError(f"{path}: the home folder that it begins with is unknown; write the path in full") from error


UserPath = Annotated[Path, AfterValidator(_expand_home)]  # ~ is the home folder
DatasetName = Annotated[str, AfterValidator(lambda name: find_benchmark(name).name)]
WeightsSource = Annotated[str, AfterValidator(lambda name: str(_expand_home(Path(name))))]  # a name or a file


@dataclass(frozen=True)
class DatasetConfig:
    """A labeled dataset.

    annotations: a COCO keypoints file, MPII's .mat release, or a JSON list of MPII people; the content decides which.
        With `dataset`, a file of that dataset.
    images: the folder of the images.
    skeleton: a skeleton file, for annotations that do not describe their keypoints.
    min_box_height: people with lower boxes (pixels) are left out.
    sampling_weight: how often a person of this set is drawn, as a multiple of the persons of a set with weight 1; every
        person is drawn in turn, before any is drawn again.
    head_sizes: the gt_valid.mat that belongs to a list of MPII people, for validation.
    dataset: a name in `rsn.evaluation.BENCHMARKS`, for another format than COCO's and MPII's, or another metric.
    """

    __pydantic_config__ = _STRICT

    annotations: UserPath
    images: UserPath
    skeleton: UserPath | None = None
    min_box_height: float = 0.0
    sampling_weight: PositiveFloat = 1.0
    head_sizes: UserPath | None = None
    dataset: DatasetName | None = None

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark that the annotations belong to, as named or as the content says."""
        return find_benchmark(self.dataset) if self.dataset else recognize_benchmark(self.annotations)

    @property
    def options(self) -> Options:
        """What the benchmark needs to know to read the annotations.

        Raises:
            AnnotationError: the skeleton file is invalid.
            RsnError: options that do not belong to the benchmark.
        """
        skeleton = Skeleton.from_file(self.skeleton) if self.skeleton else None
        options = Options(skeleton, self.head_sizes, self.min_box_height)
        self.benchmark.check(options)
        return options

    def read_labels(self) -> PoseDataset:
        """All people of the dataset.

        Raises:
            AnnotationError: the files cannot be read. RsnError: options that do not belong to the dataset.
        """
        if self.dataset is not None:
            return self.benchmark.read_people(self.annotations, self.images, self.options)
        return read_dataset(self.annotations, self.images, skeleton=self.skeleton, head_sizes=self.head_sizes)


@dataclass(frozen=True)
class OptimizationConfig:
    """How the weights are trained. The defaults are the reference's for COCO, on eight GPUs.

    batch_size: crops per step, over all processes. learning_rate: its maximum, for that batch size.
    schedule: after a linear warm-up from a tenth, a linear (reference) or cosine decay to zero.
    decay_share: of the steps, at the end, over which the learning rate falls; 1: from the end of the warm-up on.
    optimizer: "adam" adds the weight decay to the gradient (L2, reference), "adamw" to the step. "muon" orthogonalizes
        the momentum of convolutions and matrices, whose learning rate is `muon_learning_rate`, and trains the rest
        with AdamW.
    decay_norm_and_bias: whether the decay also applies to batch norms and biases, as in the reference.
    learning_rate_multipliers: factors on the learning rate by pattern of module names, such as stages.*.heads; of
        several patterns that match a module, or one that it is part of, the last one counts.
    ema_decay: decay of an exponential moving average of the weights, which is then validated and saved.
    """

    __pydantic_config__ = _STRICT

    steps: PositiveInt = 96_000
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 4e-3
    warmup_steps: NonNegativeInt = 2_400
    schedule: Literal["linear", "cosine"] = "linear"
    decay_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    muon_learning_rate: PositiveFloat = 1e-2
    weight_decay: NonNegativeFloat = 1e-5
    decay_norm_and_bias: bool = True
    learning_rate_multipliers: dict[str, PositiveFloat] = field(default_factory=dict)
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None


@dataclass(frozen=True)
class Stage:
    """A part of a run with crops of one size.

    input_size: (height, width) of the crops. share: of optimization.steps; the shares of all stages sum to 1, and a
    stage ends at the validation that is nearest to the end of its share. batch_size: if not optimization.batch_size.
    """

    __pydantic_config__ = _STRICT

    input_size: tuple[PositiveInt, PositiveInt]
    share: PositiveFloat
    batch_size: PositiveInt | None = None


@dataclass(frozen=True)
class ComputeConfig:
    """Speed and memory of a run; the result changes only by rounding.

    cache_images: "device" decodes all images once, keeps them on the training device (COCO takes 59 GB) and crops
        them there; with "none", workers read an image each time it is needed.
    precision: Lightning's names; "auto": bf16-mixed where the processor multiplies bfloat16, else 32-true.
    workers: processes that prepare crops, per training process.
    accumulate_grad_batches: number of parts in which a process computes its share of a batch, to save memory; batch
        norm then sees one part at a time.
    activation_checkpointing: keep only the inputs of blocks and compute the blocks again in the backward pass: a
        third more work, much less memory.
    step: how a step is computed, see `rsn.training.steps.Step`.
    """

    __pydantic_config__ = _STRICT

    cache_images: Literal["none", "device"] = "none"
    precision: Precision = "32-true"
    workers: NonNegativeInt = 4
    accumulate_grad_batches: PositiveInt = 1
    activation_checkpointing: bool = False
    step: Step = "eager"

    def __post_init__(self) -> None:
        # A replay overwrites all gradients, so parts would not add up; checkpointed blocks were never captured.
        if self.step == "captured" and (self.accumulate_grad_batches > 1 or self.activation_checkpointing):
            raise ValueError(
                "Invalid compute.step: captured works neither with compute.accumulate_grad_batches nor with"
                " compute.activation_checkpointing"
            )


@dataclass(frozen=True)
class BaseRecipe:
    """What the recipes of pose networks and person detectors have in common.

    train: datasets, which are concatenated. output: folder for logs, weights and checkpoints. model: see
    `rsn.list_models`. input_size: (height, width) of the crops. val_interval: steps between validations.
    stages: sizes of crops that follow one another, the last one `input_size`; none: that size all the time.
    trained_on, license: stored with the weights.
    """

    __pydantic_config__ = _STRICT

    train: tuple[DatasetConfig, ...]
    validation: DatasetConfig
    output: UserPath
    model: str = "rsn18"
    input_size: tuple[PositiveInt, PositiveInt] = (256, 192)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    val_interval: PositiveInt = 2_400
    stages: tuple[Stage, ...] = ()
    seed: int = 0
    trained_on: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        for size in (self.input_size, *(stage.input_size for stage in self.stages)):
            if size[0] % 32 or size[1] % 32:
                raise ValueError(f"Invalid input_size: expected multiples of 32, got {list(size)}")
        if self.optimization.steps % self.val_interval:
            raise ValueError(
                f"Invalid val_interval: expected a divisor of optimization.steps, {self.optimization.steps}, got"
                f" {self.val_interval}"
            )
        if self.stages:
            self._check_stages()

    def _check_stages(self) -> None:
        total = sum(stage.share for stage in self.stages)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"Invalid stages: expected shares that sum to 1, got {total:g}")
        if self.stages[-1].input_size != self.input_size:
            raise ValueError(
                f"Invalid stages: expected the last one to have the recipe's input_size, {list(self.input_size)}, got"
                f" {list(self.stages[-1].input_size)}"
            )
        for stage, count in zip(self.stages, self._intervals_per_stage(), strict=True):
            if not count:
                raise ValueError(
                    f"Invalid stages: expected at least one validation in each, got none in {stage.share:g} of"
                    f" {self.optimization.steps} steps with {list(stage.input_size)}; lower val_interval or raise the"
                    " share"
                )

    def _intervals_per_stage(self) -> list[int]:
        count = self.optimization.steps // self.val_interval
        ends = [round(count * end) for end in accumulate(stage.share for stage in self.stages)]
        return [end - start for start, end in pairwise([0, *ends])]

    def intervals(self) -> list[Interval]:
        """Batch size and size of the crops before each validation."""
        batch_size = self.optimization.batch_size
        if not self.stages:
            return [Interval(batch_size, self.input_size)] * (self.optimization.steps // self.val_interval)
        return [
            Interval(stage.batch_size or batch_size, stage.input_size)
            for stage, count in zip(self.stages, self._intervals_per_stage(), strict=True)
            for _ in range(count)
        ]

    def with_batch_size(self, batch_size: int) -> Self:
        """The same run with another batch size, by the linear scaling rule.

        The number of crops stays the same: the learning rates grow with the batch size, and the number of steps
        shrinks. Batch sizes of stages change by the same factor. The warm-up keeps its number of steps, as in the
        reference.
        """
        settings, factor = self.optimization, batch_size / self.optimization.batch_size
        val_interval = max(round(self.val_interval / factor), 1)
        scaled = replace(
            settings,
            batch_size=batch_size,
            learning_rate=settings.learning_rate * factor,
            muon_learning_rate=settings.muon_learning_rate * factor,
            steps=val_interval * (settings.steps // self.val_interval),
        )
        stages = tuple(
            replace(stage, batch_size=stage.batch_size and max(round(stage.batch_size * factor), 1))
            for stage in self.stages
        )
        return replace(self, optimization=scaled, val_interval=val_interval, stages=stages)


@dataclass(frozen=True)
class Recipe(BaseRecipe):
    """One training run of a pose network.

    train: the keypoints are matched with those of `validation` by name. refine: where Pose Refine Machines are added.
    model_options: for the builder of a model that was registered by `rsn.register_model`.
    pretrained: weights to start from, by name or file.
    freeze: patterns of modules that are not trained, such as stem or stages.*.heads; their batch norms keep their
        statistics.
    head_bn_gamma: initial weight of the heatmaps' batch norms. The reference starts at 1, and Adam needs thousands of
        steps to grow it to the 10 to 40 that the targets need; a short run starts near there.
    codec: how keypoints are encoded as targets and decoded from outputs: a name, or a name and options.
    sync_batchnorm: batch norms use the statistics of the crops of all processes, not of their own (reference); on
        GPUs only.
    max_unreadable_fraction: share of unreadable images above which a run stops.
    """

    refine: Refine = "none"
    model_options: dict[str, Any] = field(default_factory=dict)
    bbox_padding: tuple[PositiveFloat, PositiveFloat] = (1.09, 1.135)
    codec: Codec = MegviiCodec()  # noqa: RUF009 - frozen
    pretrained: WeightsSource | None = None
    freeze: tuple[str, ...] = ()
    head_bn_gamma: PositiveFloat = 1.0
    sync_batchnorm: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: PoseLoss = field(default_factory=PoseLoss)
    max_unreadable_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01


_R = TypeVar("_R", bound=BaseRecipe)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe of a pose network, see `read_recipe_as`."""
    return read_recipe_as(Recipe, path, overrides)


def read_recipe_as(kind: type[_R], path: Path, overrides: Sequence[str] = ()) -> _R:
    """Read a recipe and apply `key=value` overrides, see `apply_overrides`.

    Relative paths in a recipe are relative to the working directory, and `~` is the home folder.

    Raises:
        RecipeError: no such file, invalid YAML, or invalid settings; the message names them.
    """
    document = read_mapping(path, what="a recipe", error=RecipeError)
    apply_overrides(document, overrides)
    return validated(kind, document, path=path, error=RecipeError)


def apply_overrides(document: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set `key=value` pairs in the settings of a recipe; dots reach nested settings and entries: train.0.images=coco.

    Raises:
        RecipeError: one that is not of this form.
    """
    for override in overrides:
        _override(document, override)


def plain_settings(recipe: BaseRecipe, exclude: frozenset[str] = frozenset()) -> dict[str, Any]:
    """All settings of a recipe as YAML types, defaults included, without the top-level keys in `exclude`."""
    document: dict[str, Any] = TypeAdapter(type(recipe)).dump_python(recipe, mode="json", exclude=set(exclude))
    return document


def write_recipe(recipe: BaseRecipe) -> str:
    """A recipe as YAML, defaults included."""
    return yaml.safe_dump(plain_settings(recipe), sort_keys=False)


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: write it as key=value, for instance optimization.steps=100")
    *path, last = key.split(".")
    settings: Any = document
    for name, following in pairwise([*path, last]):
        settings = settings.setdefault(name, {}) if isinstance(settings, dict) else settings[int(name)]
        if isinstance(settings, list) and not (following.isdecimal() and int(following) < len(settings)):
            raise RecipeError(
                f"--set {override}: expected the number of one of the {len(settings)} entries of {name}, counted from"
                f" 0, got {following}"
            )
        if not isinstance(settings, dict | list):
            raise RecipeError(f"--set {override}: {name} has no settings inside it")
    try:
        settings[int(last) if isinstance(settings, list) else last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value is not valid YAML") from error
