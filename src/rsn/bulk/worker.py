"""An actor that holds the network and turns parts into files."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rsn.bulk.output import Output, Settings
from rsn.bulk.parts import Columns, Part, StoredImage, images_of
from rsn.bulk.storage import UnreachableError
from rsn.errors import RsnError
from rsn.inference.box_checks import BoxNotes
from rsn.inference.box_sources import BoxFile, BoxSource, detection_boxes, whole_image_boxes
from rsn.inference.images import estimate_images
from rsn.io.images import decode_image

READERS_HERE = 2  # threads that read and decode images
READERS_ELSEWHERE = 16  # of which most wait for a store to answer
MAX_RETRIES = 3  # of workers at one part in one run, after which the part is left alone
T = TypeVar("T")


@dataclass
class PartResult:
    """What became of a part.

    seconds, waiting: how long it took, and how long of that the network waited for images.
    by: what ran the network, and where, such as "openvino on cpu". notes: what is to be said about the boxes.
    failed: why the part is not done; empty where it is. hopeless: all other parts would fail for the same reason.
    """

    part: int
    images: int = 0
    people: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    by: str = ""
    notes: BoxNotes = field(default_factory=BoxNotes)
    failed: str = ""
    fatal: bool = False


class Worker:
    """Holds the network from the first part on. It is called with parts and writes them; Ray may run it anywhere.

    output: the folder. run: a name of the run, which no other has. threads: of the network on a CPU.
    """

    def __init__(
        self, settings: Settings, output: str, run: str, device: str, batch_size: int, threads: int
    ) -> None:
        self._settings = settings
        self._output = output
        self._run = run
        self._device = device
        self._batch_size = batch_size
        self._threads = threads
        self._opened = False

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Numbers and JSON of parts -> what became of them."""
        pairs = zip(batch["number"], batch["part"], strict=True)
        return {"done": [self.do(int(number), Part.from_json(str(line))) for number, line in pairs]}

    def do(self, number: int, part: Part) -> PartResult:
        """Do a part. An error is returned and not raised, so that the other parts get done."""
        try:
            if not self._opened:
                self._open()
        except RsnError as error:
            return PartResult(number, failed=str(error), fatal=True)
        try:
            output = Output(self._output)
            if output.begin(number, self._run) > MAX_RETRIES:
                return PartResult(
                    number, failed=f"it was begun {MAX_RETRIES} times, and each time its worker died"
                )
            return self._estimate(number, part, output)
        except (RsnError, UnreachableError) as error:
            return PartResult(number, failed=str(error))
        except Exception as error:
            return PartResult(number, failed=f"{type(error).__name__}: {error}")

    def _open(self) -> None:
        import torch

        from rsn.inference.estimator import PoseEstimator

        torch.set_num_threads(self._threads)  # Ray's own choice is one
        self._boxes = _box_source(self._settings, self._device)
        self._estimator = PoseEstimator(
            self._settings.model,
            backend=self._settings.backend,
            device=self._device,
            person_threshold=self._settings.person_threshold,
            flip=self._settings.flip,
            batch_size=self._batch_size,
        )
        self._opened = True

    def _estimate(self, number: int, part: Part, output: Output) -> PartResult:
        start = time.perf_counter()
        done = PartResult(number, by=f"{self._estimator.backend} on {self._estimator.device}")
        rows: list[dict[str, Any]] = []
        unreadable: list[dict[str, str]] = []

        def note(pixels: StoredImage, error: RsnError) -> None:
            unreadable.append({"image": pixels.name, "reason": str(error)})

        threads = READERS_ELSEWHERE if "://" in part.urls[0] else READERS_HERE
        stored_images = images_of(part, Columns(self._settings.column, self._settings.name_column))
        images = estimate_images(
            self._estimator,
            stored_images,
            lambda pixels: decode_image(pixels.read(), pixels.name),
            lambda pixels, image: self._boxes(Path(pixels.name), image),
            note,
            detection_boxes=self._settings.boxes == "detect",
            notes=done.notes,
            threads=threads,
            measured=lambda prepared: _timed(prepared, done),
        )
        for pixels, image, people in images:
            height, width = image.shape[:2]
            model = Path(self._settings.model).name
            about = {"image": pixels.name, "width": width, "height": height, "model": model}
            rows += [
                about
                | {
                    "person": index,
                    "box": person.box.tolist(),
                    "keypoints": person.keypoints.tolist(),
                    "scores": person.scores.tolist(),
                    "score": person.score,
                }
                for index, person in enumerate(people)
            ] or [about]
            done.images += 1
            done.people += len(people)
        output.write_part(number, rows, unreadable, self._estimator.metadata.skeleton)
        done.unreadable = len(unreadable)
        done.seconds = time.perf_counter() - start
        return done


def _box_source(settings: Settings, device: str) -> BoxSource:
    if settings.boxes == "whole":
        return whole_image_boxes
    if settings.boxes != "detect":
        return BoxFile.read(Path(settings.boxes), category=settings.box_category or None)
    from rsn.detection import open_detector

    return detection_boxes(
        open_detector(settings.detector, device=device, box_threshold=settings.box_threshold)
    )


def _timed(items: Iterable[T], done: PartResult) -> Iterator[T]:
    """The items; the seconds spent waiting for them are added to `done.waiting`."""
    iterator = iter(items)
    while True:
        start = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        finally:
            done.waiting += time.perf_counter() - start
        yield item
