"""Who does the work: an actor that holds the network and turns parts into files."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rsn.bulk.output import Output, People, Settings
from rsn.bulk.parts import Columns, Part, Picture, pictures_of
from rsn.bulk.storage import UnreachableError
from rsn.crops import Image
from rsn.errors import RsnError
from rsn.images import decode_image
from rsn.inference.box_checks import BoxNotes
from rsn.inference.boxes import Boxes, BoxFile, BoxSource, detected, whole_image
from rsn.inference.photos import estimate_looks, look_ahead

READERS_HERE = 2  # threads that read and decode photos
READERS_ELSEWHERE = 16  # of which most wait for a store to answer
DEATHS = 3  # of workers at one part in one run, after which the part is left alone
T = TypeVar("T")


@dataclass(frozen=True)
class Machine:
    """How a worker computes, which does not decide the answers.

    threads: of the network on a CPU.
    """

    device: str
    batch_size: int
    threads: int


@dataclass(frozen=True)
class Done:
    """What became of a part.

    seconds, waiting: how long it took, and how long of that the network had no photo to look at.
    by: what ran the network, and where, such as "openvino on cpu". notes: what is to be said about the boxes.
    failed: why the part is not done; empty where it is. hopeless: the same would keep all other parts from it.
    """

    part: int
    photos: int = 0
    people: int = 0
    unreadable: list[str] = field(default_factory=list)
    seconds: float = 0.0
    waiting: float = 0.0
    by: str = ""
    notes: BoxNotes = field(default_factory=BoxNotes)
    failed: str = ""
    hopeless: bool = False


class Worker:
    """Holds the network from the first part on. It is called with parts and writes them; Ray may run it anywhere.

    run: a name of the run, which no other has.
    """

    def __init__(self, settings: Settings, machine: Machine, output: str, run: str) -> None:
        self._settings = settings
        self._machine = machine
        self._output = output
        self._run = run
        self._estimating: Estimating | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Numbers and JSON of parts -> what became of them."""
        pairs = zip(batch["number"], batch["part"], strict=True)
        return {"done": [self.do(int(number), Part.from_json(str(line))) for number, line in pairs]}

    def do(self, number: int, part: Part) -> Done:
        """Do a part. Whatever goes wrong is told and raises nothing, so that the other parts get done."""
        try:
            if self._estimating is None:
                self._estimating = Estimating(self._settings, self._machine)
        except RsnError as error:
            return Done(number, failed=str(error), hopeless=True)
        try:
            output = Output(self._output)
            if output.begin(number, self._run) > DEATHS:
                return Done(number, failed=f"it was begun {DEATHS} times, and each time its worker died")
            return self._estimating.do(number, part, output)
        except (RsnError, UnreachableError) as error:
            return Done(number, failed=str(error))
        except Exception as error:
            return Done(number, failed=f"{type(error).__name__}: {error}")


class Estimating:
    """The network, and where boxes come from.

    Raises:
        RsnError: one of them cannot be had.
    """

    def __init__(self, settings: Settings, machine: Machine) -> None:
        import torch

        from rsn.inference.estimator import PoseEstimator

        torch.set_num_threads(machine.threads)  # Ray's own choice is one
        self._boxes = box_source(settings, machine.device)
        self._columns = Columns(settings.column, settings.name_column)
        self._model = Path(settings.model).name
        self._estimator = PoseEstimator(
            settings.model,
            engine=settings.engine,
            device=machine.device,
            person_threshold=settings.person_threshold,
            flip=settings.flip,
            batch_size=machine.batch_size,
        )
        self._detected = settings.boxes == "detect"

    def do(self, number: int, part: Part, output: Output) -> Done:
        """Estimate a part and write it."""
        start = time.perf_counter()
        waiting = Stopwatch()
        unreadable: list[dict[str, str]] = []
        people = People(self._model, self._estimator.card.skeleton)
        notes = BoxNotes()

        def tell(picture: Picture, error: RsnError) -> None:
            unreadable.append({"photo": picture.name, "reason": str(error)})

        threads = READERS_ELSEWHERE if "://" in part.urls[0] else READERS_HERE
        pictures = pictures_of(part, self._columns)
        looks = waiting.over(look_ahead(self._estimator, pictures, self._read, threads=threads))
        for picture, image, found in estimate_looks(
            self._estimator, looks, tell, detected=self._detected, notes=notes
        ):
            people.add(picture.name, image, found)
        output.write_part(number, people, unreadable)
        seconds = time.perf_counter() - start
        reasons = [entry["reason"] for entry in unreadable]
        by = f"{self._estimator.engine} on {self._estimator.device}"
        return Done(number, people.photos, people.people, reasons, seconds, waiting.seconds, by, notes)

    def _read(self, picture: Picture) -> tuple[Image, Boxes]:
        image = decode_image(picture.read(), picture.name)
        return image, self._boxes(Path(picture.name), image)


def box_source(settings: Settings, device: str) -> BoxSource:
    """Where people are.

    Raises:
        RsnError: a file that is not of boxes, or a detector that cannot be opened.
    """
    if settings.boxes == "whole":
        return whole_image
    if settings.boxes != "detect":
        return BoxFile.read(Path(settings.boxes), category=settings.box_category or None)
    from rsn.inference.detection import open_detector

    return detected(open_detector(settings.detector, device=device, box_threshold=settings.box_threshold))


class Stopwatch:
    """Seconds spent waiting for what an iterator gives."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items, timed."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - start
            yield item
