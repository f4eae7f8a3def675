"""rsn score with raw scores and with those of `poses.json` in [0, 1]."""

import json
from pathlib import Path

import numpy as np
import pytest

from command import rsn
from rsn.results import Person


def test_score_gives_same_metrics_for_raw_and_normalized_scores(people_json: Path, tmp_path: Path) -> None:
    pytest.importorskip("hotcoco")
    random = np.random.default_rng(0)
    people = []
    for entry in json.loads(people_json.read_text(encoding="utf-8"))["annotations"]:
        keypoints = np.array(entry["keypoints"], float).reshape(-1, 3)[:, :2]
        scores, box_score = random.uniform(0.5, 1.5, len(keypoints)), float(random.uniform(0.2, 1))
        moved = keypoints + random.normal(0, 4, keypoints.shape)
        people.append((entry["image_id"], Person.from_keypoints(entry["bbox"], moved, scores, box_score=box_score)))
    printed = []
    for raw in (True, False):
        path = tmp_path / f"{raw}.json"
        path.write_text(json.dumps([person.to_coco(image, raw=raw) for image, person in people]))
        done = rsn("score", path, "--annotations", people_json)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    assert "AP" in printed[0]
