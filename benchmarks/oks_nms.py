"""OKS-NMS of 300 poses: ours against the same rule as a loop over pairs, the way public code has it, in one run.

python benchmarks/oks_nms.py
"""

from time import perf_counter

import numpy as np

from rsn.oks import THRESHOLD, Poses, oks_nms
from rsn.skeletons import COCO_17

POSES = 300
ROUNDS = 5
SIGMAS = COCO_17.sigmas or ()


def main() -> None:
    """Print both times and their ratio."""
    poses, areas, scores = crowd()
    plain, plain_time = timed(lambda: by_loops(poses, areas, scores))
    ours, our_time = timed(lambda: oks_nms(Poses.of(poses, areas, SIGMAS), scores).tolist())
    assert ours == plain, "the two do not agree"
    print(f"{POSES} poses, {len(ours)} left, best of {ROUNDS} rounds")
    print(
        f"loops {1e3 * plain_time:8.1f} ms\nours  {1e3 * our_time:8.1f} ms\nratio {plain_time / our_time:8.0f}"
    )


def crowd():
    """A hundred people, each found three times: joints (N, K, 3), areas (N,), scores (N,)."""
    random = np.random.default_rng(0)
    boxes = random.uniform((0, 0, 60, 150), (1800, 800, 120, 300), (POSES // 3, 4)).repeat(3, axis=0)
    people = random.uniform(size=(POSES // 3, len(SIGMAS), 2)).repeat(3, axis=0)
    joints = boxes[:, None, :2] + people * boxes[:, None, 2:] + random.normal(0, 1.5, people.shape)
    return np.dstack([joints, np.ones(joints.shape[:2])]), boxes[:, 2] * boxes[:, 3], random.random(POSES)


def by_loops(poses, areas, scores):
    """The rule for one pair after the other, NumPy over the joints of a pair."""
    spread = 2 * np.asarray(SIGMAS)
    waiting = sorted(range(len(scores)), key=lambda pose: -scores[pose])
    kept = []
    while waiting:
        best = waiting.pop(0)
        kept.append(best)
        left = []
        for other in waiting:
            steps = poses[best] - poses[other]
            distances = (steps[:, 0] ** 2 + steps[:, 1] ** 2) / spread**2 / (areas[best] + areas[other])
            if np.exp(-distances).mean() <= THRESHOLD:
                left.append(other)
        waiting = left
    return kept


def timed(run):
    """The answer, and the seconds of the fastest round."""
    times = []
    for _ in range(ROUNDS):
        start = perf_counter()
        answer = run()
        times.append(perf_counter() - start)
    return answer, min(times)


if __name__ == "__main__":
    main()
