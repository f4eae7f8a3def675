"""Several models, whose heatmaps are averaged on the crops of the first; and how models are opened.

The models may differ in everything but the skeleton: input size, channel order, normalization, bbox_padding, codec. A
cell of one model's heatmap is found in another's through the image that both were cut from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from rsn.errors import RsnError
from rsn.geometry import FloatArray, Image
from rsn.inference.backends import Backend, build_backend, open_weights
from rsn.inference.exported import is_exported, open_exported
from rsn.inference.single_model import ImageCrops, SingleModel
from rsn.results import PoseResult
from rsn.weights.metadata import ModelMetadata
from rsn.weights.sources import pose_metadata

if TYPE_CHECKING:
    from rsn.weights.loading import PoseModel

ModelSource = Union[str, Path, "PoseModel"]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Several models with the three steps of `SingleModel`; their heatmaps are averaged on the crops of the first.

    weights: of the average, one per model; their sum is 1.
    """

    models: Sequence[SingleModel]
    weights: Sequence[float]

    @property
    def metadata(self) -> ModelMetadata:
        """Of the first model."""
        return self.models[0].metadata

    def preprocess(self, image: Image, bboxes: FloatArray, box_scores: FloatArray) -> ImageCrops:
        """As `SingleModel.preprocess`, for every model; models with the same crops share them."""
        cut: dict[object, ImageCrops] = {}
        crops = []
        for model in self.models:
            key = (model.metadata.input_size, model.metadata.bbox_padding)
            if key not in cut:
                cut[key] = model.preprocess(image, bboxes, box_scores)
            crops.append(cut[key])
        return replace(crops[0], others=tuple(crops[1:]))

    def forward(self, images: Sequence[ImageCrops], *, flip_test: bool, batch_size: int) -> Any:
        """As `SingleModel.forward`: the average of all models, on the crops of the first."""
        import torch

        targets = [crop for image in images for crop in image.crops]
        average = torch.zeros(())
        for number, (model, weight) in enumerate(zip(self.models, self.weights, strict=True)):
            own = images if number == 0 else [image.others[number - 1] for image in images]
            heatmaps = model.forward(own, flip_test=flip_test, batch_size=batch_size)
            crops = [crop for image in own for crop in image.crops]
            codec = model.metadata.codec
            average = average + weight * codec.resample(torch.as_tensor(heatmaps), crops, self.metadata.codec, targets)
        return average

    def postprocess(self, images: Sequence[ImageCrops], heatmaps: Any) -> list[PoseResult]:
        """As `SingleModel.postprocess`, with the codec of the first model."""
        return self.models[0].postprocess(images, heatmaps)


def load_models(
    sources: Sequence[ModelSource],
    weights: Sequence[float] | None,
    *,
    backend: str,
    device: str,
    low_memory: bool,
) -> SingleModel | Ensemble:
    """One model, or an ensemble of several with the same keypoints.

    Args:
        sources: names, files, or models in memory.
        weights: of the average, one per model, of any sum; equal by default.
        backend, device: what runs them, and where, as `backends.choose` returns them.
        low_memory: read each network anew for every run, instead of keeping all of them.

    Raises:
        RsnError: no model, weights that do not match, or models with different keypoints.
        WeightsError: weights of a detector.
        UnknownNameError, WeightsError: as `weights.loading.load_model` and `exported.open_exported`.
        DeviceError: as `backends.build_backend`.
    """
    if not sources:
        raise RsnError("Invalid model: expected at least one model, got an empty list")
    models = [_open_model(source, backend, device, low_memory=low_memory) for source in sources]
    _check_same_skeleton(sources, models)
    shares = _shares(weights, len(models))
    return models[0] if len(models) == 1 else Ensemble(models, shares)


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """Weights whose sum is 1."""
    try:
        given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    except (TypeError, ValueError):
        given = []
    if len(given) != count or min(given) < 0 or not 0 < sum(given) < float("inf"):
        raise RsnError(f"Invalid ensemble_weights: expected {count} numbers, none below 0, got {weights}")
    return [weight / sum(given) for weight in given]


def _open_model(source: ModelSource, backend_name: str, device: str, *, low_memory: bool) -> SingleModel:
    def open_backend() -> tuple[Backend, ModelMetadata]:
        if is_exported(source):
            backend, export = open_exported(Path(source), backend_name, device)
            return backend, pose_metadata(export.metadata, source)
        if isinstance(source, str | Path):
            backend, metadata = open_weights(backend_name, source, device)
            return backend, pose_metadata(metadata, source)
        return build_backend(backend_name, source.network, source.metadata, device), source.metadata

    backend, metadata = open_backend()
    if low_memory:
        return SingleModel(lambda: open_backend()[0], metadata)
    return SingleModel(lambda: backend, metadata)


def _check_same_skeleton(sources: Sequence[ModelSource], models: Sequence[SingleModel]) -> None:
    first = models[0].metadata.skeleton
    for source, model in zip(sources, models, strict=True):
        skeleton = model.metadata.skeleton
        if skeleton.keypoint_names != first.keypoint_names:
            other = source if isinstance(source, str | Path) else "a network"
            raise RsnError(
                f"Models of an ensemble must predict the same keypoints: the first predicts the {len(first)} of"
                f" {first.name}, {other} the {len(skeleton)} of {skeleton.name}"
            )
