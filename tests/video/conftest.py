"""Fixtures for the tests of videos."""

from pathlib import Path

import pytest

from rsn.inference.estimator import PoseEstimator


@pytest.fixture(scope="session")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, batch_size=4, device="cpu")
