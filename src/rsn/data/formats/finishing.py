"""Check and complete the labels of every format: image files, sizes, keypoints, boxes."""

import warnings
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from rsn.data.formats.labels import ABSENT, LabeledImage, LabeledPerson, Labels, files_below
from rsn.data.image_files import locate_images
from rsn.data.records import TOLERANCE, box_around
from rsn.data.references import References
from rsn.data.values import is_outside
from rsn.errors import AnnotationError, RsnWarning
from rsn.io.image_formats import exif_orientation, is_image_name, open_image
from rsn.skeletons import Skeleton

_ASPECT_TOLERANCE = 0.02  # difference in aspect ratio of two sizes of one image, from rounding
_NEAR = 0.02  # of the longer side of an image: how far outside a keypoint still counts as one at its border
_NAMED = 3  # files that a message names
_QUARTER_TURNED = 5  # EXIF orientations from this one on exchange width and height


def finish(labels: Labels, images: Path | None = None, skeleton: Skeleton | None = None) -> Labels:
    """The labels in pixels of the stored images, with boxes, and image names relative to `labels.folder`.

    images: the folder of images; by default that of the labels or `images` beside it. skeleton: names the keypoints, or
    puts them in its order. RsnWarnings say what is skipped, derived or changed.

    Raises:
        AnnotationError: no labels; image or keypoint names that repeat; a number that is not finite; images that are
            missing but needed, or of another shape than they were labeled in.
    """
    notes = labels.notes
    if skeleton is not None:
        _rename(labels, skeleton)
    if labels.keypoint_names:
        Skeleton.from_names(labels.where, labels.keypoint_names)  # rejects names that repeat
    if labels.images:
        _find_images(labels, images, notes)
    for image in labels.images:
        _scale(image, labels, notes)
        for person in image.people:
            _complete(person, image, notes)
    _filter_people(labels, notes)
    counts = [f"{count} {words}" for words, count in notes.items() if count]
    if not any(person.marked() for person in labels.people()):
        raise AnnotationError("; ".join([f"{labels.where}: has no labeled keypoint of a person", *counts]))
    for sentence in counts:
        warnings.warn(f"{labels.where}: {sentence}", RsnWarning, stacklevel=1)
    return labels


def _rename(labels: Labels, skeleton: Skeleton) -> None:
    """Use the keypoint names of a skeleton: in its order if the names are the same, else in the order of the file."""
    names, found = list(skeleton.keypoint_names), labels.keypoint_names
    if len(found) != len(names):
        raise AnnotationError(
            f"{labels.where}: has {len(found)} keypoints ({', '.join(found)}), {skeleton.name} has {len(names)};"
            " name all of them, in the order of the file"
        )
    order = Skeleton.from_names("labels", found).permutation_to(skeleton) or range(len(names))
    new = {found[old]: name for name, old in zip(names, order, strict=True)}
    for person in labels.people():
        person.points = {new[name]: point for name, point in person.points.items()}
        person.keypoint_scores = {new[name]: score for name, score in person.keypoint_scores.items()}
    labels.keypoint_names, labels.flip_idx = names, list(skeleton.flip_indices)
    labels.limbs = [(names[a], names[b]) for a, b in skeleton.limbs]


def _find_images(labels: Labels, images: Path | None, notes: Counter[str]) -> None:
    """Set the path of each image and its name in its folder; remove and count missing images."""
    if images is not None and not images.is_dir():
        raise AnnotationError(f"{images}: there is no such folder of images")
    default = (labels.folder, labels.folder / "images", labels.folder.parent / "images")
    for folder in (images,) if images else filter(Path.is_dir, default):
        files = [file.relative_to(folder).as_posix() for file in files_below(folder) if is_image_name(file.name)]
        found = _match([image.name for image in labels.images], folder, files)
        if any(found):
            break
    else:
        if images is not None or any(image.size is None for image in labels.images):
            raise AnnotationError(
                f"{labels.where}: none of its {len(labels.images)} images ({labels.images[0].name}) is in"
                f" {images or labels.folder}; name their folder with --images"
            )
        notes["images not found, so their sizes were not checked; name their folder with --images"] = len(labels.images)
        for image in labels.images:  # a frame of a video has no suffix
            image.name += "" if PurePosixPath(image.name).suffix else ".png"
        _check_unique([image.name for image in labels.images], labels.where)
        return
    labels.folder = folder
    missing = [image.name for image, name in zip(labels.images, found, strict=True) if name is None]
    notes[f"images of the labels that are not in {folder}, skipped: {_few(missing)}"] = len(missing)
    there = [(image, name) for image, name in zip(labels.images, found, strict=True) if name]
    for image, name in there:
        image.name, image.path = name, folder / name
    labels.images = [image for image, _ in there]
    names = {name for _, name in there}
    _check_unique([name for _, name in there], labels.where)
    unlabeled = [name for name in files if name not in names]
    notes[f"images in {folder} without labels: {_few(unlabeled)}"] = len(unlabeled)


