"""The models of an estimator: one, or several whose heatmaps are averaged on the crops of the first.

Models of an ensemble may differ in all but the skeleton: in input size, channel order, normalization, bbox_padding. What
they have in common is the image, so a cell of one model's heatmap is found in another's by way of the image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from rsn.errors import RsnError
from rsn.inference.backends import Backend, build_backend
from rsn.inference.exported import is_exported, open_exported
from rsn.results import Person
from rsn.weights.loading import PoseModel, load_model, pose_metadata
from rsn.weights.metadata import ModelMetadata

if TYPE_CHECKING:
    from rsn.inference.estimator import ImageWithBoxes, PersonCrop

ModelSource = str | Path | nn.Module


@dataclass(frozen=True, eq=False)
class Model:
    """One model: a scene -> crops (`preprocess`) -> heatmaps (`forward`) -> people (`postprocess`).

    open: gives the backend that runs it; where models are held one at a time it is built anew for every run.
    """

    open: Callable[[], Backend]
    metadata: ModelMetadata

    def preprocess(self, image_with_boxes: "ImageWithBoxes") -> "list[PersonCrop]":
        """The boxes of a scene, cut out for the model."""
        return image_with_boxes.views([self.metadata])

    def forward(self, views: "Sequence[PersonCrop]", *, flip: bool, batch_size: int) -> Tensor:
        """Heatmaps (N, K, H/4, W/4) of N views, at least one."""
        backend = self.open()
        batches = [views[start : start + batch_size] for start in range(0, len(views), batch_size)]
        with torch.inference_mode():
            return torch.cat(
                [run_with_flip(backend, self.metadata, _pixels_of(batch), flip=flip) for batch in batches]
            )

    def postprocess(self, views: "Sequence[PersonCrop]", heatmaps: Tensor) -> list[Person]:
        """Heatmaps (N, K, H/4, W/4) of N views -> people in image pixels."""
        codec = self.metadata.codec
        keypoints, scores = (answer.cpu().double() for answer in codec.decode(heatmaps))
        means = codec.mean_score(scores)
        return [
            Person(
                box=view.box,
                keypoints=view.crops[0].to_image(points),
                raw_scores=raw,
                raw_score=float(view.score * mean),
                box_score=view.score,
            )
            for view, points, raw, mean in zip(
                views, keypoints.numpy(), scores.numpy(), means.numpy(), strict=True
            )
        ]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Several models, whose heatmaps are averaged on the crops of the first, which also decodes them.

    shares: of the average, one for each model; 1 in sum.
    """

    models: Sequence[Model]
    shares: Sequence[float]

    @property
    def metadata(self) -> ModelMetadata:
        """Of the first model."""
        return self.models[0].metadata

    def preprocess(self, image_with_boxes: "ImageWithBoxes") -> "list[PersonCrop]":
        """The boxes of a scene, cut out for every model."""
        return image_with_boxes.views([model.metadata for model in self.models])

    def forward(self, views: "Sequence[PersonCrop]", *, flip: bool, batch_size: int) -> Tensor:
        """The average of all models' heatmaps, (N, K, H/4, W/4), of N views, at least one."""
        ours = [view.crops[0] for view in views]
        average = torch.zeros(())
        for number, (model, share) in enumerate(zip(self.models, self.shares, strict=True)):
            own = [view.of_model(number) for view in views]
            heatmaps = model.forward(own, flip=flip, batch_size=batch_size)
            theirs = [view.crops[0] for view in own]
            codec = model.metadata.codec
            average = average + share * codec.resample(heatmaps, theirs, self.metadata.codec, ours)
        return average

    def postprocess(self, views: "Sequence[PersonCrop]", heatmaps: Tensor) -> list[Person]:
        """As that of the first model."""
        return self.models[0].postprocess(views, heatmaps)


def load_models(
    sources: Sequence[ModelSource],
    all_metadata: Sequence[ModelMetadata],
    weights: Sequence[float] | None,
    *,
    backend: str,
    device: torch.device,
    keep: bool,
) -> Model | Ensemble:
    """A model, or an ensemble of several, checked against each other.

    Args:
        sources: names, files, or networks. metadata: of the networks among them, in their order.
        weights: shares of the average, one a model, in any unit; equal by default.
        backend, device: what runs them, and where, as `backends.choose` answers.
        keep: build every backend once and keep it, instead of reading the network anew for every run.

    Raises:
        RsnError: no model, weights that do not fit, or models of different skeletons.
        WeightsError: those of a detector.
        UnknownNameError, WeightsError: as `networks.weights.load_model` and `exported.open_exported`.
        DeviceError: as `backends.build_backend`.
    """
    if not sources:
        raise RsnError("an estimator needs at least one model")
    shares = [1.0] * len(sources) if weights is None else [float(weight) for weight in weights]
    if len(shares) != len(sources) or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise RsnError(f"{len(sources)} models need as many weights, none of them negative, not {shares}")
    given = iter(all_metadata)
    models = [_open_model(source, given, backend, device, keep=keep) for source in sources]
    _check_same_skeleton(sources, models)
    return models[0] if len(models) == 1 else Ensemble(models, [share / sum(shares) for share in shares])


def _open_model(
    source: ModelSource, all_metadata: Iterator[ModelMetadata], name: str, device: torch.device, *, keep: bool
) -> Model:
    if is_exported(source):
        backend, export = open_exported(Path(source), name, device)
        metadata = pose_metadata(export.metadata, source)
        if not keep:
            return Model(lambda: open_exported(Path(source), name, device)[0], metadata)
        return Model(lambda: backend, metadata)
    if isinstance(source, str | Path):
        model = load_model(source)
        if not keep:
            return Model(lambda: _backend_of(load_model(source), name, device), model.metadata)
    elif isinstance(source, PoseModel):
        model = source
    else:
        given = next(all_metadata, None)
        if given is None:
            raise TypeError("a network needs its metadata: PoseEstimator(network, metadata=...)")
        backend = build_backend(name, source, given, device)
        return Model(lambda: backend, given)
    backend = _backend_of(model, name, device)
    return Model(lambda: backend, model.metadata)


def _backend_of(model: PoseModel, name: str, device: torch.device) -> Backend:
    return build_backend(name, model.network, model.metadata, device)


def _check_same_skeleton(sources: Sequence[ModelSource], models: Sequence[Model]) -> None:
    first = models[0].metadata.skeleton
    for source, model in zip(sources, models, strict=True):
        skeleton = model.metadata.skeleton
        if skeleton.keypoint_names != first.keypoint_names:
            other = "a network" if isinstance(source, nn.Module) else source
            raise RsnError(
                f"models are averaged only where they find the same keypoints: the first finds the {len(first)} of"
                f" {first.name}, {other} the {len(skeleton)} of {skeleton.name}"
            )


def run_with_flip(backend: Backend, metadata: ModelMetadata, crops: Tensor, *, flip: bool) -> Tensor:
    """Crops (N, 3, H, W) uint8 RGB -> heatmaps (N, K, H/4, W/4) float32.

    With `flip` the flipped crops go through the network in the same batch, and both answers are averaged.
    """
    if not flip:
        return backend(crops)
    straight, flipped = backend(torch.cat([crops, crops.flip(-1)])).chunk(2)
    return (straight + metadata.codec.flip_back(flipped, metadata.skeleton.flip_indices)) / 2


def _pixels_of(views: "Sequence[PersonCrop]") -> Tensor:
    """The crops of the first model, (N, 3, H, W) uint8 RGB."""
    return torch.from_numpy(np.stack([view.pixels[0] for view in views])).permute(0, 3, 1, 2)
