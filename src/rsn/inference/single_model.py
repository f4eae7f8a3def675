"""One model, in three steps: image and boxes -> crops -> heatmaps -> persons."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from rsn.codecs.arrays import as_array, library_of
from rsn.geometry import Crop, FloatArray, Image
from rsn.inference.backends import Backend
from rsn.results import Person, PoseResult
from rsn.weights.metadata import ModelMetadata


@dataclass(frozen=True, eq=False)
class ImageCrops:
    """The boxes of one image, cut out for the network, and what its result needs.

    image_size: (height, width) of the image. bboxes: (N, 4) x, y, width, height in image pixels. box_scores: (N,).
    crops: for each box the map between image and input. pixels: (N, H, W, 3) uint8 RGB of the input's size.
    detected: whether a detector found the boxes; otherwise they were given.
    image: the image, where the result shall have it.
    others: the same boxes, cut out for the further models of an ensemble.
    """

    image_size: tuple[int, int]
    bboxes: FloatArray
    box_scores: FloatArray
    crops: list[Crop]
    pixels: Image
    detected: bool = False
    image: Image | None = None
    others: "tuple[ImageCrops, ...]" = ()

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True, eq=False)
class SingleModel:
    """One model: image and boxes -> crops (`preprocess`) -> heatmaps (`forward`) -> persons (`postprocess`).

    open: returns the backend that runs the network; with `low_memory` it is built anew for every run.
    metadata: of the weights.
    """

    open: Callable[[], Backend]
    metadata: ModelMetadata

    def preprocess(self, image: Image, bboxes: FloatArray, box_scores: FloatArray) -> ImageCrops:
        """An image (H, W, 3) uint8 RGB and boxes (N, 4) x, y, width, height in it -> their crops."""
        size = self.metadata.input_size
        crops = [Crop.from_box(bbox, size, self.metadata.bbox_padding) for bbox in bboxes]
        pixels = np.array([crop.warp(image) for crop in crops], np.uint8).reshape(-1, *size, 3)
        return ImageCrops(image.shape[:2], bboxes, box_scores, crops, pixels)

    def forward(self, images: Sequence[ImageCrops], *, flip_test: bool, batch_size: int) -> Any:
        """Crops of any number of images, at least one crop in all -> heatmaps (N, K, H/4, W/4), an array or a tensor.

        With `flip_test` the flipped crops go through the network in the same batch, and both outputs are averaged.
        """
        pixels = np.concatenate([image.pixels for image in images]).transpose(0, 3, 1, 2)
        backend = self.open()
        codec, skeleton = self.metadata.codec, self.metadata.skeleton
        batches = []
        for start in range(0, len(pixels), batch_size):
            crops = pixels[start : start + batch_size]
            outputs = backend(np.concatenate([crops, crops[..., ::-1]]) if flip_test else crops)
            if not codec.takes_arrays:
                import torch

                outputs = torch.as_tensor(outputs)
            if flip_test:
                outputs = (outputs[: len(crops)] + codec.flip_back(outputs[len(crops) :], skeleton.flip_indices)) / 2
            batches.append(outputs)
        return library_of(batches[0]).concatenate(batches)

    def postprocess(self, images: Sequence[ImageCrops], heatmaps: Any) -> list[PoseResult]:
        """The heatmaps of `forward` -> one result per image, keypoints in image pixels."""
        decoded = self._decoded(heatmaps)
        return [
            PoseResult(
                tuple(
                    Person(
                        bbox=bbox,
                        keypoints=crop.to_image(keypoints),
                        raw_scores=raw_scores,
                        raw_score=float(score * mean),
                        box_score=float(score),
                        skeleton=self.metadata.skeleton,
                        std=None if errors is None else errors / crop.scale,
                    )
                    for bbox, crop, score, (keypoints, raw_scores, mean, errors) in zip(
                        image.bboxes, image.crops, image.box_scores, decoded, strict=False
                    )
                ),
                self.metadata.skeleton,
                image.image_size,
                image.image,
                self.metadata.keypoint_threshold,
            )
            for image in images
        ]

    def _decoded(self, heatmaps: Any) -> Iterator[tuple[Any, ...]]:
        """Of one crop after the other: keypoints (K, 2), raw scores (K,) and their mean, and expected errors (K,).

        In input pixels; None instead of the errors for weights without a calibration.
        """
        if not len(heatmaps):
            return iter(())
        codec, uncertainty = self.metadata.codec, self.metadata.uncertainty
        keypoints, raw_scores = codec.decode(heatmaps)
        errors: Iterable[Any] = repeat(None, len(heatmaps))
        if uncertainty is not None:
            spread = codec.spread(heatmaps, keypoints)
            errors = as_array(uncertainty.expected_error(spread, codec.confidence(raw_scores))).astype(np.float64)
        means = codec.mean_score(raw_scores)
        found = (as_array(values).astype(np.float64) for values in (keypoints, raw_scores, means))
        return zip(*found, errors, strict=True)
