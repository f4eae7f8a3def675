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
from rsn.inference.estimator import ImageWithBoxes, PoseEstimator
from rsn.inference.images import predict_image_files, predict_images
from rsn.io.images import read_image, write_image
from rsn.visualization.drawing import draw_result
from rsn.visualization.options import DrawOptions
from side_by_side import arguments, check, compare, write

EVERY_KEYPOINT = DrawOptions(keypoint_threshold=0.0)  # scores are low in images of noise


def main() -> None:
    """Compare with one and with several people per image."""
    parser = arguments(__doc__, repeats=1)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument(
        "--people", type=int, nargs="+", default=[1, 3], help="people per image; one table each"
    )
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

    def fail(path, error):
        raise SystemExit(str(error))

    views = estimator.preprocess(ImageWithBoxes.of(read_image(paths[0]), boxes(people)))
    pixels = torch.from_numpy(np.stack([view.pixels[0] for view in views])).permute(0, 3, 1, 2)
    crops = pixels.repeat(len(paths), 1, 1, 1).split(estimator.batch_size)
    estimate = partial(predict_images, estimator, paths, source, fail)
    predict = partial(predict_image_files, estimator, paths, source, folder, fail, style=EVERY_KEYPOINT)
    (first, *_), (other, *_) = next(estimate()).people, next(predict()).people
    difference = check(float(np.abs(first.keypoints - other.keypoints).max()), 1e-3)
    return compare(
        f"predict, {per_image(people)}",
        {
            "backend alone": lambda: [estimator.heatmaps(batch) for batch in crops],
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
    image_with_boxes = ImageWithBoxes.of(image, boxes(people))
    found = next(estimator.estimate([image_with_boxes]))
    draw = partial(
        draw_result, image, found, estimator.metadata.skeleton, EVERY_KEYPOINT, ids=range(1, people + 1)
    )
    drawing = draw()
    pixels = torch.from_numpy(np.stack([view.pixels[0] for view in estimator.preprocess(image_with_boxes)]))
    return compare(
        f"stages of predict, {per_image(people)}",
        {
            "backend": partial(estimator.heatmaps, pixels.permute(0, 3, 1, 2)),
            "read": partial(read_image, path),
            "crop": partial(estimator.preprocess, image_with_boxes),
            "draw": draw,
            "write": partial(write_image, folder / "image.jpg", drawing),
        },
        unit="1 image",
        options=options,
    )


if __name__ == "__main__":
    main()
