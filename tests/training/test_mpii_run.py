"""A run that trains and validates on MPII, which a recipe only needs to name."""

import csv
from pathlib import Path

import pytest

pytest.importorskip("scipy")

from mpii_on_disk import write_release
from rsn.errors import AnnotationError
from rsn.skeletons import MPII_16
from rsn.training.recipe import read_recipe
from rsn.training.run import train
from rsn.weights.loading import load_model


def test_train_on_mpii_validates_by_pckh(recipe_file: Path, tmp_path: Path) -> None:
    mat = write_release(tmp_path)
    source = f"{{annotations: {mat}, images: {mat.parent / 'images'}}}"
    settings = (
        f"output={tmp_path / 'run'}",
        f"train=[{source}]",
        f"validation={source}",
        "codec={name: megvii, blur_kernel_size: 9}",
    )
    train(read_recipe(recipe_file, settings))
    with open(tmp_path / "run/logs/version_0/metrics.csv", encoding="utf-8") as file:
        metrics = [float(row["validation/pckh"]) for row in csv.DictReader(file) if row["validation/pckh"]]
    assert len(metrics) == 2
    assert "| Shoulder | Elbow |" in (tmp_path / "run" / "report.md").read_text()
    metadata = load_model(tmp_path / "run" / "best.safetensors").metadata
    assert metadata.skeleton == MPII_16
    assert metadata.metrics["validation_pckh"] == pytest.approx(max(metrics), abs=1e-4)


def test_train_rejects_mpii_validation_without_head_sizes(recipe_file: Path, tmp_path: Path, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "mpii"
    source = f"{{annotations: {folder / 'test_mpii.json'}, images: {folder / 'images'}}}"
    settings = (f"output={tmp_path / 'run'}", f"train=[{source}]", f"validation={source}")
    with pytest.raises(AnnotationError, match="5 of 5 people have no head size"):
        train(read_recipe(recipe_file, settings))
