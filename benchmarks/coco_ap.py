"""Compute the ten COCO metrics of simulated results on all of val2017 with rsn (hotcoco) and with pycocotools.

    python benchmarks/coco_ap.py val2017_labels.npz --output benchmarks/speed/coco_ap.csv

The file holds val2017_image_id (N,), val2017_box (N, 4) and val2017_xy (N, 17, 2) as fractions of the image (boxes by
their center), and val2017_visible (N, 17).
"""

import contextlib
import copy
import gc
import io
from pathlib import Path

import numpy as np

from rsn.benchmark import WARM_UP
from rsn.evaluation import evaluate_keypoints
from rsn.skeletons import COCO_17
from side_by_side import arguments, check, compare, write

SIZE = np.array([640.0, 480.0])  # assumed size of every image


def main() -> None:
    """Compare both."""
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("labels", type=Path, help="the .npz file")
    options = parser.parse_args()
    annotations = everybody(np.load(options.labels))
    results = found(annotations)
    # pycocotools changes its input; copying is not timed.
    copies = [copy.deepcopy((annotations, results)) for _ in range(1 + WARM_UP + options.repeats)]
    gc.freeze()  # keeps Python's garbage collector away from the copies

    def ours() -> list[float]:
        return list(evaluate_keypoints(annotations, results, COCO_17).as_dict().values())

    difference = check(np.abs(np.subtract(ours(), by_pycocotools(*copies.pop()))).max(), 1e-6)
    variants = {
        "pycocotools": lambda: by_pycocotools(*copies.pop()),
        "rsn": ours,
        "hotcoco alone": lambda: by_hotcoco(annotations, results),
    }
    unit = f"{len(results)} results, {len(annotations['annotations'])} people"
    rows = compare(
        "COCO AP", variants, unit=unit, options=options, targets={"rsn": 20}, differences={"rsn": difference}
    )
    write(rows, options.output)


def everybody(labels):
    """Return the labels as COCO annotations."""
    boxes = labels["val2017_box"].astype(float) * np.tile(SIZE, 2)
    boxes[:, :2] -= boxes[:, 2:] / 2
    keypoints = np.dstack([labels["val2017_xy"].astype(float) * SIZE, labels["val2017_visible"]])
    images = labels["val2017_image_id"].tolist()
    people = [
        {
            "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box.tolist(),
            "area": 0.53 * box[2] * box[3], "keypoints": person.ravel().tolist(),
            "num_keypoints": int((person[:, 2] > 0).sum()),
        }
        for number, (image, box, person) in enumerate(zip(images, boxes, keypoints, strict=True), start=1)
    ]  # fmt: skip
    return {
        "images": [{"id": image} for image in sorted(set(images))],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": people,
    }


def found(annotations):
    """Return about two results per person, with errors of different size."""
    random = np.random.default_rng(0)
    results = []
    for person in annotations["annotations"]:
        for _ in range(random.integers(1, 4)):
            keypoints = np.reshape(person["keypoints"], (17, 3))
            off = random.normal(0, random.uniform(0, 0.1) * person["area"] ** 0.5, (17, 2))
            entry = {"image_id": person["image_id"], "category_id": 1, "score": random.random()}
            results.append(
                entry | {"keypoints": np.column_stack([keypoints[:, :2] + off, keypoints[:, 2]]).ravel().tolist()}
            )
    return results


def by_pycocotools(annotations, results):
    """Compute the ten metrics; changes both arguments."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = annotations
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def by_hotcoco(annotations, results):
    """Compute the ten metrics with hotcoco alone, without rsn's checks of the input."""
    import hotcoco

    truth = hotcoco.COCO(annotations)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(results), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()
    return evaluation.stats


if __name__ == "__main__":
    main()
