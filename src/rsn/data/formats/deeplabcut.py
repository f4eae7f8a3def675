"""DeepLabCut: labeled data of single and multi-animal projects, as CSV or H5."""

import csv
import io
import pickle
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rsn.data.formats.folders import copy_image, new_folder
from rsn.data.formats.labels import (
    ABSENT,
    LabeledImage,
    LabeledPerson,
    Labels,
    Source,
    first_line,
    order_names,
    reading,
)
from rsn.errors import AnnotationError
from rsn.extras import require
from rsn.io.validation import read_mapping

_LEVELS = ["scorer", "individuals", "bodyparts", "coords"]
_UNIQUE = "single"  # the individual of keypoints that belong to no individual
_FOLDER = "labeled-data"

_Names = tuple[str, ...]
_Table = tuple[
    list[str], list[_Names], dict[_Names, list[float]]
]  # levels, images (path parts), columns by their names


def find_deeplabcut(source: Source) -> list[Path]:
    """The files of labels: CSV, or H5 if there is no CSV of the same name.

    In a project only CollectedData files, and of several labelers those of the scorer of the project.
    """
    tables = [path for path in source.of(".csv") if first_line(path).split(",")[0].strip() == _LEVELS[0]]
    tables += [path for path in source.of(".h5") if path.with_suffix(".csv") not in tables]
    collected = sorted(path for path in tables if path.stem.startswith("CollectedData"))
    # training-datasets has copies of them.
    collected = [path for path in collected if path.parent.parent.name == _FOLDER] or collected
    scored = [path for path in collected if path.stem == f"CollectedData_{_config(path).get('scorer')}"]
    return scored or collected or tables


def _config(path: Path) -> dict[str, Any]:
    """The settings of the project that a file of labels belongs to; empty without a project."""
    config = _project(path) / "config.yaml"
    return read_mapping(config, what="config.yaml", error=AnnotationError) if config.is_file() else {}


def read_deeplabcut(source: Source, files: list[Path]) -> Labels:
    """Read the labels of one or several videos. A keypoint without coordinates is absent, others are visible.

    Keypoints that belong to no individual ("single") are skipped and counted. The limbs are the project's `skeleton`.

    Raises:
        AnnotationError: a file that is cut off, or of predictions, which have a likelihood.
        MissingDependencyError: an H5 file, and h5py is not installed.
    """
    labels = Labels(str(source.path), _project(files[0]))
    sequences: list[dict[str, Any]] = []
    for path in files:
        with reading(str(path), "labels of DeepLabCut"):
            levels, rows, columns = _read_csv(path) if path.suffix.lower() == ".csv" else _read_h5(path)
            individuals: dict[str, dict[str, dict[str, list[float]]]] = {}
            for names, values in columns.items():
                column = dict(zip(levels, names, strict=True))
                parts = individuals.setdefault(column.get("individuals", ""), {})
                parts.setdefault(column["bodyparts"], {})[column["coords"]] = values
            if any("likelihood" in column for column in columns):
                raise ValueError("it holds predictions, with a likelihood")
            if len(individuals) > 1 and individuals.pop(_UNIQUE, {}):
                labels.notes["groups of keypoints that belong to no individual, skipped"] += 1
            sequences += individuals.values()
            for row, image in enumerate(rows):
                people = [_person(parts, row) for parts in individuals.values()]
                name = "/".join(filter(None, image)).replace("\\", "/")
                labels.images.append(LabeledImage(name, [person for person in people if person.points]))
    labels.keypoint_names = order_names(sequences)
    limbs = [limb for limb in _config(files[0]).get("skeleton") or [] if set(limb) <= set(labels.keypoint_names)]
    labels.limbs = [(limb[0], limb[1]) for limb in limbs if len(limb) == 2]
    return labels


def _person(parts: dict[str, dict[str, list[float]]], row: int) -> LabeledPerson:
    spots = {name: (values["x"][row], values["y"][row]) for name, values in parts.items()}
    return LabeledPerson({name: (*spot, 2) for name, spot in spots.items() if not np.isnan(spot).any()})


def _project(path: Path) -> Path:
    """The folder that paths in a file are relative to: the parent of labeled-data, else that of the file."""
    return next((folder.parent for folder in path.absolute().parents if folder.name == _FOLDER), path.parent)


def _read_csv(path: Path) -> _Table:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    heads = [row for row in rows[: len(_LEVELS)] if row[0] in _LEVELS]
    if not {"bodyparts", "coords"} <= {head[0] for head in heads}:
        raise ValueError("no rows bodyparts and coords; is the file cut off?")
    first = next(index for index, word in enumerate(heads[0]) if index and word)
    body = rows[len(heads) :]
    if any(len(row) != len(heads[0]) for row in body):
        raise ValueError(f"a row without {len(heads[0])} columns; is the file cut off?")
    values = np.array([[float(word or "nan") for word in row[first:]] for row in body]).T.tolist()
    names = list(zip(*(head[first:] for head in heads), strict=True))
    _check_unique(names)
    columns = dict(zip(names, values, strict=True))
    return [head[0] for head in heads], [tuple(row[:first]) for row in body], columns


