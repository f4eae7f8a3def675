"""Images for bulk runs in every kind of file, and what a run has written."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def image(number: int) -> bytes:
    """A file of noise, 70 x 90 pixels."""
    noise = np.random.default_rng(number).integers(0, 255, (90, 70, 3)).astype(np.uint8)
    return cv2.imencode(".png", noise)[1].tobytes()


def write_images(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(image(number))
    return paths


def write_shard(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as shard:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            shard.addfile(about, io.BytesIO(data))
    return path


def write_parquet(path: Path, columns: dict[str, Sequence[Any]], *, group: int = 3) -> Path:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table(columns), path, row_group_size=group)
    return path


def rows_in(output: Path) -> list[dict[str, Any]]:
    """All rows of a run in the order of its parts."""
    import pyarrow.parquet as parquet

    files = sorted((output / "people").glob("*.parquet"))
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


def unreadable_in(output: Path) -> list[dict[str, str]]:
    files = sorted((output / "unreadable").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
