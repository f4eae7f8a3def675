"""COCO-keypoints JSON, with COCO's own skeleton or any other that `categories` describes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rsn.datasets.labelled import ImageFile, LabelledPerson, PoseDataset
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton, from_joint_names


def read_coco(annotations: Path, images: Path) -> PoseDataset:
    """Read people with joints from a COCO-keypoints file.

    Args:
        annotations: the JSON file.
        images: the folder that its `file_name`s are relative to. Pictures are not opened here.

    Raises:
        AnnotationError: a file that is missing or not COCO keypoints; an annotation with a wrong joint count, a
            number that is not finite, or an image that is not listed; a folder without the pictures.
    """
    document = read_json(annotations)
    skeleton = _skeleton(document, annotations)
    files = _files(document, annotations, images)
    people = tuple(_person(entry, files, skeleton, annotations) for entry in document["annotations"])
    check_files({person.image.path for person in people}, images)
    return PoseDataset(skeleton, people)


def read_json(path: Path) -> Any:
    """Parse a JSON file; AnnotationError in one sentence where that fails."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AnnotationError(f"{path}: there is no such file") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AnnotationError(f"{path}: not valid JSON ({error})") from error


def _skeleton(document: Any, path: Path) -> Skeleton:
    try:
        _ = document["images"], document["annotations"]
        category = next(category for category in document["categories"] if category.get("keypoints"))
    except (KeyError, TypeError, StopIteration):
        raise AnnotationError(
            f"{path}: not a COCO keypoints file (needs images, annotations, and a category with keypoints)"
        ) from None
    limbs = [(a - 1, b - 1) for a, b in category.get("skeleton", ())]  # counted from 1 in the file
    return from_joint_names(category["name"], category["keypoints"], limbs)


def _files(document: Any, path: Path, folder: Path) -> dict[int | str, ImageFile]:
    try:
        return {
            image["id"]: ImageFile(image["id"], folder / image["file_name"]) for image in document["images"]
        }
    except (KeyError, TypeError):
        raise AnnotationError(f"{path}: each of its images needs an id and a file_name") from None


def _person(
    entry: dict[str, Any], files: dict[int | str, ImageFile], skeleton: Skeleton, path: Path
) -> LabelledPerson:
    where = f"{path}: annotation {entry.get('id', '?')}"
    if entry.get("image_id") not in files:
        raise AnnotationError(f"{where} is of image {entry.get('image_id')}, which the file does not list")
    try:
        joints = np.asarray(entry.get("keypoints", [0] * 3 * len(skeleton)), np.float64)
        box = np.asarray(entry["bbox"], np.float64)
    except (KeyError, TypeError, ValueError):
        raise AnnotationError(f"{where} has no box, or joints that are not numbers") from None
    if joints.size != 3 * len(skeleton):
        raise AnnotationError(
            f"{where} has {joints.size} joint numbers; {skeleton.name} needs {len(skeleton)} x 3"
        )
    if box.shape != (4,) or not np.isfinite(box).all() or not np.isfinite(joints).all():
        raise AnnotationError(
            f"{where} has a number that is not finite, or a box that is not x, y, width, height"
        )
    joints = joints.reshape(-1, 3)
    return LabelledPerson(
        image=files[entry["image_id"]],
        box=box,
        keypoints=joints[:, :2].astype(np.float32),
        visibility=joints[:, 2].astype(np.int64),
        crowd=bool(entry.get("iscrowd", 0)),
    )


def check_files(paths: set[Path], folder: Path) -> None:
    """Refuse (AnnotationError) a folder that does not exist or lacks some of the pictures."""
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: there is no such folder of images")
    missing = sorted(path for path in paths if not path.is_file())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise AnnotationError(f"{missing[0]}{more}: named by the annotations but not in the images folder")
