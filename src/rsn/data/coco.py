"""Read COCO-keypoints JSON, with COCO's skeleton or any other that its `categories` describe."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsn.data import issues as kinds
from rsn.data.annotations import ImageFile, PoseDataset
from rsn.data.image_files import check_files, locate_images
from rsn.data.issues import Issues
from rsn.data.records import POSITION_WARNINGS, ListedImage, read_images, read_records
from rsn.data.values import Id
from rsn.errors import AnnotationError
from rsn.io.validation import read_json
from rsn.skeletons import Skeleton


def read_coco(annotations: Path, images: Path, skeleton: Skeleton | None = None) -> PoseDataset:
    """Read annotated persons from a COCO-keypoints file.

    Common variations are accepted (see `rsn.data.records`): ids and numbers as text, keypoints as triples, several
    categories with the same keypoints. A person without a box gets one around the keypoints. An RsnWarning names
    this, and whatever else should be known before training.

    Args:
        annotations: the JSON file.
        images: the folder that the `file_name`s are relative to. The images are not opened.
        skeleton: needed if the file's `categories` do not describe the keypoints; may also name or order them
            differently.

    Raises:
        AnnotationError: the file is missing, has no COCO keypoints, another skeleton, no annotations, or one of the
            errors that `rsn data check` reports; images are missing.
    """
    return parse_coco(read_json(annotations), annotations, images, skeleton)


def parse_coco(document: Any, annotations: Path, images: Path | None, skeleton: Skeleton | None = None) -> PoseDataset:
    """As `read_coco`, for a file whose content was already read by `read_json`.

    images: with None, the images are not needed, and nothing checks that they exist.
    """
    records = read_records(document, str(annotations), skeleton)
    files = locate(records.images, images or Path(), records.issues)
    records.check()
    records.check_positions()
    records.issues.warn(records.where, POSITION_WARNINGS)
    people = tuple(person.to_person(files[person.image]) for person in records.annotations)
    if images is not None:
        check_files({person.image.path for person in people}, images)
    return PoseDataset(records.skeleton, people, Counter(records.skipped), records.categories.category_ids)


def image_files(document: Any, path: Path, folder: Path) -> dict[Id, ImageFile]:
    """The images of a document by id, with their paths in a folder (see `locate_images`).

    Raises:
        AnnotationError: no list of images, an image without id or file_name, or a repeated id.
    """
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise AnnotationError(f"{path}: not a COCO file, which lists images with an id and a file_name each")
    issues = Issues()
    files = locate(read_images(document, issues), folder, issues)
    issues.raise_errors(str(path))
    return {image.id: file for image, file in files.items()}


def locate(images: Sequence[ListedImage], folder: Path, issues: Issues) -> dict[ListedImage, ImageFile]:
    """Find images in a folder; adds issues for those without file name, and those found by another spelling."""
    named = [image for image in images if image.name is not None]
    for image in images:
        if image.name is None:
            issues.add(kinds.INVALID_IMAGE_ENTRY, image.id)
    located = locate_images([image.name or "" for image in named], folder)
    for index in located.respelled:
        issues.add(kinds.FILE_NAME_SPELLING, named[index].id, named[index].name or "")
    return {image: ImageFile(image.id, path, image.size) for image, path in zip(named, located.paths, strict=True)}
