"""The ten COCO figures of simulated results on all of val2017: ours (by hotcoco) against pycocotools, in one run.

    python benchmarks/coco_ap.py ../shared/data/coco/val2017_labels.npz

The file holds val2017_image_id (N,), val2017_box (N, 4) and val2017_xy (N, 17, 2) as fractions of the image (boxes by
their centre), and val2017_visible (N, 17).
"""

import contextlib
import copy
import io
import sys
from time import perf_counter

import numpy as np

from rsn.evaluation import evaluate_keypoints
from rsn.skeletons import COCO_17

SIZE = np.array([640.0, 480.0])  # what every image is taken as


def main() -> None:
    """Print both times and their ratio."""
    annotations = everybody(np.load(sys.argv[1]))
    results = found(annotations)
    theirs, their_time = by_pycocotools(annotations, results)
    start = perf_counter()
    ours = list(evaluate_keypoints(annotations, results, COCO_17).as_dict().values())
    our_time = perf_counter() - start
    difference = np.abs(np.subtract(ours, theirs)).max()
    assert difference < 1e-6, "the two do not agree"
    print(f"{len(results)} results, {len(annotations['annotations'])} people, AP {ours[0]:.4f}")
    print(f"largest difference of the ten figures: {difference:.1e}")
    print(
        f"pycocotools {their_time:8.2f} s\nours        {our_time:8.2f} s\nratio       {their_time / our_time:8.1f}"
    )


def everybody(labels):
    """The labels as COCO annotations."""
    boxes = labels["val2017_box"].astype(float) * np.tile(SIZE, 2)
    boxes[:, :2] -= boxes[:, 2:] / 2
    joints = np.dstack([labels["val2017_xy"].astype(float) * SIZE, labels["val2017_visible"]])
    images = labels["val2017_image_id"].tolist()
    people = [
        {
            "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box.tolist(),
            "area": 0.53 * box[2] * box[3], "keypoints": person.ravel().tolist(),
            "num_keypoints": int((person[:, 2] > 0).sum()),
        }
        for number, (image, box, person) in enumerate(zip(images, boxes, joints, strict=True), start=1)
    ]  # fmt: skip
    return {
        "images": [{"id": image} for image in sorted(set(images))],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": people,
    }


def found(annotations):
    """Everybody found about twice, by more or less."""
    random = np.random.default_rng(0)
    results = []
    for person in annotations["annotations"]:
        for _ in range(random.integers(1, 4)):
            joints = np.reshape(person["keypoints"], (17, 3))
            off = random.normal(0, random.uniform(0, 0.1) * person["area"] ** 0.5, (17, 2))
            entry = {"image_id": person["image_id"], "category_id": 1, "score": random.random()}
            results.append(
                entry | {"keypoints": np.column_stack([joints[:, :2] + off, joints[:, 2]]).ravel().tolist()}
            )
    return results


def by_pycocotools(annotations, results):
    """The ten figures, and the seconds that they took, the copying of what is given left out."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, copied = COCO(), copy.deepcopy(results)
    truth.dataset = copy.deepcopy(annotations)
    with contextlib.redirect_stdout(io.StringIO()):
        start = perf_counter()
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copied), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats, perf_counter() - start


if __name__ == "__main__":
    main()
