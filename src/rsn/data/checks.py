"""Looking for mistakes in a COCO-keypoints data set. Nothing stops at the first one, as reading for training does."""

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

import numpy as np

from rsn.data import issues as kinds
from rsn.data import placement_checks as placement
from rsn.data.annotations import ImageFile
from rsn.data.coco import locate, read_json
from rsn.data.image_checks import OpenedImage, examine_size, look
from rsn.data.issues import IssueType, Report
from rsn.data.left_right import find_swapped_names, find_swapped_people
from rsn.data.records import ListedImage, Records, read_records
from rsn.errors import AnnotationError, ImageError
from rsn.skeletons import Skeleton

Track = Callable[[Iterable[Any], int], Iterable[Any]]


def check_dataset(
    annotations: Path,
    images: Path,
    skeleton: Skeleton | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
    track: Track = lambda items, total: items,
) -> Report:
    """Look for mistakes in an annotation file and in its images.

    skeleton: the skeleton, where the file's `categories` do not describe it. sample: how many images to open, chosen by
    `seed`; all of them where it is None. track: passes the images on behind a progress bar; it is given how many.

    Raises:
        AnnotationError: what makes it impossible to look further: no such file, not JSON, no COCO keypoints, no
            skeleton, no folder of images.
    """
    if not isdir(images):
        raise AnnotationError(f"{images}: there is no such folder of images")
    document = read_json(annotations)
    records = read_records(document, str(annotations), skeleton)
    check = _Check(records, locate(records.images, images, records.issues), len(document["images"]))
    placement.examine(records)
    check.people()
    check.left_and_right()
    check.images(sample, seed, track)
    return check.finished()


class _Check:
    """A report in the making."""

    def __init__(self, records: Records, files: dict[ListedImage, ImageFile], images: int) -> None:
        self.records = records
        self.files = files
        self.report = Report(records.where, records.skeleton, images, {}, records.issues)
        self.found = records.issues.add

    def people(self) -> None:
        for person in self.records.annotations:
            if person.image in self.files:
                self.report.people[person.id] = person.labeled(self.files[person.image])
        if not any((person.visibility > 0).any() for person in self.report.people.values()):
            self.found(kinds.NOBODY, "nobody")

    def left_and_right(self) -> None:
        people = {one: person for one, person in self.report.people.items() if (person.visibility > 0).any()}
        if not people:
            return
        keypoints = np.stack([person.keypoints for person in people.values()])
        visibility = np.stack([person.visibility for person in people.values()])
        throughout = find_swapped_names(self.records.skeleton, keypoints, visibility)
        for sentence in throughout:
            self.found(kinds.LEFT_RIGHT_SWAPPED, sentence)
        if not throughout:  # which would make suspects of everybody
            suspects = find_swapped_people(self.records.skeleton, keypoints, visibility)
            for one, suspect in zip(people, suspects, strict=True):
                if suspect:
                    self.found(kinds.LEFT_RIGHT_NAMES_SWAPPED, one)

    def images(self, sample: int | None, seed: int, track: Track) -> None:
        peopled = {person.image.id for person in self.report.people.values()}
        files = list(self.files.values())
        for file in files:
            if file.id not in peopled:
                self.found(kinds.NO_PEOPLE, file.id)
            if not isfile(file.path):
                self.found(kinds.MISSING_IMAGE, file.id, file.path.name)
        there = [file for file in files if isfile(file.path)]
        if sample is not None and sample < len(there):
            chosen = set(random.Random(seed).sample(range(len(there)), sample))
            for number, file in enumerate(there):
                if number not in chosen:
                    self.found(kinds.NOT_OPENED, file.id)
            there = [there[number] for number in sorted(chosen)]
        contents: dict[bytes, int | str] = {}
        with ThreadPoolExecutor(cpu_count()) as threads:
            for file, looked in track(zip(there, threads.map(look, there), strict=True), len(there)):
                self._image(file, looked, contents)

    def _image(
        self, file: ImageFile, looked: OpenedImage | ImageError, contents: dict[bytes, int | str]
    ) -> None:
        if isinstance(looked, ImageError):
            self.found(kinds.UNREADABLE, file.id, file.path.name)
            return
        marked = [
            person.keypoints[person.visibility > 0]
            for person in (self.report.people.values() if looked.is_turned else ())
            if person.image.id == file.id
        ]
        examine_size(self.records.issues, file, looked, np.concatenate([np.empty((0, 2)), *marked]))
        if looked.content in contents:
            self.found(kinds.DUPLICATE_IMAGE, file.id, f"as {contents[looked.content]}")
        contents.setdefault(looked.content, file.id)

    def finished(self) -> Report:
        """The report, with the findings in the order of their kinds."""
        order = [kind for kind in vars(kinds).values() if isinstance(kind, IssueType)]
        found = {kind: self.report.issues[kind] for kind in order if kind in self.report.issues}
        self.report.issues.clear()
        self.report.issues.update(found)
        return self.report
