"""A tiny dataset of stick figures with known keypoints, as COCO JSON and PNG files."""

import json
from pathlib import Path

import cv2
import numpy as np

from rsn.skeletons import COCO_17, Skeleton

STANDING = {
    "nose": (0.50, 0.08), "left_eye": (0.54, 0.06), "right_eye": (0.46, 0.06), "left_ear": (0.58, 0.07),
    "right_ear": (0.42, 0.07), "left_shoulder": (0.68, 0.2), "right_shoulder": (0.32, 0.2),
    "left_elbow": (0.8, 0.35), "right_elbow": (0.2, 0.35), "left_wrist": (0.88, 0.5), "right_wrist": (0.12, 0.5),
    "left_hip": (0.6, 0.52), "right_hip": (0.4, 0.52), "left_knee": (0.62, 0.74), "right_knee": (0.38, 0.74),
    "left_ankle": (0.62, 0.95), "right_ankle": (0.38, 0.95),
}  # fmt: skip


def write_people(folder: Path, *, images: int = 4, skeleton: Skeleton = COCO_17, seed: int = 0) -> Path:
    """Draw `images` images of 160 x 120 pixels, two figures each; returns the annotation file in `folder`."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    listed, annotations = [], []
    for image_id in range(1, images + 1):
        canvas = np.full((120, 160, 3), random.integers(60, 200), np.uint8)
        for x in (5, 85):
            box = [x, 8, 60 + float(random.integers(10)), 95 + float(random.integers(10))]
            keypoints = _keypoints(box, skeleton)
            for a, b in skeleton.limbs:
                ends = [tuple(int(value) for value in keypoints[keypoint]) for keypoint in (a, b)]
                cv2.line(canvas, *ends, (255, 255, 255), 2)
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": box,
                    "area": 0.5 * box[2] * box[3], "num_keypoints": len(skeleton),
                    "keypoints": [float(value) for keypoint in keypoints for value in (*keypoint, 2)],
                }
            )  # fmt: skip
        name = f"{image_id:012d}.png"
        cv2.imwrite(str(folder / "images" / name), canvas)
        listed.append({"id": image_id, "file_name": name, "width": 160, "height": 120})
    category = {
        "id": 1, "name": "person", "keypoints": list(skeleton.keypoint_names),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
    }  # fmt: skip
    path = folder / "people.json"
    path.write_text(json.dumps({"images": listed, "annotations": annotations, "categories": [category]}))
    return path


def _keypoints(box: list[float], skeleton: Skeleton) -> list[tuple[float, float]]:
    places = [STANDING.get(keypoint, (0.5, 0.15)) for keypoint in skeleton.keypoint_names]
    return [(box[0] + x * box[2], box[1] + y * box[3]) for x, y in places]