def _check_unique(names: list[str], where: str) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise AnnotationError(
            f"{where}: lists {len(repeated)} images more than once ({_few(repeated)}); keep one of each"
        )


def _match(names: list[str], folder: Path, files: list[str]) -> list[str | None]:
    """For each name the file of a folder, which may have more folders in front, a suffix, or another case."""
    references = References([None] * len(files), files)
    indices = [references.by_id(name) for name in names]  # results may have a number in the name instead
    paths = locate_images(names, folder).paths if None in indices else [folder] * len(names)
    found: list[str | None] = []
    for index, path in zip(indices, paths, strict=True):
        respelled = path.relative_to(folder).as_posix() if path.is_file() and path.is_relative_to(folder) else None
        found.append(respelled if index is None else files[index])
    return found


def _few(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _stored_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of an image file after EXIF rotation."""
    image = open_image(path.read_bytes(), str(path))
    width, height = image.size
    return (height, width) if exif_orientation(image) >= _QUARTER_TURNED else (width, height)


def _scale(image: LabeledImage, labels: Labels, notes: Counter[str]) -> None:
    """Convert keypoints and boxes to pixels of the stored image."""
    labeled = image.size
    if image.path is not None:
        image.size = _stored_size(image.path)
    assert image.size is not None
    scale = np.divide(image.size, (1, 1) if labels.unit == "fraction" else labeled or image.size)
    if labels.unit == "pixel" and (scale != 1).any():
        if abs(scale[0] / scale[1] - 1) > _ASPECT_TOLERANCE:
            sizes = "{:g} x {:g} pixels, but the stored image has {:g} x {:g}".format(*(labeled or ()), *image.size)
            raise AnnotationError(f"{labels.where}: {image.name} was labeled with {sizes}; use the images as labeled")
        notes["images stored in another size than they were labeled in, labels scaled"] += 1
    sx, sy = scale.tolist()
    for person in image.people:
        person.points = {name: (x * sx, y * sy, seen) for name, (x, y, seen) in person.points.items()}
        if person.box is not None:
            x, y, width, height = person.box
            person.box = (x * sx, y * sy, width * sx, height * sy)
        if not np.isfinite([*person.points.values()]).all() or not np.isfinite(person.box or 0).all():
            raise AnnotationError(f"{labels.where}: {image.name} has a keypoint or box that is not a finite number")
        if (sx, sy) != (1, 1):
            person.extra = {key: one for key, one in person.extra.items() if key not in ("area", "segmentation")}


def _complete(person: LabeledPerson, image: LabeledImage, notes: Counter[str]) -> None:
    """Remove keypoints and boxes outside the image, and derive a missing box from the keypoints."""
    width, height = image.size or (np.inf, np.inf)
    near = _NEAR * max(image.size or (0, 0))
    for name, (x, y, seen) in person.points.items():
        at_x, at_y = np.clip((x, y), -TOLERANCE, (width + TOLERANCE, height + TOLERANCE)).tolist()
        distance = max(abs(x - at_x), abs(y - at_y))
        if seen > 0 and distance > near:
            person.points[name] = ABSENT
            notes["keypoints outside their image, now absent (visibility 0)"] += 1
        elif seen > 0 and distance > 0:
            person.points[name] = (at_x, at_y, seen)
            notes["keypoints just outside their image, moved to its border"] += 1
    if person.box is not None and is_outside(person.box, image.size):
        person.box = None
        notes["boxes outside their image, replaced"] += 1
    if person.box is None and person.marked():
        x, y, w, h = box_around(np.array(person.marked()), image.size).tolist()
        if min(w, h) < 1:  # of one keypoint, or several in a line: 2 pixels at least
            x, y = max(0.0, min(x - (w < 1), width - 2)), max(0.0, min(y - (h < 1), height - 2))
            w, h = max(w, 2.0), max(h, 2.0)
        person.box = (x, y, w, h)
        person.extra.pop("area", None)
        notes["people without a box, who get one around their keypoints"] += 1


def _filter_people(labels: Labels, notes: Counter[str]) -> None:
    """Remove duplicate people, and boxes without keypoints whose category has no keypoints at all."""
    posed = {person.category for person in labels.people() if person.marked()}
    for image in labels.images:
        people, poses = image.people, set()
        image.people = []
        for person in people:
            pose = tuple(person.points.get(name, ABSENT) for name in labels.keypoint_names)
            if not person.marked() and (person.box is None or person.category not in posed):
                notes["boxes or people without any keypoint, skipped"] += 1
            elif person.marked() and pose in poses:
                notes["people labeled twice with the same keypoints, skipped"] += 1
            else:
                image.people.append(person)
                poses.add(pose)
