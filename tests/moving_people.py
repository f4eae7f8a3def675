"""People who walk, with known keypoints at every moment: the ground truth of tracking, smoothing and video."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from people_on_disk import STANDING
from rsn.results import Person, PoseResult
from rsn.skeletons import COCO_17, Skeleton

_LEGS = {
    "knee": 0.5,
    "ankle": 1.0,
    "elbow": 0.4,
    "wrist": 0.8,
}  # how far each swings, relative to the step length
_SKELETON = np.array([STANDING[keypoint] for keypoint in COCO_17.keypoint_names])
_SWING = np.array(
    [
        _LEGS.get(keypoint.split("_")[-1], 0.0) * (1 if keypoint.startswith("left") else -1)
        for keypoint in COCO_17.keypoint_names
    ]
)


@dataclass(frozen=True)
class Walker:
    """A figure of `height` pixels that starts at (x, y), its top left corner, and goes `speed` pixels a second.

    steps: arm and leg swings a second; where they begin follows from x. turns: at this second the walker goes back.
    """

    x: float
    y: float
    height: float = 200.0
    speed: float = 120.0
    steps: float = 1.0
    turns: float = np.inf

    def keypoints(self, seconds: float) -> np.ndarray:
        """(17, 2) pixels at a time."""
        along = min(seconds, self.turns) - max(seconds - self.turns, 0)
        size = np.array([0.45 * self.height, self.height])
        points = np.array([self.x + self.speed * along, self.y]) + _SKELETON * size
        points[:, 0] += 0.12 * self.height * _SWING * np.sin(2 * np.pi * self.steps * seconds + self.x)
        return points


def person(keypoints: np.ndarray, scores: np.ndarray | None = None) -> Person:
    """A person with these keypoints, in the box around them."""
    low, high = keypoints.min(0) - 5, keypoints.max(0) + 5
    return Person.from_keypoints(
        [*low, *(high - low)], keypoints, np.ones(len(keypoints)) if scores is None else scores
    )


def result(people: Sequence[Person], skeleton: Skeleton = COCO_17) -> PoseResult:
    """A result with these persons."""
    return PoseResult(tuple(people), skeleton, (480, 640))


@dataclass(frozen=True)
class Camera:
    """Simulated detections and poses of walkers.

    noise: of each keypoint, as a fraction of the walker's height. misses: share of the sightings that are left out.
    flips: share of the sightings in which left and right are exchanged, as pose networks do.
    hidden: overlap of two boxes (of the smaller one's area) from which the farther person is not seen.
    """

    fps: float = 25.0
    noise: float = 0.01
    misses: float = 0.0
    flips: float = 0.0
    hidden: float = 2.0

    def watch(
        self, walkers: Sequence[Walker], seconds: float, seed: int = 0
    ) -> Iterator[tuple[float, list[int], PoseResult]]:
        """For each frame: its time, the indices of visible walkers in random order, and their poses."""
        random = np.random.default_rng(seed)
        for frame in range(round(seconds * self.fps)):
            now = frame / self.fps
            truth = [person(walker.keypoints(now)) for walker in walkers]
            seen = [
                i
                for i in random.permutation(len(walkers)).tolist()
                if random.random() >= self.misses and not self._is_hidden(i, truth)
            ]
            yield now, seen, result([self._sighting(truth[i], walkers[i].height, random) for i in seen])

    def _sighting(self, truth: Person, height: float, random: np.random.Generator) -> Person:
        keypoints = truth.keypoints + random.normal(0, self.noise * height, truth.keypoints.shape)
        if random.random() < self.flips:
            keypoints = keypoints[list(COCO_17.flip_indices)]
        return person(keypoints)

    def _is_hidden(self, i: int, people: Sequence[Person]) -> bool:
        """Whether a walker is hidden by one earlier in the list."""
        return any(_common(people[i].bbox, other.bbox) > self.hidden for other in people[:i])


def _common(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    return float(np.prod(np.maximum(high - low, 0)) / min(a[2] * a[3], b[2] * b[3]))


def draw(walkers: Sequence[Walker], seconds: float, size: tuple[int, int]) -> np.ndarray:
    """An image of the walkers at a time: white stick figures on gray; size is (height, width)."""
    canvas = np.full((*size, 3), 90, np.uint8)
    for walker in walkers:
        keypoints = walker.keypoints(seconds)
        for a, b in COCO_17.limbs:
            ends = [tuple(int(value) for value in keypoints[keypoint]) for keypoint in (a, b)]
            cv2.line(canvas, *ends, (255, 255, 255), 3)
    return canvas
