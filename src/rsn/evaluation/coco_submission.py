"""The file that COCO's evaluation server takes for test-dev: a zip with one JSON file in it, both named its way."""

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from rsn.errors import AnnotationError, RsnError
from rsn.io.files import write_atomically
from rsn.skeletons import COCO_17

Entry = dict[str, Any]

PERSON = 1  # COCO's category
FIELDS = ("image_id", "category_id", "keypoints", "score")
NUMBERS = 3 * len(COCO_17)  # x, y, score a keypoint
_NAME = re.compile(r"person_keypoints_test-dev2017_[A-Za-z0-9-]+_results")


@dataclass(frozen=True)
class Submission:
    """A zip that was found in order. people, images: how many it holds and in how many images. size: in bytes."""

    path: Path
    people: int
    images: int
    size: int

    def summary(self) -> str:
        """One line."""
        size = f"{self.size / 1e6:.1f} MB"
        return f"{self.path} is in order: {self.people} people in {self.images} images, {size}"


def testdev_name(algorithm: str) -> str:
    """What the server wants the zip, and the JSON file in it, to be named, without the suffix.

    Raises:
        RsnError: the name of an algorithm with other characters than letters, digits and dashes.
    """
    name = f"person_keypoints_test-dev2017_{algorithm}_results"
    if not _NAME.fullmatch(name):
        raise RsnError(
            f"the algorithm's name has letters, digits and dashes, and {algorithm!r} does not fit; choose another"
        )
    return name


def write_testdev(results: Sequence[Entry], path: Path, *, algorithm: str) -> None:
    """Write COCO keypoint results as a zip for the server; fields that it does not know are left out.

    Raises:
        RsnError: a name that the server does not take, or a file that cannot be written.
    """
    entries = [{field: entry[field] for field in FIELDS} for entry in results]
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        # Without the time of day, so that equal results are equal files.
        member = ZipInfo(f"{testdev_name(algorithm)}.json")
        text = json.dumps(entries, separators=(",", ":"))
        archive.writestr(member, text, compress_type=ZIP_DEFLATED)
    write_atomically(path, packed.getvalue())


def check_testdev(path: Path, images: Collection[int | str] | None = None) -> Submission:
    """Open a zip as the server would and look at every number in it.

    images: the ids that it may speak of; without them, any.

    Raises:
        AnnotationError: what the server would refuse or silently count as wrong: not a zip, a wrong name inside,
            entries with other fields, numbers that are missing or not finite, unknown images, a person given twice,
            nobody at all.
    """
    entries = _read(path)
    for place, entry in enumerate(entries):
        _check(entry, f"{path}: entry {place}", images)
    if not entries:
        raise AnnotationError(f"{path}: holds no results; a submission of nobody is a mistake")
    people = Counter((entry["image_id"], tuple(entry["keypoints"])) for entry in entries)
    if max(people.values()) > 1:
        (image, _), times = people.most_common(1)[0]
        raise AnnotationError(
            f"{path}: a person in image {image} is given {times} times with the same keypoints"
        )
    return Submission(path, len(entries), len({image for image, _ in people}), path.stat().st_size)


def _read(path: Path) -> list[Any]:
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1 or not names[0].endswith(".json") or not _NAME.fullmatch(names[0][:-5]):
                raise AnnotationError(
                    f"{path}: holds {', '.join(names) or 'nothing'}; the server wants one file"
                    f" {testdev_name('ALGORITHM')}.json and nothing else"
                )
            entries = json.loads(archive.read(names[0]))
    except AnnotationError:
        raise
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AnnotationError(f"{path}: the file inside is not valid JSON ({error})") from error
    except Exception as error:  # of a damaged, encrypted or too new file; zipfile has many kinds
        raise AnnotationError(f"{path}: not a whole zip file ({error}); write it anew") from error
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: the file inside is not a list of results")
    return entries


def _check(entry: Any, where: str, images: Collection[int | str] | None) -> None:
    if not isinstance(entry, dict) or sorted(entry) != sorted(FIELDS):
        raise AnnotationError(f"{where} has other fields than {', '.join(FIELDS)}")
    if entry["category_id"] != PERSON:
        raise AnnotationError(f"{where} is of category {entry['category_id']!r}; a person is {PERSON}")
    image, keypoints = entry["image_id"], entry["keypoints"]
    if not isinstance(image, int) or (images is not None and image not in images):
        raise AnnotationError(f"{where} is of image {image!r}, which is not one of test-dev")
    if not isinstance(keypoints, list) or len(keypoints) != NUMBERS:
        raise AnnotationError(f"{where} has no list of {NUMBERS} keypoint numbers")
    if not all(
        isinstance(value, int | float) and math.isfinite(value) for value in (*keypoints, entry["score"])
    ):
        raise AnnotationError(f"{where} holds something that is not a finite number")
