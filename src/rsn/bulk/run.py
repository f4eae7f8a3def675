"""A bulk run from beginning to end, or from where it stopped."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex

from rsn.bulk.cluster import running, spread
from rsn.bulk.output import Output, Settings
from rsn.bulk.parts import Columns, Part
from rsn.bulk.sources import cut, find_sources
from rsn.bulk.worker import PartResult
from rsn.errors import RsnError
from rsn.inference.box_checks import BoxNotes


@dataclass
class Tally:
    """What a run has done so far.

    parts: of the plan. before: of these, done by earlier runs. seconds, waiting: of all workers together.
    by: what ran the networks of the workers, and where. notes: what is to be said about the boxes. failed: reasons by
    part.
    """

    parts: int
    before: int
    done: int = 0
    images: int = 0
    people: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    by: set[str] = field(default_factory=set)
    notes: BoxNotes = field(default_factory=BoxNotes)
    failed: dict[int, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Parts that are still to be done."""
        return self.parts - self.before - self.done

    def add(self, done: PartResult) -> None:
        """Count a part.

        Raises:
            RsnError: it failed for a reason that all others have as well.
        """
        if done.fatal:
            raise RsnError(done.failed)
        if done.failed:
            self.failed[done.part] = done.failed
            return
        self.done += 1
        self.images += done.images
        self.people += done.people
        self.unreadable += done.unreadable
        self.seconds += done.seconds
        self.waiting += done.waiting
        self.by.add(done.by)
        self.notes.add(done.notes)

    def progress(self) -> str:
        """One line: parts and images that are done, images a second (the start of the workers included), time left."""
        text = f"parts: {self.before + self.done} of {self.parts}, images: {self.images}"
        if not self.done:
            return text
        seconds = time.monotonic() - self.started
        waited = self.waiting / self.seconds if self.seconds else 0.0
        text += f", {self.images / seconds:.1f} images/s, {waited:.0%} of the time waiting for images"
        return f"{text}, {_duration(seconds * self.left / self.done)} left" if self.left else text


def estimate_in_bulk(
    settings: Settings,
    output: str,
    report: Callable[[Tally], None],
    *,
    device: str = "auto",
    batch_size: int = 32,
    address: str | None = None,
    workers: int | None = None,
    images_per_part: int = 1000,
) -> Tally:
    """Write the people of all images to a folder; parts that are there are left as they are.

    report: called once the workers start, and after every part. address, workers: see `cluster.running`.
    images_per_part: images in one output file, at most.

    Raises:
        RsnError: invalid inputs or settings, a folder that cannot be written to, no cluster; no file is half written.
    """
    place = Output(output)
    with place.reserved():
        place.check(settings)
        plan = _plan(place, settings, images_per_part, workers or 2)
        done = place.done()
        tally = Tally(len(plan), len(done & set(range(len(plan)))))
        todo = [(number, part) for number, part in enumerate(plan) if number not in done]
        if not todo:
            return tally
        with running(address, workers, device) as crew:
            report(tally)
            device = "cuda" if crew.gpus else "cpu"
            worker = (settings, place.name(), token_hex(8), device, batch_size, crew.cores)
            for part in spread(todo, crew, worker):
                tally.add(part)
                report(tally)
        return tally


def _plan(place: Output, settings: Settings, size: int, workers: int) -> list[Part]:
    """The parts that were planned before, then parts of what is new among the inputs."""
    plan = place.read_plan()
    known = {url for part in plan for url in part.urls}
    columns = Columns(settings.column, settings.name_column)
    new = find_sources(settings.inputs, columns, outside=place.name(), known=known)
    if new:
        plan += cut(new, size=size, workers=workers)
        place.write_plan(plan, settings)
    return plan


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
