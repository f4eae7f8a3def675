"""Annotation files with anything in any place: a sentence or an answer, never a crash."""

import json
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from people_on_disk import write_people
from rsn.datasets.checks import check_dataset
from rsn.datasets.coco import read_coco
from rsn.errors import RsnError, RsnWarning
from rsn.evaluation.coco import evaluate_keypoints
from rsn.skeletons import COCO_17

THINGS = (
    None,
    [],
    {},
    "x",
    "",
    -1,
    0,
    True,
    3.5,
    1e400,
    float("nan"),
    10**30,
    [1],
    ["a"],
    {"a": 1},
    [[1, 2]],
)
GONE = object()


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to everything in a document; of long lists, to the first two."""
    if above:
        yield above
    entries = document.items() if isinstance(document, dict) else enumerate(document[:2])
    for key, value in entries if isinstance(document, dict | list) else ():
        yield from places(value if isinstance(value, dict | list) else [], (*above, key))


def damaged(text: str, way: tuple[Any, ...], thing: Any) -> Any:
    document = json.loads(text)
    inner = document
    for key in way[:-1]:
        inner = inner[key]
    if thing is GONE:
        del inner[way[-1]]
    else:
        inner[way[-1]] = thing
    return document


def test_anything_anywhere(tmp_path: Path) -> None:
    pytest.importorskip("hotcoco")
    path = write_people(tmp_path, images=2)
    sound = path.read_text()
    results = [person | {"score": 1.0} for person in json.loads(sound)["annotations"]]
    ways = list(places(json.loads(sound)))
    changes = [(way, thing) for way in ways for thing in (*THINGS, GONE)]
    refused = found = 0
    for way, thing in changes:
        document = damaged(sound, way, thing)
        path.write_text(json.dumps(document))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RsnWarning)
            with suppress(RsnError):
                refused += 1
                read_coco(path, path.parent / "images")
                evaluate_keypoints(document, results, COCO_17)
                refused -= 1
            with suppress(RsnError):
                report = check_dataset(path, path.parent / "images")
                found += bool(report.findings)
                assert report.table()
                json.dumps(report.as_dict())
    assert 400 < refused < len(changes)
    assert found > 400
