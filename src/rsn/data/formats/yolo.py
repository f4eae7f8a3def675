"""YOLO-pose datasets (Ultralytics, Roboflow, CVAT): data.yaml, images, and one text file of fractions per image."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from rsn.data.formats.folders import copy_image, new_folder
from rsn.data.formats.labels import (
    ABSENT,
    PERSON,
    LabeledImage,
    LabeledPerson,
    Labels,
    Source,
    files_below,
    reading,
)
from rsn.errors import AnnotationError
from rsn.io.image_formats import is_image_name
from rsn.io.validation import read_mapping
from rsn.skeletons import COCO_17, Skeleton

_SPLITS = ("train", "val", "valid", "test")
_DATASET = re.compile(rb"^(?:train|val)\s*:", re.MULTILINE)  # which YAML files of models lack


def find_yolo(source: Source) -> list[Path]:
    """The YAML files of datasets with kpt_shape; of a folder those at the highest level."""
    contents = {path: path.read_bytes() for path in source.of(".yaml", ".yml")}
    files = [path for path, content in contents.items() if b"kpt_shape" in content and _DATASET.search(content)]
    level = min((len(path.parts) for path in files), default=0)
    return [path for path in files if len(path.parts) == level]


def read_yolo(source: Source, files: list[Path]) -> Labels:
    """Read all splits. An image without a text file has no people, as in Ultralytics.

    Text files without an image are skipped and counted, or belong to images in the folder of `--images`. Paths of
    another machine are found by their end.

    Keypoint names come from `kpt_names`; without them 17 keypoints with COCO's `flip_idx` or none are COCO's, others
    are keypoint_1, keypoint_2, ... Limbs come from `skeleton`, pairs of indices from 0. With `kpt_shape: [K, 2]` a
    keypoint at 0 0 or below 0 is absent, others are visible.
    """
    if len(files) > 1:
        raise AnnotationError(f"{source.path}: has {len(files)} datasets ({', '.join(map(str, files))}); name one")
    path = files[0]
    config = read_mapping(path, what="data.yaml", error=AnnotationError)
    with reading(str(path), "a YOLO-pose data.yaml"):
        count, dims = (int(value) for value in config["kpt_shape"])
        if count < 1 or dims not in (2, 3):
            raise ValueError(f"kpt_shape is {config['kpt_shape']}, not [K, 2] or [K, 3]")
        flip = [int(index) for index in config.get("flip_idx") or []] or None
        extra = (f"class_{number}" for number in range(1, int(config.get("nc") or 1)))
        given = config.get("names") or [PERSON, *extra]
        given = [given] if isinstance(given, str) else given
        numbered = given.items() if isinstance(given, dict) else enumerate(given)
        classes = {int(number): str(name) for number, name in numbered}
        keypoints = _keypoint_names(config, count, flip)
        limbs = [(keypoints[a], keypoints[b]) for a, b in config.get("skeleton") or ()]
        labels = Labels(str(path), path.parent, keypoints, limbs=limbs, flip_idx=flip, unit="fraction")
        root = path.parent / str(config.get("path") or "")
        root = root if root.is_dir() else path.parent  # `path` may be of another machine
        splits = {name: list(_images((root, path.parent), config[name])) for name in _SPLITS if config.get(name)}
        images = [image for found in splits.values() for image in found]
        for name, found in splits.items():
            labels.notes[f"split without images ({name}: {config[name]}), skipped"] += bool(images and not found)
    labels.folder = root if all(image.is_relative_to(root) for image in images) else path.parent
    unused = _texts(labels.folder) - {label_path(image) for image in images}
    texts = {
        image: next((file for file in (label_path(image), image.with_suffix(".txt")) if file.is_file()), None)
        for image in images
    }
    if source.images is not None:  # which may have the images of these
        texts |= {_image_path(text): text for text in sorted(unused)}
    else:
        labels.notes["label files without an image in train, val or test, skipped"] += len(unused)
    if not texts:
        raise AnnotationError(f"{path}: finds no images in its train, val and test; name their folder with --images")
    for image, text in texts.items():
        labels.notes["images without a label file, taken as images without people"] += text is None
        people = _people(text, labels.keypoint_names, dims, classes) if text else []
        relative = image.relative_to(labels.folder) if image.is_relative_to(labels.folder) else image
        labels.images.append(LabeledImage(relative.as_posix(), people))
    return labels


def _texts(folder: Path) -> set[Path]:
    """The label files below a folder."""
    texts = (file for file in files_below(folder) if file.suffix == ".txt" and file.name != "classes.txt")
    return {file for file in texts if "labels" in file.relative_to(folder).parts[:-1]}


def _keypoint_names(config: dict[str, Any], count: int, flip: list[int] | None) -> list[str]:
    given = config.get("kpt_names") or config.get("node_names")  # node_names are of sleap-io
    classes = list(given.values()) if isinstance(given, dict) else given
    if classes and isinstance(classes[0], list):
        given = classes[0]
        if any(other != given for other in classes):
            raise ValueError("its classes have different kpt_names; convert one class at a time")
    if given and len(given) != count:
        raise ValueError(f"kpt_names has {len(given)} names for {count} keypoints")
    if not given and count == len(COCO_17) and flip in (None, list(COCO_17.flip_indices)):
        given = COCO_17.keypoint_names
    return [str(name) for name in given or (f"keypoint_{number}" for number in range(1, count + 1))]


def _images(folders: Sequence[Path], split: Any) -> Iterator[Path]:
    """The images of a split: of folders, of text files that list images, or of several of them."""
    for entry in split if isinstance(split, list) else [split] if split else []:
        path = _resolve(str(entry), folders, Path.exists)
        if path is None:
            continue
        if path.is_dir():
            yield from (file for file in files_below(path) if is_image_name(file.name))
            continue
        near = (path.parent, *folders)
        for line in filter(None, map(str.strip, path.read_text(encoding="utf-8-sig").splitlines())):
            yield _resolve(line, near, lambda image: image.is_file() or label_path(image).is_file()) or near[0] / line


def _resolve(name: str, folders: Sequence[Path], exists: Callable[[Path], bool]) -> Path | None:
    """What a path in a file means, relative to one of these folders.

    If there is no such path, with fewer folders in front: Roboflow writes ../train/images for train/images, and
    absolute paths are often of another machine.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    candidates = (folder.joinpath(*parts[first:]) for first in range(len(parts)) for folder in folders)
    return next((path for path in candidates if exists(path)), None)


