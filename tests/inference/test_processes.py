"""Estimators in threads, in forked processes and in pickles."""

import multiprocessing
import os
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from rsn import PoseEstimator, PoseModel
from rsn.errors import ImageError, RsnError, UnknownNameError
from rsn.inference import processes
from rsn.inference.backends import build_backend
from rsn.serving.limits import RequestError
from rsn.video.frames import VideoError
from rsn.weights.metadata import ModelMetadata
from small_network import small_network

BOX = [[10.0, 5.0, 60.0, 90.0]]
IMAGE = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)


def in_fork(work: Callable[[], object]) -> str:
    """What a forked process answers, or the error that it raises, as multiprocessing brings them back."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = repr(work())
        except RsnError as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


@pytest.mark.parametrize("name", ["torch", "openvino", pytest.param("onnxruntime", marks=pytest.mark.slow)])
def test_backend_is_thread_safe(name: str) -> None:
    torch.manual_seed(0)
    backend = build_backend(name, small_network(2), ModelMetadata("mspn50", input_size=(32, 32)), "cpu")
    random = np.random.default_rng(0)
    batches = [random.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8) for count in (1, 2, 3, 5)]
    alone = [backend(crops) for crops in batches]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda turn: backend(batches[turn % 4]), range(32)))
    for turn, answer in enumerate(answers):
        torch.testing.assert_close(torch.as_tensor(answer), torch.as_tensor(alone[turn % 4]))


def test_estimator_opens_one_detector_for_all_threads(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_detector(source: str, **options: object) -> object:
        opened.append(source)
        return lambda image: (np.array(BOX), np.ones(1))

    monkeypatch.setattr("rsn.inference.estimator.open_detector", open_detector)
    estimator = PoseEstimator(random_weights, backend="torch")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: estimator(IMAGE)[0].keypoints.tolist(), range(8)))
    assert answers == [answers[0]] * 8
    assert opened == ["starter"]


def test_estimator_rejects_a_forked_process(random_weights: Path) -> None:
    estimator = PoseEstimator(random_weights, backend="torch", detector=None)
    says = r"RsnError: this process was forked from one .*get_context\('spawn'\)"
    for work in (
        lambda: estimator(IMAGE, BOX, box_format="xywh"),
        lambda: estimator.model.open()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)),
        lambda: PoseEstimator(random_weights, backend="torch"),
    ):
        assert re.match(says, in_fork(work))
    assert len(estimator(IMAGE, BOX, box_format="xywh")) == 1  # the parent goes on


def test_process_forked_before_the_first_network_may_run_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "_first_process", None)

    def work() -> None:
        processes.check_process()
        processes.check_process()

    assert in_fork(work) == "None"


def test_estimator_is_pickled_as_its_arguments(random_weights: Path) -> None:
    estimator = PoseEstimator(random_weights, backend="torch", detector=None)
    estimator.flip_test, estimator.person_threshold = True, 0.0
    again = pickle.loads(pickle.dumps(estimator))
    assert (again.flip_test, again.person_threshold) == (True, 0.0)
    assert (again.backend, again.detector) == ("torch", None)
    np.testing.assert_array_equal(again(IMAGE, "whole").keypoints, estimator(IMAGE, "whole").keypoints)


@pytest.mark.slow
def test_estimator_works_in_a_spawned_process(random_weights: Path) -> None:
    estimator = PoseEstimator(random_weights, backend="torch", detector=None)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (people,) = pool.apply(estimator, (IMAGE, "whole"))
    np.testing.assert_allclose(people.keypoints, estimator(IMAGE, "whole")[0].keypoints, atol=1e-3)


class Made(processes.PickledByArguments):
    _kept = ("changed",)

    def __init__(self, model: object, *, detector: object = None) -> None:
        self.model, self.detector, self.changed = model, detector, False
        self.backend = lambda: None  # which cannot be pickled


def test_arguments_and_changed_attributes_are_pickled() -> None:
    made = Made(["a", "b"], detector="starter")
    made.changed = True
    again = pickle.loads(pickle.dumps(made))
    assert (again.model, again.detector, again.changed) == (["a", "b"], "starter", True)


def test_model_in_memory_is_pickled_with_the_estimator() -> None:
    metadata = ModelMetadata("mspn50", input_size=(64, 64))
    estimator = PoseEstimator(PoseModel(small_network(17), metadata), detector=None)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_allclose(again(IMAGE, "whole").keypoints, estimator(IMAGE, "whole").keypoints, atol=1e-3)


def test_pickling_rejects_arguments_that_cannot_be_pickled() -> None:
    with pytest.raises(RsnError, match="this Made cannot be pickled, since one of its arguments cannot be"):
        pickle.dumps(Made("a", detector=lambda image: None))


@pytest.mark.parametrize(
    "error",
    [
        RsnError("one"),
        ImageError("two"),
        VideoError("three"),
        UnknownNameError("backend", "trch", ["torch"]),
        RequestError(413, "too much"),
    ],
)
def test_errors_are_pickled_with_their_message(error: RsnError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
