"""Run OKS-NMS on 300 poses: rsn against a loop over pairs, as in public code.

python benchmarks/oks_nms.py --output benchmarks/speed/oks_nms.csv
"""

import numpy as np

from rsn.oks import THRESHOLD, nms, oks
from rsn.skeletons import COCO_17
from side_by_side import arguments, check, compare, write

POSES = 300
SIGMAS = COCO_17.sigmas or ()


def main() -> None:
    """Compare both."""
    options = arguments(__doc__, repeats=20).parse_args()
    poses, areas, scores = crowd()

    def ours() -> list[int]:
        return nms(oks(poses, areas, poses, areas, SIGMAS), scores, THRESHOLD).tolist()

    check(float(ours() != by_loops(poses, areas, scores)), 0)
    variants = {"reference": lambda: by_loops(poses, areas, scores), "rsn": ours}
    write(
        compare("OKS-NMS", variants, unit=f"{POSES} poses", options=options, targets={"rsn": 50}),
        options.output,
    )


def crowd():
    """Return a hundred people, each detected three times: keypoints (N, K, 3), areas (N,), scores (N,)."""
    random = np.random.default_rng(0)
    boxes = random.uniform((0, 0, 60, 150), (1800, 800, 120, 300), (POSES // 3, 4)).repeat(3, axis=0)
    people = random.uniform(size=(POSES // 3, len(SIGMAS), 2)).repeat(3, axis=0)
    keypoints = boxes[:, None, :2] + people * boxes[:, None, 2:] + random.normal(0, 1.5, people.shape)
    return (
        np.dstack([keypoints, np.ones(keypoints.shape[:2])]),
        boxes[:, 2] * boxes[:, 3],
        random.random(POSES),
    )


def by_loops(poses, areas, scores):
    """Apply the rule to one pair after the other, with NumPy over the keypoints of a pair."""
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


if __name__ == "__main__":
    main()
