"""Measure id switches of the tracker, and jitter and lag of the smoother, on simulated people.

Usage: PYTHONPATH=tests python benchmarks/following.py     (writes benchmarks/tracking.csv and benchmarks/smoothing.csv)
"""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from moving_people import Camera, Walker, person
from rsn.skeletons import COCO_17, Skeleton
from rsn.tracking.settings import Smoothing, Tracking
from rsn.tracking.smoothing import Smoother
from rsn.tracking.tracker import Tracker

FOLDER = Path(__file__).parent
SEEDS = range(10)
BOXES_ONLY = Skeleton("boxes", COCO_17.keypoint_names, COCO_17.limbs, COCO_17.upper_body)  # no sigmas, so no OKS
HEIGHT = 200.0  # pixels, of a walker

PASSING = [Walker(0, 100, speed=150), Walker(700, 110, speed=-150), Walker(300, 100, speed=20)]
MEETING = [Walker(0, 100, speed=120, turns=2.4), Walker(650, 110, speed=-120, turns=2.4)]
CROWD = [
    Walker(60.0 * i, 80.0 + 17 * (i % 3), speed=(-1) ** i * (40.0 + 15 * i), steps=0.7 + 0.1 * i) for i in range(12)
]
RUNNER = [Walker(0, 100, speed=800, steps=2.5), Walker(500, 110, speed=-60)]

SCENES = {
    "three pass each other": (PASSING, Camera()),
    "three pass, the one behind hidden": (PASSING, Camera(hidden=0.6)),
    "two meet and turn back": (MEETING, Camera()),
    "two meet and turn back, one hidden": (MEETING, Camera(hidden=0.6)),
    "twelve in a crowd": (CROWD, Camera()),
    "twelve in a crowd, 20 % missed": (CROWD, Camera(misses=0.2)),
    "twelve in a crowd, the ones behind hidden": (CROWD, Camera(misses=0.05, hidden=0.6)),
    "twelve in a crowd, 10 % left and right exchanged": (CROWD, Camera(flips=0.1)),
    "a runner": (RUNNER, Camera()),
    "a runner, 5 frames a second": (RUNNER, Camera(fps=5)),
}

FILTERS = {
    "none": Smoothing(min_cutoff=np.inf),
    "default": Smoothing(),
    "calmer: min-cutoff 0.5": Smoothing(min_cutoff=0.5),
    "lags more: beta 4": Smoothing(beta=4.0),
    "low-pass of 1 Hz alone: beta 0": Smoothing(beta=0.0),
}


def main() -> None:
    """Print both tables and write them as CSV."""
    rows: list[dict[str, object]] = []
    for scene, (walkers, camera) in SCENES.items():
        row: dict[str, object] = {"scene": scene, "frames": round(5 * camera.fps) * len(SEEDS)}
        for name, skeleton in (("OKS and boxes", COCO_17), ("boxes alone", BOXES_ONLY)):
            row[f"switches, {name}"] = sum(switches(walkers, camera, skeleton, seed) for seed in SEEDS)
        rows.append(row)
    write(rows, "tracking.csv")
    write([{"filter": name} | following(settings) for name, settings in FILTERS.items()], "smoothing.csv")


def switches(walkers: Sequence[Walker], camera: Camera, skeleton: Skeleton, seed: int) -> int:
    """Count the id switches in five seconds."""
    tracker, last, count = Tracker(skeleton, Tracking()), dict[int, int](), 0
    for now, seen, people in camera.watch(walkers, 5.0, seed):
        for who, tracked in zip(seen, tracker(people, now), strict=True):
            count += last.get(who, tracked.track_id) != tracked.track_id
            last[who] = tracked.track_id
    return count


def following(settings: Smoothing) -> dict[str, float]:
    """Return jitter at rest, error and lag in motion, over all seeds; lengths in percent of the person's height."""
    still, walking = Walker(300, 100, speed=0, steps=0), Walker(0, 100, speed=150, steps=1.0)
    jitter, error, lag = [], [], []
    for seed in SEEDS:
        _, calm = smoothed(still, settings, seed)
        jitter.append(np.diff(calm[25:], axis=0).std())
        times, keypoints = smoothed(walking, settings, seed)
        error.append(np.sqrt(np.mean((keypoints - truth(walking, times))[25:] ** 2)))
        lag.append(delay(walking, times[25:], keypoints[25:]))
    return {
        "jitter at rest, % of height": round(float(np.mean(jitter)) / HEIGHT * 100, 2),
        "RMS error walking, % of height": round(float(np.mean(error)) / HEIGHT * 100, 2),
        "lag walking, ms": round(float(np.mean(lag)) * 1000),
    }


def smoothed(walker: Walker, settings: Smoothing, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times (T,) and keypoints (T, 17, 2) of five seconds at 25 frames per second."""
    smoother, keypoints, times = Smoother(settings), [], []
    for now, _, people in Camera().watch([walker], 5.0, seed):
        keypoints.append(smoother(people.with_people([replace(people[0], track_id=1)]), now)[0].keypoints)
        times.append(now)
    return np.array(times), np.array(keypoints)


def truth(walker: Walker, times: np.ndarray) -> np.ndarray:
    """Return the smoothed keypoints (T, 17, 2)."""
    return np.array([person(walker.keypoints(now)).keypoints for now in times])


def delay(walker: Walker, times: np.ndarray, keypoints: np.ndarray) -> float:
    """Return the delay of the truth, in seconds, that fits best."""
    candidates = np.arange(-0.01, 0.2, 0.005)
    errors = [np.sum((keypoints - truth(walker, times - late)) ** 2) for late in candidates]
    return float(candidates[int(np.argmin(errors))])


def write(rows: Sequence[dict[str, object]], name: str) -> None:
    """Write a table as CSV and print it as Markdown."""
    with open(FOLDER / name, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(str(value) for value in row.values())} |")
    print()


if __name__ == "__main__":
    main()
