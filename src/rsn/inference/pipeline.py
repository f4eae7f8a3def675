"""Any number of images -> results, stage after stage, in bounded memory.

    read -> detector's network -> crop -> pose network -> decode

The networks run in the caller's thread, one after the other, because each uses all cores. Threads do the rest
meanwhile. Folders, videos, `rsn bulk` and collections of images in Python all go through this pipeline.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rsn.detection.postprocessing import NetworkDetector
from rsn.errors import RsnError
from rsn.geometry import Image
from rsn.inference.box_checks import Boxes
from rsn.inference.prefetch import ordered_map
from rsn.inference.single_model import ImageCrops
from rsn.results import PoseResult

if TYPE_CHECKING:
    from rsn.inference.estimator import PoseEstimator

READERS = 2  # threads that read images
TOGETHER = 8  # images whose persons are detected together, and images that are read before they are needed
CROPPED_AHEAD = 4  # images
GROUPS_AHEAD = 2  # groups of images between the pose network and the decoder
MAX_BYTES = 200_000_000  # of the images of a group
T = TypeVar("T")
G = TypeVar("G")


@dataclass(frozen=True, eq=False)
class ImageInput:
    """An image (H, W, 3) uint8 RGB, and the boxes in it with their scores; without boxes the detector finds them."""

    image: Image
    boxes: Boxes | None = None


@dataclass(eq=False)
class _Work(Generic[T]):
    """An item on its way through the stages; after an error it passes the later ones unchanged."""

    item: T
    error: RsnError | None = None
    source: ImageInput | None = None
    boxes: Boxes | None = None
    inputs: Any = None  # of the detector's network
    outputs: Any = None
    crops: ImageCrops | None = None

    @contextmanager
    def keep_error(self) -> Iterator[None]:
        """Keep an RsnError of the block."""
        try:
            yield
        except RsnError as error:
            self.error = error


class Pipeline(Generic[T]):
    """The stages for the images of one estimator.

    Args:
        read: reads an item; called by threads. An RsnError that it raises is returned as the result of the item.
        keep_image: whether results hold their image.
        group_size: crops that go through the pose network together, and at most so many images.
    """

    def __init__(
        self, estimator: "PoseEstimator", read: Callable[[T], ImageInput], *, keep_image: bool, group_size: int
    ) -> None:
        self._estimator = estimator
        self._read = read
        self._keep_image = keep_image
        self._group_size = group_size

    def run(self, items: Iterable[T], *, threads: int = READERS) -> Iterator[tuple[T, PoseResult | RsnError]]:
        """Each item in order, with its result or its error. threads: how many read."""
        read = ordered_map(self._prepare, items, threads=threads, ahead=max(TOGETHER, 2 * threads))
        detected = chain.from_iterable(map(self._detect, _groups(read, _is_full)))
        cropped = ordered_map(self._crop, detected, threads=1, ahead=CROPPED_AHEAD)
        estimated = map(self._estimate, _groups(cropped, self._is_full))
        for results in ordered_map(self._decode, estimated, threads=1, ahead=GROUPS_AHEAD):
            yield from results

    def _prepare(self, item: T) -> _Work[T]:
        """Read an item, and prepare its image for the detector's network."""
        work = _Work(item)
        with work.keep_error():
            work.source = source = self._read(item)
            if source.boxes is not None:
                work.boxes = source.boxes
            elif isinstance(detector := self._estimator.detector, NetworkDetector):
                work.inputs = detector.preprocess(source.image)
            else:
                work.boxes = self._estimator.detect(source.image)
        return work

    def _detect(self, group: Sequence[_Work[T]]) -> Sequence[_Work[T]]:
        """Run the detector's network."""
        waiting = [work for work in group if work.inputs is not None]
        if waiting:
            detector: Any = self._estimator.detector
            for work, outputs in zip(waiting, detector.forward([work.inputs for work in waiting]), strict=True):
                work.outputs = outputs
        return group

    def _crop(self, work: _Work[T]) -> _Work[T]:
        """Find the boxes in the outputs of the detector's network, and cut them out."""
        if work.source is None or work.error is not None:
            return work
        with work.keep_error():
            image = work.source.image
            if work.inputs is not None:
                detector: Any = self._estimator.detector
                found = detector.postprocess(work.inputs, work.outputs)
                work.boxes = self._estimator.check_detections(found, image.shape[:2])
                work.inputs = work.outputs = None
            assert work.boxes is not None
            work.crops = self._estimator.preprocess(
                image, *work.boxes, detected=work.source.boxes is None, keep_image=self._keep_image
            )
        return work

    def _estimate(self, group: Sequence[_Work[T]]) -> tuple[Sequence[_Work[T]], Any]:
        """Run the pose network."""
        return group, self._estimator.forward([work.crops for work in group if work.crops is not None])

    def _decode(self, estimated: tuple[Sequence[_Work[T]], Any]) -> list[tuple[T, PoseResult | RsnError]]:
        """Find the keypoints in the heatmaps."""
        group, heatmaps = estimated
        results = iter(self._estimator.finish([work.crops for work in group if work.crops is not None], heatmaps))
        return [(work.item, next(results) if work.error is None else work.error) for work in group]

    def _is_full(self, group: Sequence[_Work[T]]) -> bool:
        crops = sum(len(work.crops) for work in group if work.crops is not None)
        return max(len(group), crops) >= self._group_size or _bytes(group) >= MAX_BYTES


def _is_full(group: Sequence[_Work[Any]]) -> bool:
    """Whether a group for the detector is full."""
    return len(group) >= TOGETHER or _bytes(group) >= MAX_BYTES


def _bytes(group: Sequence[_Work[Any]]) -> int:
    return sum(work.source.image.nbytes for work in group if work.source is not None)


def _groups(items: Iterable[G], is_full: Callable[[list[G]], bool]) -> Iterator[list[G]]:
    """Items in lists, each closed as soon as it is full."""
    group: list[G] = []
    for item in items:
        group.append(item)
        if is_full(group):
            yield group
            group = []
    if group:
        yield group