def label_path(image: Path) -> Path:
    """The text file of an image: the last `images` in its path is `labels` instead; without one, beside the image."""
    parts = list(image.with_suffix(".txt").parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _image_path(text: Path) -> Path:
    """The image of a text file, without suffix: `images` instead of the last `labels` in its path."""
    parts = list(text.with_suffix("").parts)
    parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    return Path(*parts)


def _people(path: Path, names: list[str], dims: int, classes: dict[int, str]) -> list[LabeledPerson]:
    people, expected = [], 5 + dims * len(names)
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        values = line.split()
        with reading(f"{path}: line {number}", "a person"):
            if values and len(values) != expected:
                raise ValueError(f"{len(values)} numbers, not {expected}; is the file cut off, or kpt_shape wrong?")
            if values:
                if values[0].partition(".")[0] not in map(str, classes):
                    raise ValueError(f"class {values[0]} is not in its names")
                kind, x, y, width, height, *flat = (float(value) for value in values)
                triples = [flat[index : index + dims] for index in range(0, len(flat), dims)]
                points = {name: _point(*triple) for name, triple in zip(names, triples, strict=True)}
                box = (x - width / 2, y - height / 2, width, height)
                people.append(LabeledPerson(points, box, classes[int(kind)]))
    return people


def _point(x: float, y: float, seen: float | None = None) -> tuple[float, float, int]:
    if seen not in (None, 0, 1, 2):
        raise ValueError(f"visibility {seen}, not 0, 1 or 2")
    visibility = 2 * (min(x, y) >= 0 and (x, y) != (0, 0)) if seen is None else int(seen)
    return (x, y, visibility) if visibility else ABSENT


def write_yolo(labels: Labels, output: Path) -> None:
    """Write a folder with data.yaml, copies of the images and one text file per image; train and val are the same."""
    categories, names = labels.categories(), labels.keypoint_names
    config = {
        "train": "images", "val": "images", "kpt_shape": [len(names), 3],
        "flip_idx": labels.flip_idx or list(Skeleton.from_names("labels", names).flip_indices),
        "names": dict(enumerate(categories)),
        "kpt_names": {number: list(names) for number in range(len(categories))},
    }  # fmt: skip
    with new_folder(output) as folder:
        for image in labels.images:
            target = folder / "images" / PurePosixPath(image.name)
            copy_image(image, target)
            text = label_path(target)
            text.parent.mkdir(parents=True, exist_ok=True)
            width, height = image.size or (1, 1)
            lines = []
            for person in image.people:
                x, y, w, h = person.box or (0, 0, 0, 0)  # `finish` derives missing boxes
                box = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
                points = [person.points.get(name, ABSENT) for name in names]
                triples = [(px / width, py / height, seen) if seen > 0 else ABSENT for px, py, seen in points]
                numbers = [
                    categories.index(person.category),
                    *box,
                    *(value for one in triples for value in one),
                ]
                lines.append(" ".join(f"{number:.9g}" for number in numbers) + "\n")
            text.write_text("".join(lines), encoding="utf-8")
        settings = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        (folder / "data.yaml").write_text(settings, encoding="utf-8")
