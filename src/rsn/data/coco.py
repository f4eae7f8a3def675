"""COCO-keypoints JSON, with COCO's own skeleton or any other that `categories` describes."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsn.data import issues as kinds
from rsn.data import placement_checks as placement
from rsn.data.annotations import ImageFile, PoseDataset
from rsn.data.image_files import check_files, locate_images
from rsn.data.issues import Issues
from rsn.data.records import ListedImage, read_images, read_records
from rsn.data.references import Id
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton


def read_coco(annotations: Path, images: Path, skeleton: Skeleton | None = None) -> PoseDataset:
    """Read people with keypoints from a COCO-keypoints file.

    Whatever has one meaning only is read, as `rsn.data.records` says: ids and numbers as texts, triples, several
    categories of the same keypoints. Whoever has keypoints and no box gets one around them; that, and whatever else should be
    known before the first step, is an RsnWarning.

    Args:
        annotations: the JSON file.
        images: the folder that its `file_name`s are relative to. Images are not opened here.
        skeleton: the skeleton, where the file's `categories` do not describe it, or name its keypoints otherwise or in another
            order.

    Raises:
        AnnotationError: a file that is missing, not COCO keypoints, of another skeleton, or lists nobody; errors in it, in
            the words of `rsn data check`; a folder without the images.
    """
    return people_in(read_json(annotations), annotations, images, skeleton)


def people_in(
    document: Any, annotations: Path, images: Path, skeleton: Skeleton | None = None
) -> PoseDataset:
    """What `read_coco` returns, where the file has been read already (`read_json`)."""
    records = read_records(document, str(annotations), skeleton)
    files = locate(records.images, images, records.issues)
    records.checked()
    placement.examine(records)
    records.issues.tell(records.where, placement.TOLD)
    people = tuple(person.labeled(files[person.image]) for person in records.annotations)
    check_files({person.image.path for person in people}, images)
    return PoseDataset(records.skeleton, people, Counter(records.skipped), records.categories.category_ids)


def read_json(path: Path) -> Any:
    """Parse a JSON file; AnnotationError in one sentence where that fails."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AnnotationError(f"{path}: there is no such file") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # the second: brackets within brackets
        raise AnnotationError(f"{path}: not valid JSON ({error})") from error


def image_files(document: Any, path: Path, folder: Path) -> dict[Id, ImageFile]:
    """The images that a document lists, by id, and where they are in a folder (see `locate_images`).

    Raises:
        AnnotationError: no list of images, images without id or file_name, or an id that is listed twice.
    """
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise AnnotationError(f"{path}: not a COCO file, which lists images with an id and a file_name each")
    issues = Issues()
    files = locate(read_images(document, issues), folder, issues)
    issues.refuse(str(path))
    return {image.id: file for image, file in files.items()}


def locate(images: Sequence[ListedImage], folder: Path, issues: Issues) -> dict[ListedImage, ImageFile]:
    """Where listed images are in a folder; findings: those without file name, and those found by another spelling."""
    named = [image for image in images if image.name is not None]
    for image in images:
        if image.name is None:
            issues.add(kinds.INVALID_IMAGE_ENTRY, image.id)
    located = locate_images([image.name or "" for image in named], folder)
    for place in located.respelled:
        issues.add(kinds.FILE_NAME_SPELLING, named[place].id, named[place].name or "")
    return {
        image: ImageFile(image.id, path, image.size) for image, path in zip(named, located.paths, strict=True)
    }
