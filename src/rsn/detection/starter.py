"""The person detector included in rsn: the pose network with the outputs of `rsn.codecs.box`."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsn.codecs.arrays import as_array, library_of
from rsn.detection.postprocessing import Detections, filter_detections, nms
from rsn.errors import WeightsError
from rsn.geometry import Crop, Image, box_iou
from rsn.inference.backends import Backend, build_backend, choose, open_weights
from rsn.weights.metadata import (
    INPUT_MULTIPLE,
    DetectorMetadata,
    DetectorSettings,
    Metadata,
    ModelMetadata,
    WeightsMetadata,
)
from rsn.weights.sources import load_metadata

if TYPE_CHECKING:
    from torch import nn

STARTER, STARTER_WEIGHTS = "starter", "rsn18.people"
# Detectors included in the package, by name: the settings stored with the weights, and those with the best AP50 of
# benchmarks/detector_settings.csv.
STARTERS: dict[str, DetectorSettings | None] = {
    STARTER: None,
    "starter-best": DetectorSettings((256, 448, 576), flip_test=True, box_threshold=0.32),
}
MATCH_IOU = 0.5  # IoU from which two boxes are taken as those of one person
BATCH_SIZE = 16  # images, flipped ones included, per run of the network


@dataclass(frozen=True, eq=False)
class DetectorInputs:
    """An image in the sizes that the network takes.

    image_size: (height, width) of the image. crops: for each size the map between image and input.
    pixels: for each size (F, h, w, 3) uint8 RGB, with F = 2 for the image and the flipped image, else 1.
    """

    image_size: tuple[int, int]
    crops: list[Crop]
    pixels: list[Image]


class StarterDetector:
    """Detects persons with a network that was trained by rsn on boxes. A `NetworkDetector`.

    Args:
        backend: the network, for images of any size. metadata: of its weights.
        box_threshold: as in `open_detector`.
        settings: image sizes, flip test and box threshold; those of the metadata by default.

    Raises:
        WeightsError: weights that find keypoints, not people.
    """

    def __init__(
        self,
        backend: Backend,
        metadata: Metadata,
        *,
        box_threshold: float | None = None,
        settings: DetectorSettings | None = None,
    ) -> None:
        self.backend = backend
        self.metadata = _detector_metadata(metadata)
        self.settings = settings or self.metadata.detector
        self.box_threshold = self.settings.box_threshold if box_threshold is None else box_threshold

    @classmethod
    def from_weights(
        cls, weights: str | Path, *, backend: str = "auto", device: str = "auto", **options: Any
    ) -> "StarterDetector":
        """The detector of weights by name or file.

        Args:
            backend: what runs the network, as `PoseEstimator` takes it, but without torch.compile, which would compile
                anew for every size of images.
            device: as in `open_detector`. options: of the constructor.

        Raises:
            UnknownNameError, WeightsError, DeviceError, MissingDependencyError: as `backends.open_weights`.
        """
        _detector_metadata(load_metadata(weights))
        name, chosen = choose(backend.replace("-compile", ""), device)
        return cls(*open_weights(name, weights, chosen, any_size=True), **options)

    @classmethod
    def from_network(
        cls,
        network: "nn.Module",
        metadata: WeightsMetadata,
        *,
        backend: str = "torch",
        device: str = "auto",
        **options: Any,
    ) -> "StarterDetector":
        """The detector of a network in memory, of which a copy is used; arguments and errors as `from_weights`."""
        name, chosen = choose(backend.replace("-compile", ""), device)
        own = _detector_metadata(metadata)
        return cls(build_backend(name, network, own, chosen, any_size=True), own, **options)

    def __call__(self, image: Image) -> Detections:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        inputs = self.preprocess(image)
        (outputs,) = self.forward([inputs])
        return self.postprocess(inputs, outputs)

    def preprocess(self, image: Image) -> DetectorInputs:
        """(H, W, 3) uint8 RGB -> the image in each of the sizes."""
        height, width = image.shape[:2]
        inputs = DetectorInputs((height, width), [], [])
        for side in self.settings.image_sizes:
            crop = Crop.from_box([0, 0, width, height], input_size((height, width), side), (1.0, 1.0))
            crops = [crop, crop.flipped()] if self.settings.flip_test else [crop]
            inputs.crops.append(crop)
            inputs.pixels.append(np.stack([one.warp_antialiased(image) for one in crops]))
        return inputs

    def forward(self, inputs: Sequence[DetectorInputs]) -> list[list[Any]]:
        """Inputs of images -> for each image and each of its sizes the maps (1, 5, h/4, w/4).

        Images of one size run in a batch. With the flip test the maps are averaged over both flips.
        """
        every = [pixels for image in inputs for pixels in image.pixels]
        maps: dict[int, Any] = {}
        for shape in dict.fromkeys(pixels.shape for pixels in every):
            chosen = [index for index, pixels in enumerate(every) if pixels.shape == shape]
            batch = np.concatenate([every[index] for index in chosen]).transpose(0, 3, 1, 2)
            outputs = [self.backend(batch[start : start + BATCH_SIZE]) for start in range(0, len(batch), BATCH_SIZE)]
            joined = library_of(outputs[0]).concatenate(outputs)
            maps |= {index: joined[place * shape[0] :][: shape[0]] for place, index in enumerate(chosen)}
        averaged = iter([self._average(maps[index]) for index in range(len(every))])
        return [[next(averaged) for _ in image.pixels] for image in inputs]

    def postprocess(self, inputs: DetectorInputs, outputs: Sequence[Any]) -> Detections:
        """Inputs of an image and the maps of each of its sizes -> detections, as calling the detector."""
        per_size = [
            self._decode(crop, maps, inputs.image_size) for crop, maps in zip(inputs.crops, outputs, strict=True)
        ]
        boxes, scores = fuse_detections(per_size)
        sure = scores >= self.box_threshold
        return nms((boxes[sure], scores[sure]), MATCH_IOU)

    def _average(self, maps: Any) -> Any:
        """(F, 5, h, w) of an image and its flip -> (1, 5, h, w)."""
        return (maps[:1] + self.metadata.codec.flip_back(maps[1:])) / 2 if self.settings.flip_test else maps

    def _decode(self, crop: Crop, maps: Any, image_size: tuple[int, int]) -> Detections:
        """All boxes that the network finds in one size of the image."""
        corners, scores = self.metadata.codec.decode(maps)
        ends = crop.to_image(as_array(corners)[0].reshape(-1, 2)).reshape(-1, 4)
        return filter_detections(ends, as_array(scores)[0], image_size, 0.0)


def _detector_metadata(metadata: WeightsMetadata) -> DetectorMetadata:
    if isinstance(metadata, DetectorMetadata):
        return metadata
    found = f"find {metadata.skeleton.name} keypoints" if isinstance(metadata, ModelMetadata) else "find no persons"
    raise WeightsError(f"expected the weights of a detector, got weights that {found}")


def input_size(image_size: tuple[int, int], side: int) -> tuple[int, int]:
    """The input's (height, width) for an image (height, width), whose longer side gets `side` pixels.

    The other side is rounded up to what the network takes; a square would be black in a quarter of most images.
    """
    scale = side / max(image_size)
    height, width = (INPUT_MULTIPLE * ceil(max(1, round(scale * length)) / INPUT_MULTIPLE) for length in image_size)
    return height, width


def fuse_detections(per_scale: Sequence[Detections]) -> Detections:
    """The boxes of one image at several scales, fused.

    The score of a box is the mean, over all scales, of the best score among the boxes that match it; a scale without
    such a box counts 0. The box is the mean of these boxes, weighted by their scores.
    """
    all_boxes = np.concatenate([boxes for boxes, _ in per_scale])
    scores, sums = np.zeros(len(all_boxes)), np.zeros((len(all_boxes), 4))
    for boxes, confidence in per_scale:
        matching = np.where(box_iou(all_boxes, boxes) >= MATCH_IOU, confidence, 0.0)
        best = matching.max(1, initial=0.0)
        scores += best
        for index in np.flatnonzero(best):
            sums[index] += best[index] * boxes[matching[index].argmax()]
    return sums / np.maximum(scores, 1e-12)[:, None], scores / len(per_scale)
