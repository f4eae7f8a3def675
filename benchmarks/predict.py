"""Compare `rsn predict`, from image file to image file, with the backend alone on the same crops and batches.

    python benchmarks/predict.py --output benchmarks/speed/predict.csv

Images have 640 x 480 pixels. The start of the interpreter and of the model is not counted. A second table has the
time of each other step alone.
"""

import tempfile
from collections import deque
from functools import partial
from pathlib import Path

import numpy as np
import torch

from images import boxes, write_images
from rsn.inference.box_checks import BoxNotes
from rsn.inference.estimator import PoseEstimator
from rsn.inference.images import add_boxes, predict_files
from rsn.io.images import read_image, write_image
from rsn.visualization.drawing import draw
from rsn.visualization.options import DrawOptions
from side_by_side import arguments, check, compare, write

EVERY_KEYPOINT = DrawOptions(keypoint_threshold=0.0)  # scores are low in images of noise


def main() -> None:
    """Compare with one and with several people per image."""
    parser = arguments(__doc__, repeats=1)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 3], help="people per image; one table each")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    estimator = PoseEstimator(backend=options.backend, device=options.device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder) / "images", options.images)
        for people in options.people:
            rows += compared(estimator, paths, people, Path(folder), options)
            rows += stages(estimator, paths[0], people, Path(folder), options)
    write(rows, options.output)


def compared(estimator: PoseEstimator, paths, people: int, folder: Path, options):
    """Time all of predict, predict without drawing, and the backend alone."""

    def source(path, image):
        return np.array(boxes(people)), np.ones(people)

    def prepare(path):
        return add_boxes(str(path), read_image(path), source, BoxNotes())

    crops = estimator.preprocess(read_image(paths[0]), *source(None, None))
    pixels = torch.from_numpy(crops.pixels).permute(0, 3, 1, 2)
    batches = pixels.repeat(len(paths), 1, 1, 1).split(estimator.batch_size)
    run = estimator.model.open()
    estimate = partial(estimator.stream, paths, prepare)
    predict = partial(predict_files, estimator, paths, folder, boxes=source, options=EVERY_KEYPOINT)
    first, other = next(estimate())[1][0], next(predict())[1][0]
    difference = check(float(np.abs(first.keypoints - other.keypoints).max()), 1e-3)
    return compare(
        f"predict, {per_image(people)}",
        {
            "backend alone": lambda: [run(batch) for batch in batches],
            "to keypoints": lambda: deque(estimate(), maxlen=0),
            "to images": lambda: deque(predict(), maxlen=0),
        },
        unit="1 image",
        count=len(paths),
        options=options,
        targets={"to images": round(1 / 1.15, 2)},
        differences={"to images": difference},
    )


def per_image(people: int) -> str:
    """Name the number of people per image."""
    return f"{people} {'person' if people == 1 else 'people'} per image"


def stages(estimator: PoseEstimator, path: Path, people: int, folder: Path, options):
    """Time reading, cropping, drawing and writing alone."""
    image = read_image(path)
    cut = partial(estimator.preprocess, image, np.array(boxes(people)), np.ones(people))
    crops = cut()
    (found,) = estimator.predict([crops])
    drawing = draw(image, found, EVERY_KEYPOINT)
    return compare(
        f"stages of predict, {per_image(people)}",
        {
            "backend": partial(estimator.forward, [crops]),
            "read": partial(read_image, path),
            "crop": cut,
            "draw": partial(draw, image, found, EVERY_KEYPOINT),
            "write": partial(write_image, folder / "image.jpg", drawing),
        },
        unit="1 image",
        options=options,
    )


if __name__ == "__main__":
    main()
