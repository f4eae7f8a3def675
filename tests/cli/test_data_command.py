"""rsn data check and preview, and custom skeletons from data to metrics, by the real command."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from command import rsn
from people_on_disk import write_people
from rsn.skeletons import Skeleton
from rsn.weights.sources import load_metadata


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Four images, of which one is absent; one person has a keypoint outside."""
    path = write_people(tmp_path / "broken")
    document = json.loads(path.read_text())
    document["annotations"][0]["keypoints"][:2] = [500, 500]
    document["images"][1]["file_name"] = "<b>gone.png"
    path.write_text(json.dumps(document))
    return path


def test_check_exits_with_1_if_there_are_errors(broken: Path, people_json: Path, tmp_path: Path) -> None:
    sound = rsn("data", "check", people_json, "--images", people_json.parent / "images")
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "8 people in 4 images (coco_17); 0 errors" in sound.stdout
    given = ("--images", broken.parent / "images", "--json", tmp_path / "new/report.json", "--sample", 2)
    done = rsn("data", "check", broken, *given)
    assert (done.returncode, done.stderr) == (1, "")
    assert "image 2 (<b>gone.png)" in done.stdout
    report = json.loads((tmp_path / "new/report.json").read_text())
    assert report["errors"] == 2
    assert [issue["ids"] for issue in report["issues"] if issue["level"] == "error"] == [[2], [1]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("check", "gone.json", "--images", "."), "gone.json: there is no such file"),
        (("check", "gone.json", "--images", "nowhere"), "nowhere: there is no such folder of images"),
        (("preview", "people.json"), "need --images FOLDER"),
        (("preview", "people.json", "--images", ".", "--output", "a.png"), "a page as output"),
        (("preview", "recipe.yaml", "--images", "."), "a recipe contains its images and skeletons"),
    ],
)
def test_data_commands_reject_invalid_arguments(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = rsn("data", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("rsn: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


class Page(HTMLParser):
    """The images, the text and the external files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[np.ndarray] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        given = dict(attributes)
        address = given.get("src") or given.get("href") or ""
        if address.startswith("data:image/jpeg;base64,"):
            data = base64.b64decode(address.partition(",")[2])
            self.images.append(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        elif address:
            self.loads.append(address)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_preview_shows_the_issues(broken: Path, tmp_path: Path) -> None:
    given = ("--images", broken.parent / "images", "--people", 3, "--output", tmp_path / "out/page.html")
    done = rsn("data", "preview", broken, *given)
    assert done.returncode == 0, done.stderr
    page = Page(tmp_path / "out/page.html")
    assert page.loads == []
    assert not {"script", "link", "iframe", "b>gone.png"} & set(page.tags)
    assert "images that are not in the folder" in page.text
    assert "<b>gone.png" in page.text
    assert "people with visible keypoints outside the image: annotation 1" in page.text
    assert len(page.images) in (
        3,
        4,
    )  # one image with issues is missing, and may also be in the sample
    assert {image.shape for image in page.images} == {(360, 480, 3)}
    again = rsn("data", "preview", broken, *given[:-1], tmp_path / "again.html")
    assert again.returncode == 0
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "out/page.html").read_bytes()


def test_preview_of_a_recipe_shows_crops_and_datasets(recipe_file: Path, broken: Path, tmp_path: Path) -> None:
    done = rsn("data", "preview", recipe_file, "--output", tmp_path / "page.html", "--people", 2)
    assert done.returncode == 0, done.stderr
    page = Page(tmp_path / "page.html")
    assert page.text.count("people.json: 8 people") == 1  # training and validation use one dataset
    assert page.images[0].shape == (64, 6 * 2 * 64, 3)
    assert len(page.images) == 3
    stops = ("--set", f"train=[{{annotations: {broken}, images: {broken.parent / 'images'}}}]")
    done = rsn("data", "preview", recipe_file, *stops, "--output", tmp_path / "stops.html")
    assert done.returncode == 0, done.stderr
    text = Page(tmp_path / "stops.html").text
    assert "Training stops: " in text
    assert "1 of 4 images are missing" in text
    assert "8 people in 4 images (coco_17); 2 errors" in text


CLIMBER = """
name: climber
keypoints: [Head, LWrist, RWrist, "Left Ankle", "Right Ankle"]
limbs: [[Head, LWrist], [Head, RWrist], [Left Ankle, Right Ankle]]
"""


@pytest.fixture
def climbers(tmp_path: Path) -> Path:
    """A dataset with a custom skeleton, whose keypoints only climber.yaml names."""
    keypoints = ["head", "left_wrist", "right_wrist", "left_ankle", "right_ankle"]
    skeleton = Skeleton.from_names("climber", keypoints, [(0, 1), (0, 2), (3, 4)])
    path = write_people(tmp_path / "climbers", skeleton=skeleton, seed=1)
    document = json.loads(path.read_text())
    document["categories"] = [{"id": 7, "name": "climber"}]
    for entry in document["annotations"]:
        del entry["area"], entry["bbox"], entry["num_keypoints"]
        entry["category_id"] = 7
    path.write_text(json.dumps(document))
    (path.parent / "climber.yaml").write_text(CLIMBER)
    return path


def test_two_skeletons_are_trained_and_evaluated_together(
    climbers: Path, people_json: Path, recipe_file: Path, tmp_path: Path
) -> None:
    own = {
        "annotations": str(climbers), "images": str(climbers.parent / "images"),
        "skeleton": str(climbers.parent / "climber.yaml"),
    }  # fmt: skip
    recipe = yaml.safe_load(recipe_file.read_text(encoding="utf-8"))
    recipe |= {"train": [own, *recipe["train"]], "validation": own, "output": str(tmp_path / "run")}
    (tmp_path / "both.yaml").write_text(yaml.safe_dump(recipe))
    trained = rsn("train", tmp_path / "both.yaml")
    assert trained.returncode == 0, trained.stderr
    assert "training   16 people in 8 images (climber)" in trained.stderr
    assert "8 people without a box, who get one around their keypoints" in trained.stderr
    assert "8 people without an area, who get 0.53 x the area of their box" in trained.stderr
    assert "has no sigmas" in trained.stderr
    assert "COCO's for 4 keypoints of the same name and 0.05 for head" in trained.stderr
    weights = tmp_path / "run/best.safetensors"
    metadata = load_metadata(weights)
    assert metadata.skeleton.keypoint_names == ("Head", "LWrist", "RWrist", "Left Ankle", "Right Ankle")
    assert metadata.skeleton.flip_indices == (0, 2, 1, 4, 3)
    given = ("--annotations", climbers, "--skeleton", climbers.parent / "climber.yaml")
    files = ("--json", tmp_path / "a.json", "--results", tmp_path / "results.json")
    measured = rsn("evaluate", weights, *given, "--images", climbers.parent / "images", "--parts", *files)
    assert measured.returncode == 0, measured.stderr
    assert measured.stderr.count("without an area") == 1  # not once for each part
    assert {entry["category_id"] for entry in json.loads((tmp_path / "results.json").read_text())} == {7}
    scored = rsn("score", tmp_path / "results.json", *given, "--parts", "--json", tmp_path / "b.json")
    assert scored.returncode == 0, scored.stderr
    ours, anybodys = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert ours["metrics"] == anybodys["metrics"]
    assert set(ours["parts"]) == {"head", "wrists", "ankles"}


def test_training_rejects_skeletons_without_common_keypoint(
    people_json: Path, recipe_file: Path, tmp_path: Path
) -> None:
    dogs = write_people(tmp_path / "dogs", skeleton=Skeleton.from_names("dog", ["paw", "tail"], [(0, 1)]))
    source = f"{{annotations: {dogs}, images: {dogs.parent / 'images'}}}"
    done = rsn("train", recipe_file, "--set", f"train=[{source}]", f"output={tmp_path / 'run'}")
    assert done.returncode == 1
    assert "have no keypoint of the same name; are these annotations of another dataset?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_skeleton_file_with_an_unknown_keypoint_is_rejected(climbers: Path, tmp_path: Path) -> None:
    skeleton = climbers.parent / "climber.yaml"
    skeleton.write_text(CLIMBER.replace("[[Head, LWrist]", "[[Heda, LWrist]"))
    done = rsn("data", "check", climbers, "--images", climbers.parent / "images", "--skeleton", skeleton)
    assert done.returncode == 1
    assert done.stderr == f"rsn: {skeleton}: limbs: there is no keypoint 'Heda'; did you mean Head?\n"
