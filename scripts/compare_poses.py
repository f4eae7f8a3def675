"""Compare the people of two poses.json; exit status 1 if they differ by more than a pixel.

Usage: python scripts/compare_poses.py POSES.json OTHER.json
"""

import sys
from pathlib import Path

import numpy as np

from rsn.io.validation import read_json

LIMIT = 1.0  # pixels of the image


def main(poses: Path, others: Path) -> None:
    """Print the largest difference of a keypoint, whatever its score."""
    people, other_people = read_json(poses), read_json(others)
    names = [[person["file_name"] for person in entries] for entries in (people, other_people)]
    if not people or names[0] != names[1]:
        sys.exit(f"different people: {names[0]} and {names[1]}")
    keypoints, other_keypoints = (
        np.array([person["keypoints"] for person in entries]).reshape(-1, 3)[:, :2]
        for entries in (people, other_people)
    )
    difference = np.hypot(*(keypoints - other_keypoints).T).max()
    print(f"{len(people)} people, keypoints differ by at most {difference:.3f} pixels")
    if not difference <= LIMIT:
        sys.exit(f"that is more than {LIMIT} pixel")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/compare_poses.py POSES.json OTHER.json")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
