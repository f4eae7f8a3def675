"""Time `rsn predict` of a folder and of a video, and `rsn bulk`, by part, beside the networks alone on the same inputs.

    git worktree add /tmp/before COMMIT
    python benchmarks/folder.py IMAGES --before /tmp/before/src --output benchmarks/folder.csv

With --before the folder is also predicted with the package in another folder. The video has the same images as frames,
in the size of the first. Of `rsn bulk` a worker processes the folder in this process, without the start of Ray.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import cv2
import torch

from rsn.benchmark import machine
from rsn.bulk.parts import Part
from rsn.bulk.settings import Settings
from rsn.bulk.worker import Worker
from rsn.io.images import find_images
from side_by_side import command, write

SCRIPT = Path(__file__).with_name("predict_parts.py")
NOW = Path(__file__).parents[1] / "src"


def main() -> None:
    """Time all, and write a row for each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--count", type=int, default=140, help="images; those of the folder, repeated if it has fewer")
    parser.add_argument("--before", type=Path, help="folder with another version of the package rsn")
    parser.add_argument("--inputs", nargs="+", choices=["folder", "video", "bulk"], default=["folder", "video", "bulk"])
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = link_images(find_images([options.images]), options.count, folder / "images")
        runs = []
        if "folder" in options.inputs:
            versions = {"now": NOW} | ({"before": options.before} if options.before else {})
            runs += [
                ("folder", version, lambda s=source: seconds_of(images, s)) for version, source in versions.items()
            ]
        if "video" in options.inputs:
            runs.append(("video", "now", lambda: seconds_of(write_video(images, folder / "video.mp4"), NOW)))
        if "bulk" in options.inputs:
            runs.append(("bulk", "now", lambda: seconds_of_worker(images, folder / "bulk")))
        for kind, version, run in runs:
            crops, seconds = run()
            shared = {"input": kind, "version": version, "images": options.count, "crops": crops}
            for part, value in seconds.items():
                print(f"{kind}, {version}, {part:<28}{value:8.2f} s", flush=True)
                row = shared | {"part": part, "seconds": f"{value:.2f}"}
                rows.append(row | {"machine": machine(), "command": command()})
    write(rows, options.output)


def link_images(paths: list[Path], count: int, folder: Path) -> Path:
    """Make a folder with links to so many images, repeated if there are fewer; returns it."""
    folder.mkdir(parents=True)
    for number, path in enumerate(islice(cycle(paths), count)):
        (folder / f"{number:05d}{path.suffix}").symlink_to(path.resolve())
    return folder


def write_video(images: Path, path: Path) -> Path:
    """Write the images as the frames of a video; returns its path."""
    paths = find_images([images])
    height, width = cv2.imread(str(paths[0])).shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    for image in paths:
        writer.write(cv2.resize(cv2.imread(str(image)), (width, height), interpolation=cv2.INTER_AREA))
    writer.release()
    return path


def seconds_of(source: Path, package: Path) -> tuple[int, dict[str, float]]:
    """Return the number of crops and the seconds by part of `rsn predict`, with the package in a folder."""
    with tempfile.TemporaryDirectory() as name:
        parts = Path(name) / "parts.json"
        words = [sys.executable, SCRIPT, parts, repr(time.monotonic()), source, "--output", name]
        environment = os.environ | {"PYTHONPATH": str(package)}
        subprocess.run([*map(str, words)], check=True, env=environment, capture_output=True)
        found = json.loads(parts.read_text(encoding="utf-8"))
    return found["crops"], found["seconds"]


def seconds_of_worker(images: Path, folder: Path) -> tuple[int, dict[str, float]]:
    """Return the number of persons, and the seconds that a worker of `rsn bulk` takes after its start."""
    settings = Settings((str(images),)).resolve()
    worker = Worker(settings, str(folder), "run", "cpu", 32, torch.get_num_threads())
    paths = tuple(map(str, find_images([images])))
    worker.process(0, Part("images", paths[:1]))  # opens the networks
    start = time.perf_counter()
    result = worker.process(1, Part("images", paths))
    if result.failed:
        raise SystemExit(result.failed)
    return result.people, {"all": time.perf_counter() - start}


if __name__ == "__main__":
    main()
