"""Image and boxes -> people: the predict road from end to end."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from rsn.data.values import MIN_BOX_SIZE
from rsn.detection.loading import STARTER, open_detector
from rsn.detection.postprocessing import Detector
from rsn.errors import AnnotationError, RsnError
from rsn.geometry import Crop, Image
from rsn.inference.backends import choose
from rsn.inference.box_checks import BoxNotes, usable_boxes
from rsn.inference.ensemble import Ensemble, ModelSource, load_models, run_with_flip
from rsn.inference.exported import backend_for, is_exported
from rsn.inference.processes import MadeFromArguments, check_process
from rsn.io.images import as_rgb
from rsn.oks import deduplicate
from rsn.results import Person, check_threshold
from rsn.weights.metadata import ModelMetadata

BATCHES_PER_MODEL = 16  # that go through one model before the next is read, where they are read one at a time


@dataclass(frozen=True, eq=False)
class ImageWithBoxes:
    """An image and where its people are.

    image: (H, W, 3) uint8 RGB. boxes: (N, 4) x, y, width, height in image pixels. box_scores: (N,), 1 by default.
    """

    image: Image
    boxes: NDArray[np.float64]
    box_scores: NDArray[np.float64]

    @classmethod
    def of(cls, image: Image, boxes: ArrayLike, box_scores: ArrayLike | None = None) -> "ImageWithBoxes":
        """Check and convert.

        Raises:
            ImageError: what `rsn.io.images.as_rgb` does not take.
            AnnotationError: a box that is not four finite numbers, is less than a pixel wide or high, or lies outside
                the image; scores that do not match the boxes or are not finite.
        """
        image_with_boxes = cls._shaped(image, boxes, box_scores)
        height, width = image_with_boxes.image.shape[:2]
        for box in image_with_boxes.boxes:
            _check_box(box, width, height)
        if not np.isfinite(image_with_boxes.box_scores).all():
            raise AnnotationError("a box's score is a finite number; leave out boxes without one")
        return image_with_boxes

    @classmethod
    def within(
        cls, image: Image, boxes: ArrayLike, box_scores: ArrayLike | None = None
    ) -> "tuple[ImageWithBoxes, BoxNotes]":
        """As `of`, but boxes that it would refuse are left out; what is to be said about them is returned, too.

        For boxes of a file or a detector, of which one must not keep the others from being looked at.

        Raises:
            ImageError: what `rsn.io.images.as_rgb` does not take.
            AnnotationError: boxes that are no rows of four numbers; scores that do not match them.
        """
        image_with_boxes = cls._shaped(image, boxes, box_scores)
        height, width = image_with_boxes.image.shape[:2]
        usable, notes = usable_boxes(image_with_boxes.boxes, image_with_boxes.box_scores, (height, width))
        return cls(
            image_with_boxes.image, image_with_boxes.boxes[usable], image_with_boxes.box_scores[usable]
        ), notes

    @classmethod
    def _shaped(cls, image: Image, boxes: ArrayLike, box_scores: ArrayLike | None) -> "ImageWithBoxes":
        image = as_rgb(image)
        checked = _numbers(boxes, "boxes must be rows of x, y, width, height")
        checked = checked.reshape(0, 4) if checked.size == 0 else np.atleast_2d(checked)
        scores = (
            np.ones(len(checked)) if box_scores is None else _numbers(box_scores, "a box's score is a number")
        )
        if checked.shape[1:] != (4,):
            raise AnnotationError(f"boxes must be rows of x, y, width, height, not of shape {checked.shape}")
        if scores.shape != (len(checked),):
            raise AnnotationError(f"{len(checked)} boxes came with {scores.size} scores")
        return cls(image, checked, scores)

    def views(self, all_metadata: Sequence[ModelMetadata]) -> "list[PersonCrop]":
        """The boxes, cut out for every model."""
        return [
            PersonCrop.from_box(self.image, box, float(score), all_metadata)
            for box, score in zip(self.boxes, self.box_scores, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class PersonCrop:
    """One box as the models see it. It does not hold on to the image, so that many can wait for their turn.

    crops: one a model. pixels: one a model, (height, width, 3) uint8 RGB of its input size.
    """

    box: NDArray[np.float64]
    score: float
    crops: list[Crop]
    pixels: list[Image]

    @classmethod
    def from_box(
        cls, image: Image, box: NDArray[np.float64], score: float, all_metadata: Sequence[ModelMetadata]
    ) -> "PersonCrop":
        """Cut a box out of an image for the models of these metadata; equal crops are cut once."""
        crops = [Crop.from_box(box, metadata.input_size, metadata.bbox_padding) for metadata in all_metadata]
        cut: dict[tuple[tuple[int, int], bytes], Image] = {}
        for crop in crops:
            key = (crop.size, crop.matrix.tobytes())
            if key not in cut:
                cut[key] = crop.warp(image)
        return cls(box, score, crops, [cut[crop.size, crop.matrix.tobytes()] for crop in crops])

    def of_model(self, number: int) -> "PersonCrop":
        """The box as one of the models sees it."""
        return PersonCrop(self.box, self.score, [self.crops[number]], [self.pixels[number]])


class PoseEstimator(MadeFromArguments):
    """Finds the keypoints of people in images.

    Any number of threads may call one. In a process that was forked after one was made it raises an `RsnError`. Pickled
    and read, it is made anew from its arguments; one of a network that was passed in cannot be pickled.

    Args:
        model: a weight's name (`rsn18.starter`), a weights file, a file that `rsn export` wrote (.onnx, .xml), or a
            network (then with `metadata`), of which a copy as it is now is used. Or several of them, whose heatmaps are
            averaged (an ensemble): each sees the boxes at its own input size, and the keypoints are read off on the
            crops of the first, with the codec of the first.
        metadata: what belongs to a network that was passed in, or to each of them; with a name or a file the file's own
            metadata is used.
        weights: how much each model of an ensemble counts; equally by default.
        low_memory: hold only one model of an ensemble in memory. Each is then read again for every
            16 batches, which costs little where a batch takes long.
        detector: finds the boxes where none are given: a name or file as `inference.detection.open_detector` takes it,
            opened when it is first needed, or any function of that kind; None where boxes are always given.
        backend: what runs the network, one of `backends.BACKENDS`; "auto" takes the fastest that is installed and as
            exact as PyTorch, see `backends.choose`, or that of an exported file, or PyTorch for a network that was
            passed in (others convert it first, which takes seconds).
        device: "auto" (the first of CUDA, MPS and the CPU that is here and the backend can use) or a PyTorch device.
        person_threshold: people whose score (box score times mean keypoint score) is lower are left out. By default
            detected people below what the weights say are left out, and people in given boxes are all reported.
        flip: also run each crop flipped and average the heatmaps (flip test): twice the work, a little better.
        batch_size: crops in one run of the network.

    Attributes:
        model: what estimates, a `Model` or an `Ensemble`.
        metadata: of the first model.
        backend: what runs the models.
        device: where.
        detector: what finds the boxes; None where nothing does.

    Raises:
        UnknownNameError: no such backend.
        UnknownNameError, WeightsError: as `networks.weights.load_model`.
        RsnError: models of different skeletons, or weights that do not fit the models.
        DeviceError: the device or backend was asked for and is not there.
    """

    _kept = ("person_threshold", "flip", "batch_size", "group_size")

    def __init__(
        self,
        model: ModelSource | Sequence[ModelSource] = "rsn18.starter",
        *,
        metadata: ModelMetadata | Sequence[ModelMetadata] = (),
        weights: Sequence[float] | None = None,
        low_memory: bool = False,
        detector: str | Path | Detector | None = STARTER,
        backend: str = "auto",
        device: str = "auto",
        person_threshold: float | None = None,
        flip: bool = False,
        batch_size: int = 32,
    ) -> None:
        if batch_size < 1:
            raise RsnError(f"a batch has at least 1 crop, not {batch_size}")
        if not isinstance(model, str | Path | nn.Module | Sequence):
            raise RsnError(f"a model is a name, a file or a network of rsn's, not {model!r:.80}")
        sources = [model] if isinstance(model, str | Path | nn.Module) else list(model)
        all_metadata = [metadata] if isinstance(metadata, ModelMetadata) else list(metadata)
        if backend == "auto":
            backend = _backend_for(sources)
        self.backend, self.device = choose(backend, device)
        self._device_name = device  # a detector that "auto" is for may choose another device
        self.model = load_models(
            sources, all_metadata, weights, backend=self.backend, device=self.device, keep=not low_memory
        )
        self.metadata = self.model.metadata
        self._detector = detector
        self._opening = Lock()
        if person_threshold is not None:
            check_threshold("person_threshold", person_threshold)
        self.person_threshold = person_threshold
        self.flip = flip
        self.batch_size = batch_size
        self.group_size = batch_size * (BATCHES_PER_MODEL if low_memory else 1)

    @property
    def detector(self) -> Detector | None:
        """Opened here, since many never need it; raises what `open_detector` does."""
        with self._opening:
            if isinstance(self._detector, str | Path):
                self._detector = open_detector(self._detector, device=self._device_name)
            return self._detector

    def __call__(
        self, image: Image, boxes: ArrayLike | None = None, box_scores: ArrayLike | None = None
    ) -> list[Person]:
        """The people of one image that `select` reports: in the order of given boxes, or detected and best first.

        A person's score is that of the box times the mean keypoint score.

        Args:
            image: (H, W, 3) uint8 RGB, or RGBA or gray, see `rsn.io.images.as_rgb`.
            boxes: (N, 4) x, y, width, height in image pixels; without them the detector finds them.
            box_scores: (N,), 1 by default.

        Raises:
            ImageError: an image of another kind.
            AnnotationError: boxes that cannot be (see `ImageWithBoxes.of`), or none given and no detector.
            RsnError: a detector that cannot be opened, as `open_detector` says it.
        """
        check_process()
        image = as_rgb(image)
        if boxes is None:
            if self.detector is None:
                raise AnnotationError("no boxes were given and this estimator has no detector; pass boxes")
            image_with_boxes, _ = ImageWithBoxes.within(image, *self.detector(image))
            (people,) = self.estimate([image_with_boxes])
            return self.select(people)
        (people,) = self.estimate([ImageWithBoxes.of(image, boxes, box_scores)])
        return self.select(people, detection_boxes=False)

    def select(self, people: Sequence[Person], *, detection_boxes: bool = True) -> list[Person]:
        """The people of one image that are reported: all but those below `person_threshold`.

        detected: whether a detector found their boxes. Then duplicates are removed (see `oks.deduplicate`), the best
        come first, and the threshold is by default that of the weights; otherwise there is none by default.
        """
        threshold = self.person_threshold
        if threshold is None:
            threshold = self.metadata.person_threshold if detection_boxes else 0.0
        if detection_boxes:
            people = sorted(deduplicate(people, self.metadata.skeleton), key=lambda person: -person.score)
        return [person for person in people if person.score >= threshold]

    def estimate(self, images_with_boxes: Iterable[ImageWithBoxes]) -> Iterator[list[Person]]:
        """People of many images, crops batched across them; one list a scene, in order."""
        return self.predict_crops(map(self.preprocess, images_with_boxes))

    def preprocess(self, image_with_boxes: ImageWithBoxes) -> list[PersonCrop]:
        """The boxes of a scene as the models see them: all that `predict_crops` needs of it."""
        check_process()
        return self.model.preprocess(image_with_boxes)

    def forward(self, views: Sequence[PersonCrop]) -> Tensor:
        """Views of any number of scenes -> heatmaps (N, K, H/4, W/4) on the crops of the first model."""
        return self.model.forward(views, flip=self.flip, batch_size=self.batch_size)

    def postprocess(self, views: Sequence[PersonCrop], heatmaps: Tensor) -> list[Person]:
        """Heatmaps (N, K, H/4, W/4) -> people, one for each view, in image pixels."""
        return self.model.postprocess(views, heatmaps)

    def predict_crops(self, crops_of_images: Iterable[list[PersonCrop]]) -> Iterator[list[Person]]:
        """`estimate` for scenes that were preprocessed before, maybe by other threads."""
        for group in _grouped(crops_of_images, self.group_size):
            views = [view for views in group for view in views]
            people = iter(self.postprocess(views, self.forward(views)) if views else [])
            for views in group:
                yield [next(people) for _ in views]

    def heatmaps(self, inputs: Tensor) -> Tensor:
        """Crops (N, 3, H, W) uint8 RGB of the first model -> its heatmaps (N, K, H/4, W/4)."""
        first = self.model.models[0] if isinstance(self.model, Ensemble) else self.model
        with torch.inference_mode():
            return run_with_flip(first.open(), first.metadata, inputs, flip=self.flip)


def _backend_for(sources: Sequence[ModelSource]) -> str:
    exported = [source for source in sources if is_exported(source)]
    if exported:
        return backend_for(exported)
    return "torch" if any(isinstance(source, nn.Module) for source in sources) else "auto"


def _numbers(values: ArrayLike, expected: str) -> NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:  # ragged rows, names, dictionaries, tensors on a GPU
        raise AnnotationError(f"{expected}, not {str(values)[:80]} ({error})") from error


def _check_box(box: NDArray[np.float64], image_width: int, image_height: int) -> None:
    text = ", ".join(f"{value:g}" for value in box)
    x, y, width, height = box
    if not np.isfinite(box).all():
        raise AnnotationError(f"box ({text}) holds a number that is not finite")
    if width < MIN_BOX_SIZE or height < MIN_BOX_SIZE:
        raise AnnotationError(
            f"box ({text}) is less than a pixel wide or high; boxes are x, y, width, height in pixels, not in shares of"
            " the image"
        )
    if x >= image_width or y >= image_height or x + width <= 0 or y + height <= 0:
        raise AnnotationError(f"box ({text}) lies outside the image of {image_width} x {image_height} pixels")


def _grouped(images_with_boxes: Iterable[list[PersonCrop]], size: int) -> Iterator[list[list[PersonCrop]]]:
    """Scenes in groups that end with so many boxes, or so many scenes with few boxes."""
    group: list[list[PersonCrop]] = []
    for views in images_with_boxes:
        group.append(views)
        if max(len(group), sum(map(len, group))) >= size:
            yield group
            group = []
    if group:
        yield group