def _check_unique(columns: list[_Names]) -> None:
    twice = [names for names in columns if columns.count(names) > 1]
    if twice:
        raise ValueError(f"two columns {'/'.join(twice[0])}")


def _read_h5(path: Path) -> _Table:
    """Read what pandas stored, without running the pickles in it, as pandas would."""
    require("h5py", extra="labels", feature="reading .h5 files of DeepLabCut")
    import h5py

    try:
        with h5py.File(path) as file:
            group = next(one for one in file.values() if "pandas_type" in one.attrs)
            levels, rows, order, blocks = (_read_table if "table" in group else _read_fixed)(group)
    except (OSError, StopIteration, pickle.UnpicklingError) as error:
        raise ValueError(f"not an H5 file of pandas, or cut off: {error}") from error
    columns = {name: values for names, block in blocks for name, values in zip(names, block.T.tolist(), strict=True)}
    _check_unique(order)
    return levels, rows, {names: columns[names] for names in order}


_Stored = tuple[list[str], list[_Names], list[_Names], list[tuple[list[_Names], Any]]]  # levels, rows, columns, blocks


def _read_fixed(group: Any) -> _Stored:
    """Read pandas' fixed format."""
    levels = [_text(group[f"axis0_level{index}"].attrs["name"]) for index in range(group.attrs["axis0_nlevels"])]
    blocks = [
        (_axis(group, f"block{index}_items"), np.asarray(group[f"block{index}_values"], float))
        for index in range(group.attrs["nblocks"])
    ]
    return levels, _axis(group, "axis1"), _axis(group, "axis0"), blocks


def _axis(group: Any, name: str) -> list[_Names]:
    if group.attrs[f"{name}_variety"] == b"regular":
        return [(_text(value),) for value in group[name][()]]
    columns = []
    for index in range(group.attrs[f"{name}_nlevels"]):
        texts = [_text(value) for value in group[f"{name}_level{index}"][()]]
        columns.append([texts[code] for code in group[f"{name}_label{index}"][()]])
    return list(zip(*columns, strict=True))


def _read_table(group: Any) -> _Stored:
    """Read pandas' table format, which older projects have."""
    table = group["table"]
    levels = next(iter(_unpickle(group.attrs["info"]).values()))["names"]
    fields = [field for field in table.dtype.names if field.startswith("values_block_")]
    blocks = [(_unpickle(table.attrs[f"{field}_kind"]), np.asarray(table[field], float)) for field in fields]
    return (
        levels,
        [(_text(value),) for value in table["index"]],
        _unpickle(group.attrs["non_index_axes"])[0][1],
        blocks,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, tuples, texts and numbers; rejects all else, so that no code is run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds a {module}.{name}")


def _unpickle(data: Any) -> Any:
    return _PlainUnpickler(io.BytesIO(bytes(data))).load()


def write_deeplabcut(labels: Labels, output: Path) -> None:
    """Write labeled-data with a folder per folder of images: copies of them, and CollectedData_rsn.csv.

    With several people in an image it is a multi-animal file. DeepLabCut stores neither boxes nor visibility 1.

    Raises:
        AnnotationError: two images that would get one name.
    """
    most = max(len(image.people) for image in labels.images)
    people = [f"individual{number}" for number in range(1, most + 1)]
    columns = [("rsn", person, name, axis) for person in people for name in labels.keypoint_names for axis in "xy"]
    heads = [[level, "", "", *words] for level, words in zip(_LEVELS, zip(*columns, strict=True), strict=True)]
    rows: dict[tuple[str, str], list[Any]] = {}
    with new_folder(output) as folder:
        for image in labels.images:
            path = PurePosixPath(image.name)
            # One level of folders, and those of DeepLabCut's own projects keep their name.
            video = "_".join(part for part in path.parent.parts if part != _FOLDER) or "images"
            if (video, path.name) in rows:
                raise AnnotationError(f"{labels.where}: two images would be {video}/{path.name}; rename one")
            copy_image(image, folder / _FOLDER / video / path.name)
            poses = [person.points for person in image.people] + [{}] * (most - len(image.people))
            points = [pose.get(name, ABSENT) for pose in poses for name in labels.keypoint_names]
            rows[video, path.name] = [
                value for x, y, seen in points for value in ((round(x, 3), round(y, 3)) if seen > 0 else ("", ""))
            ]
        for video in {video for video, _ in rows}:
            table = folder / _FOLDER / video / "CollectedData_rsn.csv"
            with open(table, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerows(heads if most > 1 else [heads[0], *heads[2:]])
                writer.writerows([_FOLDER, *key, *row] for key, row in rows.items() if key[0] == video)
