"""COCO test-dev submissions: a zip with one JSON file of results, both with the name that the server expects."""

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

from rsn.data.annotations import ImageFile
from rsn.data.coco import image_files
from rsn.errors import AnnotationError, RsnError
from rsn.evaluation.prediction import Results, predict_dataset, read_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.io.files import atomic_write
from rsn.io.validation import read_json
from rsn.skeletons import COCO_17

Entry = dict[str, Any]

PERSON_CATEGORY = 1
FIELDS = ("image_id", "category_id", "keypoints", "score")
NUMBERS = 3 * len(COCO_17)  # x, y, score per keypoint
_NAME = re.compile(r"person_keypoints_test-dev2017_[A-Za-z0-9-]+_results")


@dataclass(frozen=True)
class Submission:
    """A valid zip: the number of people, of images with people, and its size in bytes."""

    path: Path
    people: int
    images: int
    size: int

    def summary(self) -> str:
        """One line."""
        size = f"{self.size / 1e6:.1f} MB"
        return f"{self.path} is valid: {self.people} people in {self.images} images, {size}"


def testdev_name(algorithm: str) -> str:
    """The name, without suffix, that the server expects of the zip and of the JSON file in it.

    Raises:
        RsnError: the algorithm's name has characters other than letters, digits and dashes.
    """
    name = f"person_keypoints_test-dev2017_{algorithm}_results"
    if not _NAME.fullmatch(name):
        raise RsnError(f"Invalid algorithm: expected letters, digits and dashes, got {algorithm!r}")
    return name


def testdev_path(output: Path, algorithm: str) -> Path:
    """The zip to write: `output` itself if it is a .zip, else a file in that folder with the server's name."""
    return output if output.suffix == ".zip" else output / f"{testdev_name(algorithm)}.zip"


def read_image_list(annotations: Path, images: Path = Path()) -> dict[int | str, ImageFile]:
    """The images that image_info_test-dev2017.json lists, by id; `images` is their folder."""
    return image_files(read_json(annotations), annotations, images)


def predict_testdev(
    estimator: PoseEstimator,
    annotations: Path,
    images: Path,
    boxes: Path,
    *,
    box_threshold: float = 0.0,
    box_category: str | None = None,
    **options: Any,
) -> Results:
    """Results for the people of test-dev.

    annotations: image_info_test-dev2017.json. images: folder of the images. boxes: JSON of COCO detections.
    options: as `prediction.predict_dataset`.

    Raises:
        AnnotationError: invalid files, a model of another skeleton, or no usable box.
    """
    listed = list(read_image_list(annotations, images).values())
    given = read_boxes(boxes, listed, images, category=box_category, threshold=box_threshold)
    results = predict_dataset(estimator, given, COCO_17, category_id=PERSON_CATEGORY, **options)
    if not results:
        raise AnnotationError(f"{boxes}: has no usable box, so there is nothing to submit")
    return results


def write_testdev(results: Sequence[Entry], path: Path, *, algorithm: str) -> None:
    """Write COCO keypoint results as a zip for the server, with the fields that it knows.

    Raises:
        RsnError: an invalid name, or the file cannot be written.
    """
    entries = [{field: entry[field] for field in FIELDS} for entry in results]
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        member = ZipInfo(f"{testdev_name(algorithm)}.json")  # without a time: equal results give equal files
        text = json.dumps(entries, separators=(",", ":"))
        archive.writestr(member, text, compress_type=ZIP_DEFLATED)
    atomic_write(path, packed.getvalue())


def check_testdev(path: Path, images: Collection[int | str] | None = None) -> Submission:
    """Open a zip as the server does and check every entry.

    images: the valid image ids; without them any id is valid.

    Raises:
        AnnotationError: what the server would reject or silently count as wrong: a damaged zip, a wrong name inside,
            other fields, missing or non-finite numbers, unknown images, a repeated person, no results.
    """
    entries = _read(path)
    for index, entry in enumerate(entries):
        _check(entry, f"{path}: entry {index}", images)
    if not entries:
        raise AnnotationError(f"{path}: contains no results; run rsn submit coco-testdev again")
    people = Counter((entry["image_id"], tuple(entry["keypoints"])) for entry in entries)
    (image, _), count = people.most_common(1)[0]
    if count > 1:
        raise AnnotationError(f"{path}: image {image} contains the same keypoints {count} times")
    return Submission(path, len(entries), len({image for image, _ in people}), path.stat().st_size)


def _read(path: Path) -> list[Any]:
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1 or not names[0].endswith(".json") or not _NAME.fullmatch(names[0][:-5]):
                raise AnnotationError(
                    f"Invalid {path}: expected only {testdev_name('ALGORITHM')}.json in it, got"
                    f" {', '.join(names) or 'nothing'}"
                )
            entries = json.loads(archive.read(names[0]))
    except AnnotationError:
        raise
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AnnotationError(f"{path}: the file inside is not valid JSON ({error})") from error
    except Exception as error:  # damaged, encrypted or of a newer version; zipfile raises many types
        raise AnnotationError(f"{path}: not a valid zip file ({error}); write it again") from error
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: the file inside is not a list of results")
    return entries


def _check(entry: Any, where: str, images: Collection[int | str] | None) -> None:
    if not isinstance(entry, dict) or sorted(entry) != sorted(FIELDS):
        raise AnnotationError(f"Invalid {where}: expected the fields {', '.join(FIELDS)}")
    if entry["category_id"] != PERSON_CATEGORY:
        raise AnnotationError(
            f"Invalid {where}: expected category {PERSON_CATEGORY} (person), got {entry['category_id']!r}"
        )
    image, keypoints = entry["image_id"], entry["keypoints"]
    if not isinstance(image, int) or (images is not None and image not in images):
        raise AnnotationError(f"Invalid {where}: image {image!r} is not in test-dev")
    if not isinstance(keypoints, list) or len(keypoints) != NUMBERS:
        raise AnnotationError(f"Invalid {where}: expected {NUMBERS} keypoint numbers")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in (*keypoints, entry["score"])):
        raise AnnotationError(f"Invalid {where}: a number is missing or not finite")
