"""The pose estimator: image -> boxes -> crops -> heatmaps -> keypoints -> `PoseResult`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, overload

import numpy as np

from rsn.detection.loading import open_detector
from rsn.detection.postprocessing import Detector
from rsn.detection.starter import STARTER
from rsn.errors import AnnotationError, ImageError, RsnError, check_threshold
from rsn.geometry import FloatArray, Image
from rsn.inference.backends import choose
from rsn.inference.box_checks import Boxes, BoxFormat, check_boxes, filter_boxes
from rsn.inference.ensemble import ModelSource, load_models
from rsn.inference.exported import backend_for, is_exported
from rsn.inference.pipeline import READERS, ImageInput, Pipeline
from rsn.inference.processes import PickledByArguments, check_process
from rsn.inference.single_model import ImageCrops
from rsn.inference.sources import ColorOrder, Source, is_collection, load_image
from rsn.oks import deduplicate
from rsn.results import PoseResult

BATCHES_PER_MODEL = 16  # batches that one model of an ensemble runs before the next is read, with low_memory
T = TypeVar("T")


class PoseEstimator(PickledByArguments):
    """Finds persons in images and estimates their keypoints.

        estimator = rsn.PoseEstimator("rsn18.starter")
        result = estimator("image.jpg")  # a PoseResult

    Any number of threads may call one estimator. In a process that was forked after an estimator was made, it raises an
    RsnError. It is pickled as the arguments of its constructor.

    The arguments say first what finds persons and keypoints (model, detector, ensemble_weights), then how it runs.

    Args:
        model: name of weights (`rsn.list_models`), a weights file, a file that `rsn export` wrote (.onnx, .xml), or a
            `rsn.PoseModel`, of which a copy is used. A list of them is an ensemble: their heatmaps are averaged on the
            crops of the first and decoded with its codec.
        detector: finds the boxes where none are given: a name or file as `rsn.open_detector` takes it, opened when it
            is first needed; a function image -> boxes (N, 4) x, y, width, height and scores (N,); or None.
        ensemble_weights: weight of each model in the average; equal by default.
        backend: what runs the networks, one of `backends.BACKENDS`. "auto" is the fastest one that is installed and as
            exact as PyTorch; for an exported file its own; for a PoseModel PyTorch.
        device: a PyTorch device; "auto" is the first of CUDA, MPS and CPU that is here and that the backend can use.
        batch_size: number of crops per run of the network.
        flip_test: also run the flipped crops and average the heatmaps: twice the time, slightly more accurate.
        person_threshold: persons with a lower score (box score times mean keypoint score) are left out. By default the
            threshold of the weights for detected persons, and none for persons in given boxes.
        box_threshold: detected boxes with a lower score are not used; by default the detector's own threshold.
        low_memory: keep only one model of an ensemble in memory. Each is then read anew for every 16 batches.
        allow_urls: also accept http and https URLs of images, at most 100 MB and 30 seconds each. Use it only with URLs
            that you trust: they may lead to servers that only this machine can reach.

    Attributes:
        model: a `SingleModel` or an `Ensemble`.
        metadata: of the first model.
        backend, device: what runs the models, and where.

    Raises:
        RsnError: an argument of another kind; models with different keypoints.
        UnknownNameError: no such model or backend. WeightsError: a weights file that cannot be read.
        DeviceError: the device or the backend is not available.
    """

    _kept = ("flip_test", "person_threshold", "batch_size", "allow_urls")

    def __init__(
        self,
        model: ModelSource | Sequence[ModelSource] = "rsn18.starter",
        *,
        detector: str | Path | Detector | None = STARTER,
        ensemble_weights: Sequence[float] | None = None,
        backend: str = "auto",
        device: str = "auto",
        batch_size: int = 32,
        flip_test: bool = False,
        person_threshold: float | None = None,
        box_threshold: float | None = None,
        low_memory: bool = False,
        allow_urls: bool = False,
    ) -> None:
        models: list[Any] = list(model) if isinstance(model, list | tuple) else [model]
        _check_arguments(models, detector, batch_size, person_threshold, box_threshold)
        self.backend, self.device = choose(_backend_for(models) if backend == "auto" else str(backend), str(device))
        self.model = load_models(
            models,
            ensemble_weights,
            backend=self.backend,
            device=self.device,
            low_memory=low_memory,
        )
        self.metadata = self.model.metadata
        self.batch_size = batch_size
        self.flip_test = flip_test
        self.person_threshold = person_threshold
        self.allow_urls = allow_urls
        self._box_threshold = box_threshold
        self._batches_per_group = BATCHES_PER_MODEL if low_memory else 1
        self._detector = detector
        # "auto" may be another backend and device for the detector than for the models.
        self._detector_backend, self._detector_device = str(backend), str(device)
        self._opening = Lock()

    @overload
    def __call__(
        self,
        source: list[Any] | tuple[Any, ...],
        boxes: Any = None,
        *,
        box_format: BoxFormat | None = None,
        box_scores: Any = None,
        color_order: ColorOrder = "RGB",
        keep_image: bool = True,
    ) -> list[PoseResult]: ...
    @overload
    def __call__(
        self,
        source: Iterator[Any],
        boxes: Any = None,
        *,
        box_format: BoxFormat | None = None,
        box_scores: Any = None,
        color_order: ColorOrder = "RGB",
        keep_image: bool = True,
    ) -> Iterator[PoseResult]: ...
    @overload
    def __call__(
        self,
        source: Source,
        boxes: Any = None,
        *,
        box_format: BoxFormat | None = None,
        box_scores: Any = None,
        color_order: ColorOrder = "RGB",
        keep_image: bool = True,
    ) -> PoseResult: ...
    def __call__(
        self,
        source: Any,
        boxes: Any = None,
        *,
        box_format: BoxFormat | None = None,
        box_scores: Any = None,
        color_order: ColorOrder = "RGB",
        keep_image: bool = True,
    ) -> PoseResult | list[PoseResult] | Iterator[PoseResult]:
        """The persons of one or several images.

        Persons in given boxes come in the order of the boxes, detected ones best first.

        Args:
            source: the path of an image file, its bytes or an open file, a PIL image, a uint8 array (H, W, 3) RGB,
                (H, W, 4) or (H, W), or a uint8 tensor (3, H, W); with `allow_urls` also a URL. A list or tuple of them
                gives a list of results; a generator gives a generator, which holds few images at a time. Crops are
                batched across images.
            boxes: (N, 4) in image pixels with `box_format`, "whole" for one box of the whole image, or a PoseResult;
                None lets the detector find them. For several images: one of these per image in a list or generator,
                or "whole" or None for all.
            box_format: "xywh" (x, y, width, height) or "xyxy" (left, top, right, bottom).
            box_scores: (N,) in [0, 1], 1 by default; for several images one array per image.
            color_order: "RGB" or "BGR", of arrays and tensors.
            keep_image: whether the results hold their images, as `plot` needs them.

        Raises:
            ImageError: a source that is not an image. DownloadError: a URL that cannot be downloaded.
            AnnotationError: boxes that do not fit the image, or none and no detector. RsnError: the detector cannot be
            opened.
        """
        check_process()
        if color_order not in ("RGB", "BGR"):
            raise ImageError(f"Invalid color_order: expected 'RGB' or 'BGR', got {color_order!r:.80}")
        if boxes is None and box_scores is not None:
            raise AnnotationError("Invalid box_scores: expected None without boxes; pass the boxes, too")

        def read(item: tuple[Any, Any, Any]) -> ImageInput:
            source, boxes, scores = item
            image = load_image(source, color_order=color_order, allow_urls=self.allow_urls)
            given = None if boxes is None else check_boxes(boxes, scores, box_format, image.shape[:2])
            return ImageInput(image, given)

        if not is_collection(source):
            one = read((source, boxes, box_scores))
            found = self.detect(one.image) if one.boxes is None else one.boxes
            crops = self.preprocess(one.image, *found, detected=one.boxes is None, keep_image=keep_image)
            return self.predict([crops])[0]
        if isinstance(source, list | tuple) and not source:
            raise ImageError(f"Invalid source: expected at least one image, got an empty {type(source).__name__}")
        results = self._predict_all(_zipped(source, boxes, box_scores), read, keep_image=keep_image)
        return list(results) if isinstance(source, list | tuple) else results

    def detect(self, image: Image) -> Boxes:
        """The boxes (N, 4) x, y, width, height and scores (N,) that the detector finds in (H, W, 3) uint8 RGB.

        Raises:
            AnnotationError: the estimator has no detector. RsnError: it cannot be opened.
        """
        detector = self.detector
        if detector is None:
            raise AnnotationError("Invalid boxes: this estimator has no detector, so it needs boxes; got None")
        return self.check_detections(detector(image), image.shape[:2])

    def check_detections(self, found: Any, image_size: tuple[int, int]) -> Boxes:
        """What a detector found in an image (height, width) -> usable boxes that reach the box threshold.

        Raises:
            AnnotationError: something else than boxes and scores.
        """
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise AnnotationError(
                f"Invalid detector: expected boxes (N, 4) and scores (N,), got {type(found).__name__}"
            )
        bboxes, box_scores = found
        boxes, scores, _ = filter_boxes(bboxes, box_scores, image_size)
        sure = scores >= (-np.inf if self._box_threshold is None else self._box_threshold)
        return boxes[sure], scores[sure]

    def preprocess(
        self,
        image: Image,
        bboxes: FloatArray,
        box_scores: FloatArray,
        *,
        detected: bool = False,
        keep_image: bool = True,
    ) -> ImageCrops:
        """An image (H, W, 3) uint8 RGB and boxes in it -> the crops that the models need.

        Args:
            bboxes: (N, 4) x, y, width, height, as `detect`, `check_boxes` and `filter_boxes` return them.
            box_scores: (N,).
            detected: whether a detector found the boxes; see `select`.
            keep_image: whether the result holds the image.
        """
        check_process()
        crops = self.model.preprocess(image, bboxes, box_scores)
        return replace(crops, detected=detected, image=image if keep_image else None)

    def forward(self, images: Sequence[ImageCrops]) -> Any:
        """The crops of all images -> heatmaps (N, K, H/4, W/4) on the crops of the first model."""
        if not any(map(len, images)):
            return np.empty(0, np.float32)
        return self.model.forward(images, flip_test=self.flip_test, batch_size=self.batch_size)

    def postprocess(self, images: Sequence[ImageCrops], heatmaps: Any) -> list[PoseResult]:
        """Heatmaps -> the persons of each image, all of them."""
        return self.model.postprocess(images, heatmaps)

    def select(self, result: PoseResult, *, detected: bool) -> PoseResult:
        """The persons that are reported: detected ones without duplicates, best first; none below the threshold.

        Persons in given boxes all stay, in their order, unless a `person_threshold` was given.
        """
        threshold = self.person_threshold
        if detected:
            result = deduplicate(result)
            result = result[np.argsort(-result.person_scores, kind="stable")]
            threshold = self.metadata.person_threshold if threshold is None else threshold
        return result if threshold is None else result[result.person_scores >= threshold]

    def predict(self, images: Sequence[ImageCrops]) -> list[PoseResult]:
        """The persons of images that were preprocessed, one result per image."""
        return self.finish(images, self.forward(images))

    def finish(self, images: Sequence[ImageCrops], heatmaps: Any) -> list[PoseResult]:
        """Heatmaps -> the persons of each image that are reported."""
        results = self.postprocess(images, heatmaps)
        return [self.select(result, detected=crops.detected) for crops, result in zip(images, results, strict=True)]

    def stream(
        self,
        items: Iterable[T],
        read: Callable[[T], ImageInput],
        *,
        threads: int = READERS,
        keep_image: bool = True,
    ) -> Iterator[tuple[T, PoseResult | RsnError]]:
        """Any number of images in bounded memory: each item in order, with its result or the error of `read`.

        Args:
            read: an item -> its image, and boxes if it has some; called by threads. An RsnError that it raises is
                returned.
            threads: how many call it. keep_image: whether results hold their image.
        """
        group_size = self.batch_size * self._batches_per_group
        return Pipeline(self, read, keep_image=keep_image, group_size=group_size).run(items, threads=threads)

    @property
    def detector(self) -> Detector | None:
        """The detector, opened at the first use; raises what `open_detector` raises."""
        with self._opening:
            if isinstance(self._detector, str | Path):
                self._detector = open_detector(
                    self._detector,
                    backend=self._detector_backend,
                    device=self._detector_device,
                    box_threshold=self._box_threshold,
                )
            return self._detector

    def _predict_all(
        self, items: Iterable[tuple[Any, Any, Any]], read: Callable[[Any], ImageInput], *, keep_image: bool
    ) -> Iterator[PoseResult]:
        for number, (_, result) in enumerate(self.stream(items, read, keep_image=keep_image)):
            if isinstance(result, RsnError):
                raise type(result)(f"image {number}: {result}") if type(result) in _NUMBERED else result
            yield result


_NUMBERED = (ImageError, AnnotationError)  # errors that name the image of a collection


def _check_arguments(
    models: Sequence[Any],
    detector: Any,
    batch_size: Any,
    person_threshold: float | None,
    box_threshold: float | None,
) -> None:
    for model in models:
        if isinstance(model, str | Path):
            continue
        from torch.nn import Module

        from rsn.weights.loading import PoseModel

        if isinstance(model, Module) and not isinstance(model, PoseModel):
            raise RsnError(
                f"Invalid model: expected a name, a file or a PoseModel, got {type(model).__name__}; pass"
                " rsn.PoseModel(network, metadata)"
            )
        if not isinstance(model, PoseModel):
            raise RsnError(f"Invalid model: expected a name, a file or a PoseModel, got {model!r:.80}")
    if not (detector is None or isinstance(detector, str | Path) or callable(detector)):
        raise RsnError(f"Invalid detector: expected a name, a file, a function or None, got {detector!r:.80}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise RsnError(f"Invalid batch_size: expected a whole number from 1, got {batch_size!r:.80}")
    for name, threshold in (("person_threshold", person_threshold), ("box_threshold", box_threshold)):
        if threshold is not None:
            check_threshold(name, threshold)


def _backend_for(models: Sequence[ModelSource]) -> str:
    exported = [model for model in models if is_exported(model)]
    if exported:
        return backend_for(exported)
    return "auto" if all(isinstance(model, str | Path) for model in models) else "torch"


def _zipped(source: Iterable[Any], boxes: Any, box_scores: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Each image with its boxes and their scores."""
    all_boxes, all_scores = _per_image("boxes", boxes, source), _per_image("box_scores", box_scores, source)
    for number, image in enumerate(source):
        try:
            item = image, next(all_boxes), next(all_scores)
        except StopIteration:
            raise AnnotationError(f"Invalid boxes: expected boxes for every image, got them for {number}") from None
        yield item


def _per_image(name: str, values: Any, source: Iterable[Any]) -> Iterator[Any]:
    """The boxes or the scores of one image after the other."""
    if values is None or (name == "boxes" and isinstance(values, str)):
        return repeat(values)
    if not is_collection(values):
        raise AnnotationError(f"Invalid {name}: expected a list with one entry per image, got {type(values).__name__}")
    if isinstance(source, list | tuple) and isinstance(values, list | tuple) and len(values) != len(source):
        raise AnnotationError(f"Invalid {name}: expected {len(source)}, one per image, got {len(values)}")
    return iter(values)
