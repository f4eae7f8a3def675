"""rsn.evaluate: a model or its results, on a dataset."""

from pathlib import Path

import pytest

import rsn
from rsn.errors import RsnError
from rsn.evaluation import CocoMetrics

pytest.importorskip("hotcoco")


@pytest.fixture(scope="module")
def of_model(random_weights: Path, people_json: Path) -> rsn.evaluation.Evaluation:
    return rsn.evaluate(random_weights, people_json, people_json.parent / "images")


def test_evaluate_predicts_every_annotated_person(of_model: rsn.evaluation.Evaluation) -> None:
    assert isinstance(of_model.metrics, CocoMetrics)
    assert 0 <= of_model.metrics.ap <= 1
    assert len(of_model.results) == 8
    assert of_model.as_dict()["metrics"]["AP"] == of_model.metrics.ap


def test_results_give_the_metrics_of_their_model(
    of_model: rsn.evaluation.Evaluation, people_json: Path, random_weights: Path
) -> None:
    assert rsn.evaluate(of_model.results, people_json).metrics == of_model.metrics
    estimator = rsn.PoseEstimator(random_weights, detector=None)
    again = rsn.evaluate(estimator, people_json, people_json.parent / "images", parts=True)
    assert again.results == of_model.results
    assert "ankles" in again.table()


def test_flip_test_changes_the_results(
    of_model: rsn.evaluation.Evaluation, people_json: Path, random_weights: Path
) -> None:
    flipped = rsn.evaluate(random_weights, people_json, people_json.parent / "images", flip_test=True)
    assert flipped.results != of_model.results


def test_messages_and_progress_are_passed_on(random_weights: Path, people_json: Path) -> None:
    messages: list[str] = []
    totals: list[int] = []

    def track(results, total):
        totals.append(total)
        return results

    rsn.evaluate(random_weights, people_json, people_json.parent / "images", report=messages.append, track=track)
    assert messages[0] == "boxes: annotated; 8 in 4 images"
    assert totals == [4]


def test_model_without_images_is_rejected(random_weights: Path, people_json: Path) -> None:
    with pytest.raises(RsnError, match="Invalid images: expected the folder"):
        rsn.evaluate(random_weights, people_json)
