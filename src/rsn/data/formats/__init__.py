"""Labels of many tools: recognized, read into one form, and written as COCO-keypoints JSON or for another tool."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsn.data.formats import (
    coco,
    cvat,
    deeplabcut,
    label_studio,
    labelme,
    mpii_list,
    predictions,
    sleap,
    via,
    yolo,
)
from rsn.data.formats import labels as form
from rsn.data.formats.finishing import finish
from rsn.data.formats.labels import Labels, Source
from rsn.data.records import read_records
from rsn.errors import AnnotationError, UnknownNameError
from rsn.skeletons import Skeleton


@dataclass(frozen=True)
class Format:
    """A format of labels.

    tool: its name in messages. find: its files in a source. read: those files as labels. write: labels in pixels to a
    file or folder; None if that is not offered. keys: of its JSON, by which the most similar format of a file is found.
    """

    tool: str
    find: Callable[[Source], list[Path]]
    read: Callable[[Source, list[Path]], Labels]
    write: Callable[[Labels, Path], None] | None = None
    keys: tuple[str, ...] = ()


# fmt: off
FORMATS = {
    "coco": Format("COCO JSON", coco.find_coco, coco.read_coco_labels, coco.write_coco, coco.KEYS),
    "cvat": Format("CVAT XML", cvat.find_cvat, cvat.read_cvat, cvat.write_cvat),
    "labelme": Format(
        "labelme", labelme.find_labelme, labelme.read_labelme, labelme.write_labelme, ("shapes", "imagePath")),
    "label-studio": Format(
        "Label Studio JSON", label_studio.find_label_studio, label_studio.read_label_studio,
        label_studio.write_label_studio, ("data", "annotations")),
    "yolo": Format("YOLO-pose", yolo.find_yolo, yolo.read_yolo, yolo.write_yolo),
    "dlc": Format(
        "DeepLabCut", deeplabcut.find_deeplabcut, deeplabcut.read_deeplabcut, deeplabcut.write_deeplabcut),
    "sleap": Format("SLEAP", sleap.find_sleap, sleap.read_sleap),
    "via": Format("VIA", via.find_via, via.read_via, keys=("filename", "regions")),
    "mpii": Format(
        "MPII list", mpii_list.find_mpii, mpii_list.read_mpii_list, keys=("image", "center", "scale", "joints")),
    "openpose": Format("OpenPose", predictions.find_openpose, predictions.read_openpose, keys=("people", "version")),
    "results": Format(
        "results of AlphaPose, COCO or rsn", predictions.find_results, predictions.read_results,
        keys=("image_id", "keypoints", "score")),
}
# fmt: on
_ALIASES = {"alphapose": "results", "ultralytics": "yolo", "roboflow": "yolo", "deeplabcut": "dlc"}


def find_format(name: str, *, to_write: bool = False) -> str:
    """The key in FORMATS that a name means.

    Raises:
        UnknownNameError: no such format, or one that cannot be written; the message names similar ones.
    """
    known = [key for key, one in FORMATS.items() if one.write or not to_write]
    key = _ALIASES.get(name.lower(), name.lower())
    if key not in known:
        raise UnknownNameError("label format to write" if to_write else "label format", name, known)
    return key


def recognize(source: Source) -> str:
    """The format of a file or folder, as a key in FORMATS.

    Raises:
        AnnotationError: no known format, or several.
    """
    if source.path.is_file() and zipfile.is_zipfile(source.path):
        raise AnnotationError(f"{source.path}: is an archive; unpack it, and name the folder")
    found = {key: files for key, one in FORMATS.items() if (files := one.find(source))}
    if len(found) > 1 and all(_is_converted(source.json(path)) for path in found.get("coco", ())):
        found.pop("coco", None)  # what an earlier conversion wrote into the same folder
    if len(found) > 1:
        several = ", ".join(f"{FORMATS[key].tool} ({files[0].name})" for key, files in found.items())
        raise AnnotationError(
            f"{source.path}: has labels of several formats: {several}; choose one with --format {' or '.join(found)}"
        )
    if not found:
        raise AnnotationError(f"{source.path}: has no labels of a known format; {_nearest(source)}")
    return next(iter(found))


def _is_converted(document: Any) -> bool:
    info = document.get("info")
    return isinstance(info, dict) and info.get("description") == coco.CONVERTED


def _nearest(source: Source) -> str:
    """The format that is most similar to the files of an unknown source."""
    if any(path.name == "data.yaml" for path in source.files):
        return "its data.yaml has no kpt_shape, so it is YOLO without keypoints"
    if archives := source.of(".zip"):
        return f"it holds an archive; unpack {archives[0].name}"
    if any(re.match(r"\d+( -?\d\S*){5,}$", form.first_line(path)) for path in source.of(".txt")[:10]):
        return "its text files may be labels of YOLO-pose, whose data.yaml with kpt_shape is missing"
    present = {key for path in source.of(".json")[:10] for key in _keys(source.json(path))}
    shares = {key: len(present.intersection(one.keys)) / max(1, len(one.keys)) for key, one in FORMATS.items()}
    nearest = FORMATS[max(shares, key=lambda key: shares[key])]
    if max(shares.values()) == 0:
        return f"known are {', '.join(one.tool for one in FORMATS.values())}"
    lacking = [key for key in nearest.keys if key not in present]
    return f"the most similar is {nearest.tool}, but it lacks {', '.join(lacking) or 'entries of its form'}"


def _keys(document: Any) -> set[str]:
    values = [document, *document.values()] if isinstance(document, dict) else document
    entries = values[:100] if isinstance(values, list) else []
    return {key for entry in entries if isinstance(entry, dict) for key in entry}


def read_labels(
    path: Path,
    images: Path | None = None,
    *,
    format_name: str | None = None,
    skeleton: Skeleton | None = None,
) -> Labels:
    """Read the labels of a file or folder, in pixels of the stored images.

    images: the folder of images; by default it is searched beside the labels. format_name: a key in FORMATS; by default
    the format is recognized. skeleton: names the keypoints, if the labels do not. RsnWarnings say what is skipped,
    derived or changed.

    Raises:
        AnnotationError: no labels of that format, errors in them, or images that are needed and missing.
    """
    try:
        source = Source(path, skeleton, images)
        key = find_format(format_name) if format_name else recognize(source)
        files = FORMATS[key].find(source)
        if not files:
            raise AnnotationError(f"{path}: has no labels of {FORMATS[key].tool}")
        labels = finish(FORMATS[key].read(source, files), images, skeleton)
    except OSError as error:
        raise AnnotationError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error
    records = read_records(coco.to_coco(labels), str(path))
    records.check_positions()
    records.issues.raise_errors(str(path))
    return labels


def write_labels(labels: Labels, output: Path, format_name: str = "coco") -> None:
    """Write labels atomically, as a file (coco, cvat, label-studio) or a new folder (labelme, yolo, dlc).

    Raises:
        UnknownNameError: a format that cannot be written.
        RsnError: the output cannot be written.
    """
    write = FORMATS[find_format(format_name, to_write=True)].write
    assert write is not None
    write(labels, output)
