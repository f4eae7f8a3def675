"""The ten COCO metrics of simulated results on all of val2017: ours (by hotcoco) against pycocotools, in one run.

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

SIZE = np.array([640.0, 480.0])  # what every image is taken as


def main() -> None:
    """Compare."""
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("labels", type=Path, help="the .npz file")
    options = parser.parse_args()
    annotations = everybody(np.load(options.labels))
    results = found(annotations)
    # pycocotools changes what it is given; copying is not counted.
    copies = [copy.deepcopy((annotations, results)) for _ in range(1 + WARM_UP + options.repeats)]
    gc.freeze()  # or Python's collector would go through all copies while a clock runs

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
    """The labels as COCO annotations."""
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
    """Everybody found about twice, by more or less."""
    random = np.random.default_rng(0)
    results = []
    for person in annotations["annotations"]:
        for _ in range(random.integers(1, 4)):
            keypoints = np.reshape(person["keypoints"], (17, 3))
            off = random.normal(0, random.uniform(0, 0.1) * person["area"] ** 0.5, (17, 2))
            entry = {"image_id": person["image_id"], "category_id": 1, "score": random.random()}
            results.append(
                entry
                | {"keypoints": np.column_stack([keypoints[:, :2] + off, keypoints[:, 2]]).ravel().tolist()}
            )
    return results


def by_pycocotools(annotations, results):
    """The ten metrics; both arguments are changed."""
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
    """The ten metrics by the library that ours come from, without the checks that keep it from answering 0."""
    import hotcoco

    truth = hotcoco.COCO(annotations)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(results), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()
    return evaluation.stats


if __name__ == "__main__":
    main()
