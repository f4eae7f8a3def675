"""`rsn predict` from photo to picture against the engine alone, on the same crops in the same batches.

    python benchmarks/predict.py --output benchmarks/speed/predict.csv

Photos of 640 x 480 pixels. What the interpreter and the model take to start is not counted. Below the table stands what
every step beside the engine costs by itself.
"""

import tempfile
from collections import deque
from functools import partial
from pathlib import Path

import numpy as np
import torch

from photos import boxes, write_photos
from rsn.images import read_image, write_image
from rsn.inference.drawing import draw_scene
from rsn.inference.estimator import PoseEstimator, Scene
from rsn.inference.photos import estimate_photos, predict_photos
from rsn.inference.style import Style
from side_by_side import arguments, check, compare, write

EVERY_JOINT = Style(keypoint_threshold=0.0)  # in noise nobody is found for sure, and nothing would be drawn


def main() -> None:
    """Compare, with one and with several people in a photo."""
    parser = arguments(__doc__, repeats=1)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 3], help="in each photo; a table each")
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    estimator = PoseEstimator(engine=options.engine, device=options.device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = write_photos(Path(folder) / "photos", options.photos)
        for people in options.people:
            rows += compared(estimator, paths, people, Path(folder), options)
            rows += stages(estimator, paths[0], people, Path(folder), options)
    write(rows, options.output)


def compared(estimator: PoseEstimator, paths, people: int, folder: Path, options):
    """The whole road, the road without drawing, and the engine alone."""

    def source(path, image):
        return np.array(boxes(people)), np.ones(people)

    def fail(path, error):
        raise SystemExit(str(error))

    views = estimator.preprocess(Scene.of(read_image(paths[0]), boxes(people)))
    pixels = torch.from_numpy(np.stack([view.pixels[0] for view in views])).permute(0, 3, 1, 2)
    crops = pixels.repeat(len(paths), 1, 1, 1).split(estimator.batch_size)
    estimate = partial(estimate_photos, estimator, paths, source, fail)
    predict = partial(predict_photos, estimator, paths, source, folder, fail, style=EVERY_JOINT)
    (first, *_), (other, *_) = next(estimate()).people, next(predict()).people
    difference = check(float(np.abs(first.keypoints - other.keypoints).max()), 1e-3)
    return compare(
        f"predict, {people} a photo",
        {
            "engine alone": lambda: [estimator.heatmaps(batch) for batch in crops],
            "to joints": lambda: deque(estimate(), maxlen=0),
            "to pictures": lambda: deque(predict(), maxlen=0),
        },
        one="a photo",
        things=len(paths),
        options=options,
        asked={"to pictures": round(1 / 1.15, 2)},
        differences={"to pictures": difference},
    )


def stages(estimator: PoseEstimator, path: Path, people: int, folder: Path, options):
    """Read, crop, decode, draw and write, each by itself."""
    image = read_image(path)
    scene = Scene.of(image, boxes(people))
    found = next(estimator.estimate([scene]))
    draw = partial(draw_scene, image, found, estimator.card.skeleton, EVERY_JOINT, ids=range(1, people + 1))
    picture = draw()
    pixels = torch.from_numpy(np.stack([view.pixels[0] for view in estimator.preprocess(scene)]))
    return compare(
        f"stages of predict, {people} a photo",
        {
            "engine": partial(estimator.heatmaps, pixels.permute(0, 3, 1, 2)),
            "read": partial(read_image, path),
            "crop": partial(estimator.preprocess, scene),
            "draw": draw,
            "write": partial(write_image, folder / "picture.jpg", picture),
        },
        one="a photo",
        options=options,
    )


if __name__ == "__main__":
    main()
