"""What an estimator takes as an image and as boxes, and the sentence for what it does not take."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from rsn import PoseEstimator
from rsn.errors import AnnotationError, ImageError, RsnError
from rsn.io.images import as_rgb

RGB = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
BOX = [[5.0, 5.0, 50.0, 80.0]]


@pytest.fixture(scope="module")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, backend="torch", detector=lambda image: (np.array(BOX), np.ones(1)))


@pytest.mark.parametrize(
    ("image", "same_as"),
    [
        (RGB[..., 0], np.dstack([RGB[..., 0]] * 3)),
        (RGB[..., :1], np.dstack([RGB[..., 0]] * 3)),
        (np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]), RGB),
        (np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)]), np.full_like(RGB, 255)),
        (RGB[..., ::-1][..., ::-1], RGB),
        (RGB[:, ::-1], RGB[:, ::-1].copy()),
        (np.asfortranarray(RGB), RGB),
    ],
    ids=[
        "gray",
        "one channel",
        "opaque",
        "transparent",
        "channels reversed",
        "flipped view",
        "columns first",
    ],
)
@pytest.mark.parametrize("boxes", [BOX, None], ids=["boxes", "detector"])
def test_an_estimator_takes_gray_transparent_and_strided_arrays(
    estimator: PoseEstimator, image: Any, same_as: Any, boxes: Any
) -> None:
    (found,), (expected,) = estimator(image, boxes), estimator(same_as, boxes)
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (None, "got None, which cv2.imread answers for a file that it cannot read"),
        ("a.jpg", "got 'a.jpg'; read the file with rsn.io.images.read_image"),
        (Path("a.jpg"), "read the file with rsn.io.images.read_image"),
        (b"\xff\xd8", "read the file"),
        ([RGB], "got a list; give one image at a time"),
        ((), "got a tuple"),
        (Pillow.fromarray(RGB), "got PIL.Image.Image; convert it: numpy.asarray"),
        (torch.from_numpy(RGB), "got torch.Tensor; convert it"),
        (3, "got builtins.int"),
        (RGB[:0], r"got an empty array of shape \(0, 160, 3\)"),
        (RGB[:, :0, 0], "got an empty array"),
        (np.array(3, np.uint8), r"got \(\) uint8"),
        (RGB[None], r"got \(1, 120, 160, 3\) uint8"),
        (RGB[..., :2], r"got \(120, 160, 2\) uint8"),
        (RGB.transpose(2, 0, 1), r"image.transpose\(1, 2, 0\)"),
        (RGB / 255, r"got \(120, 160, 3\) float64; scale it to 0 ... 255"),
        (RGB > 9, "bool; scale it"),
        (np.array([[None]]), "object"),
    ],
)
@pytest.mark.parametrize("boxes", [BOX, None], ids=["boxes", "detector"])
def test_what_is_no_image_is_refused_in_a_sentence(
    estimator: PoseEstimator, image: Any, says: str, boxes: Any
) -> None:
    with pytest.raises(ImageError, match=rf"^Invalid image: expected .*{says}"):
        estimator(image, boxes)


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ([[5, 5, 50, 80], [1, 2]], "rows of x, y, width, height"),
        ([{"bbox": [5, 5, 50, 80]}], "rows of x, y, width, height"),
        ({"boxes": BOX}, "rows of x, y, width, height"),
        ("whole", "rows of x, y, width, height, not whole"),
        (7, "rows of x, y, width, height"),
        ([[5, 5, 50, 80, 0.9]], "rows of x, y, width, height"),
        ([[5, 5, 50, float("nan")]], "not finite"),
        ([[None, 5, 50, 80]], "not finite"),
    ],
)
def test_boxes_that_are_none_are_refused_in_a_sentence(
    estimator: PoseEstimator, boxes: Any, says: str
) -> None:
    with pytest.raises(AnnotationError, match=says):
        estimator(RGB, boxes)


@pytest.mark.parametrize("scores", ["high", [None], [float("nan")], [[1.0], [1.0, 2.0]], [1.0, 2.0]])
def test_scores_that_do_not_fit_are_refused_in_a_sentence(estimator: PoseEstimator, scores: Any) -> None:
    with pytest.raises(AnnotationError, match=r"score"):
        estimator(RGB, BOX, scores)


def test_boxes_may_be_tensors_and_none_at_all(estimator: PoseEstimator) -> None:
    assert len(estimator(RGB, torch.tensor(BOX))) == 1
    assert estimator(RGB, []) == estimator(RGB, np.zeros((0, 4))) == []


@pytest.mark.parametrize("model", [None, 3, torch.nn.Linear(1, 1)])
def test_what_is_no_model_is_refused_in_a_sentence(model: Any) -> None:
    with pytest.raises(RsnError, match="a model is a name, a file or a network"):
        PoseEstimator(model)


def test_an_rgb_array_is_not_copied() -> None:
    assert as_rgb(RGB) is RGB
