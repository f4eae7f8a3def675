"""A bulk run, from the start or from where it stopped."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex

from rsn.bulk.cluster import ray_session, run_parts
from rsn.bulk.output import Output
from rsn.bulk.parts import Columns, Part
from rsn.bulk.settings import Settings
from rsn.bulk.sources import find_sources, split_sources
from rsn.bulk.worker import PartResult
from rsn.errors import RsnError
from rsn.inference.box_checks import BoxNotes

LISTED_FAILURES = 5


@dataclass
class Progress:
    """What a run has done so far.

    parts: of the plan; of these `finished_before` were finished by earlier runs. results: of parts that are finished.
    failed: reasons by part.
    """

    parts: int
    finished_before: int = 0
    results: list[PartResult] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Parts that are not finished."""
        return self.parts - self.finished_before - len(self.results)

    @property
    def unreadable(self) -> int:
        """Images that could not be processed."""
        return sum(result.unreadable for result in self.results)

    def add(self, result: PartResult) -> None:
        """Count a part; raises RsnError if it failed for a reason that all parts share."""
        if result.fatal:
            raise RsnError(result.failed)
        if result.failed:
            self.failed[result.part] = result.failed
        else:
            self.results.append(result)

    def line(self) -> str:
        """One line: finished parts and images, images per second (including the start), time left."""
        images = sum(result.images for result in self.results)
        text = f"parts: {self.finished_before + len(self.results)} of {self.parts}, images: {images}"
        if not self.results:
            return text
        seconds = time.monotonic() - self.started
        text += f", {images / seconds:.1f} images/s"
        return f"{text}, {_duration(seconds * self.left / len(self.results))} left" if self.left else text

    def summary(self, output: str) -> list[str]:
        """Lines about a run that has ended."""
        lines = []
        if self.results:
            backends = " and ".join(sorted({result.backend for result in self.results}))
            people = sum(result.people for result in self.results)
            lines.append(f"{self.line()}; people: {people}, by {backends}; {output}/people")
        elif not self.left:
            lines.append(f"all {self.parts} parts were already finished; {output}/people")
        notes = BoxNotes()
        for result in self.results:
            notes.add(result.notes)
        lines += filter(None, [notes.sentence()])
        if self.unreadable:
            lines.append(f"{self.unreadable} images could not be processed; see {output}/unreadable")
        lines += [f"part {number}: {why}" for number, why in sorted(self.failed.items())[:LISTED_FAILURES]]
        if self.failed:
            lines.append(
                f"{len(self.failed)} of {self.parts} parts are not finished; run the same command again to continue"
            )
        return lines


def run_bulk(
    settings: Settings,
    output: str,
    report: Callable[[Progress], None],
    *,
    device: str = "auto",
    batch_size: int = 32,
    address: str | None = None,
    workers: int | None = None,
    images_per_part: int = 1000,
) -> Progress:
    """Write the people of all images to a folder; parts that are already there are not repeated.

    report: called when the workers start, and after every part. address, workers: see `cluster.ray_session`.
    images_per_part: largest number of images in one output file.

    Raises:
        RsnError: invalid inputs or settings, a folder that cannot be written to, or no cluster.
    """
    folder = Output(output)
    with folder.lock():
        folder.check(settings)
        plan = _plan(folder, settings, images_per_part, workers or 2)
        finished = folder.finished()
        progress = Progress(len(plan), len(finished & set(range(len(plan)))))
        todo = [(number, part) for number, part in enumerate(plan) if number not in finished]
        if not todo:
            return progress
        with ray_session(address, workers, device) as pool:
            report(progress)
            device = "cuda" if pool.gpus else "cpu"
            worker = (settings, folder.name(), token_hex(8), device, batch_size, pool.cores)
            for result in run_parts(todo, pool, worker):
                progress.add(result)
                report(progress)
        return progress


def _plan(folder: Output, settings: Settings, size: int, workers: int) -> list[Part]:
    """The parts of the earlier plan, then those of new inputs."""
    plan = folder.read_plan()
    known = {url for part in plan for url in part.urls}
    columns = Columns(settings.column, settings.name_column)
    new = find_sources(settings.inputs, columns, outside=folder.name(), known=known)
    if new:
        plan += split_sources(new, size=size, workers=workers)
        folder.write_plan(plan, settings)
    return plan


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
