"""A bulk run from beginning to end, or from where it stopped."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex

from rsn.bulk.cluster import running, spread
from rsn.bulk.output import Output, Settings
from rsn.bulk.parts import Columns, Part
from rsn.bulk.sources import cut, find_sources
from rsn.bulk.worker import Done, Machine
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
    photos: int = 0
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

    @property
    def rate(self) -> float:
        """Photos a second since the run began, the start of the workers included."""
        return self.photos / (time.monotonic() - self.started)

    @property
    def seconds_left(self) -> float:
        """If the parts to come take as long as those that were done."""
        return (time.monotonic() - self.started) * self.left / max(self.done, 1)

    @property
    def waited(self) -> float:
        """Share of the workers' time that their networks waited for photos."""
        return self.waiting / self.seconds if self.seconds else 0.0

    def add(self, done: Done) -> None:
        """Count a part.

        Raises:
            RsnError: it failed for a reason that all others have as well.
        """
        if done.hopeless:
            raise RsnError(done.failed)
        if done.failed:
            self.failed[done.part] = done.failed
            return
        self.done += 1
        self.photos += done.photos
        self.people += done.people
        self.unreadable += len(done.unreadable)
        self.seconds += done.seconds
        self.waiting += done.waiting
        self.by.add(done.by)
        self.notes.add(done.notes)


@dataclass(frozen=True)
class Means:
    """What a run may use, and how it divides the work; none of it decides the answers.

    address, workers: see `cluster.running`. photos_per_part: at most.
    """

    device: str = "auto"
    batch_size: int = 32
    address: str | None = None
    workers: int | None = None
    photos_per_part: int = 1000


def estimate_in_bulk(settings: Settings, means: Means, output: str, report: Callable[[Tally], None]) -> Tally:
    """Write the people of all photos to a folder; parts that are there are left as they are.

    report: called once the workers start, and after every part.

    Raises:
        RsnError: inputs, settings or a folder that cannot be, no cluster; nothing is half written then.
    """
    place = Output(output)
    with place.reserved():
        place.check(settings)
        plan = _plan(place, settings, means)
        done = place.done()
        tally = Tally(len(plan), len(done & set(range(len(plan)))))
        todo = [(number, part) for number, part in enumerate(plan) if number not in done]
        if not todo:
            return tally
        with running(means.address, means.workers, means.device) as crew:
            report(tally)
            machine = Machine("cuda" if crew.gpus else "cpu", means.batch_size, crew.cores)
            for part in spread(todo, crew, (settings, machine, place.folder.name(), token_hex(8))):
                tally.add(part)
                report(tally)
        return tally


def _plan(place: Output, settings: Settings, means: Means) -> list[Part]:
    """The parts that were planned before, then parts of what is new among the inputs."""
    plan = place.read_plan()
    known = {url for part in plan for url in part.urls}
    columns = Columns(settings.column, settings.name_column)
    new = find_sources(settings.inputs, columns, outside=place.folder.name(), known=known)
    if new:
        plan += cut(new, size=means.photos_per_part, workers=means.workers or 2)
        place.write_plan(plan, settings)
    return plan
