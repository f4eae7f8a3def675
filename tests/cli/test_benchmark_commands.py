"""rsn evaluate and rsn score on the public benchmarks, from files in their official formats."""

import json
from pathlib import Path

import pytest

from benchmark_miniatures import MINIATURES, file_names, write_images
from command import rsn
from rsn.cli.evaluate import DATASETS
from rsn.evaluation import BENCHMARKS
from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import create_model

pytest.importorskip("hotcoco")

NAMES = [name for name in BENCHMARKS if name not in ("coco", "mpii")]
SAME_KEYPOINTS = ("ochuman", "humanart")  # as the model of the tests, which has COCO's


def prepare(name: str, folder: Path) -> None:
    made = MINIATURES[name]()
    (folder / "mini.json").write_text(json.dumps(made.annotations))
    write_images(folder / "mini", file_names(made.annotations))


@pytest.mark.parametrize("name", NAMES)
def test_evaluate_and_score_a_benchmark(name: str, random_weights: Path, tmp_path: Path) -> None:
    prepare(name, tmp_path)
    arguments = ["evaluate", random_weights, "--dataset", name, "--annotations", "mini.json", "--images", "mini"]
    if name not in SAME_KEYPOINTS:
        different = rsn(*arguments, cwd=tmp_path)
        assert different.returncode == 1
        assert "--common-keypoints" in different.stderr
        arguments.append("--common-keypoints")
    done = rsn(*arguments, "--json", "out.json", "--results", "results.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("only the" in done.stderr) == (name not in SAME_KEYPOINTS)
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["dataset"] == name
    if name in SAME_KEYPOINTS:
        scored = rsn("score", "results.json", "--dataset", name, "--annotations", "mini.json", cwd=tmp_path)
        assert scored.stdout == done.stdout


def test_model_of_the_benchmark_needs_no_option(tmp_path: Path) -> None:
    prepare("crowdpose", tmp_path)
    names = list(BENCHMARKS["crowdpose"].skeleton.keypoint_names[::-1])  # type: ignore[attr-defined]
    metadata = ModelMetadata("res18", input_size=(64, 64), skeleton=named(names))
    save_weights(tmp_path / "own.safetensors", create_model("res18", num_keypoints=14), metadata, half=True)
    arguments = ["--dataset", "crowdpose", "--annotations", "mini.json", "--images", "mini"]
    done = rsn("evaluate", "own.safetensors", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == ["easy", "medium", "hard"]


def named(names: list[str]):
    from rsn.skeletons import Skeleton

    return Skeleton.from_names("own", names)


def test_help_lists_all_datasets() -> None:
    assert DATASETS.split("|") == list(BENCHMARKS)


@pytest.mark.parametrize("command", ["evaluate", "score"])
def test_unknown_dataset_is_one_sentence(command: str, random_weights: Path, tmp_path: Path) -> None:
    source = random_weights if command == "evaluate" else "results.json"
    images = ["--images", "mini"] if command == "evaluate" else []
    done = rsn(command, source, "--dataset", "ochumans", "--annotations", "a.json", *images, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "rsn: there is no dataset named 'ochumans'; did you mean ochuman or humanart?\n"
