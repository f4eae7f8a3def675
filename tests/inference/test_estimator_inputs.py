"""What an estimator accepts as images, boxes and settings, and the sentence for everything else."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from file_server import serving
from rsn import COCO_17, Person, PoseEstimator, PoseResult
from rsn.errors import AnnotationError, DownloadError, ImageError, RsnError
from rsn.inference.box_checks import check_boxes
from rsn.inference.sources import load_image

RGB = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
OPAQUE = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
BOX = [[5.0, 5.0, 50.0, 80.0]]


def png(image: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def estimator(random_weights: Path) -> PoseEstimator:
    return PoseEstimator(random_weights, backend="torch", detector=lambda image: (np.array(BOX), np.ones(1)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (RGB[..., 0], np.dstack([RGB[..., 0]] * 3)),
        (RGB[..., :1], np.dstack([RGB[..., 0]] * 3)),
        (OPAQUE, RGB),
        (np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)]), np.full_like(RGB, 255)),
        (RGB[..., ::-1][..., ::-1], RGB),
        (RGB[:, ::-1], RGB[:, ::-1]),
        (np.asfortranarray(RGB), RGB),
        (torch.from_numpy(RGB).permute(2, 0, 1), RGB),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(RGB).convert("RGBA"), RGB),
        (png(RGB), RGB),
        (bytearray(png(RGB)), RGB),
        (BytesIO(png(RGB)), RGB),
    ],
    ids=[
        "gray", "one channel", "opaque", "transparent", "channels reversed", "flipped view", "columns first", "tensor",
        "PIL", "PIL with alpha", "bytes", "bytearray",
        "open file",
    ],
)  # fmt: skip
def test_load_image_gives_rgb(source: Any, expected: np.ndarray) -> None:
    image = load_image(source)
    np.testing.assert_array_equal(image, expected)
    assert image.flags.c_contiguous


@pytest.mark.parametrize(
    "source", [RGB[..., ::-1], OPAQUE[..., [2, 1, 0, 3]], torch.from_numpy(RGB).permute(2, 0, 1).flip(0)]
)
def test_load_image_converts_bgr(source: Any) -> None:
    np.testing.assert_array_equal(load_image(source, color_order="BGR"), RGB)


def test_load_image_reads_paths_upright(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # turn by a quarter
    image.save(tmp_path / "a.png", exif=exif)
    expected = np.rot90(RGB, -1)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(tmp_path / "a.png")):
        np.testing.assert_array_equal(load_image(source), expected)


def test_estimator_downloads_urls_only_if_allowed(random_weights: Path) -> None:
    allowing = PoseEstimator(random_weights, backend="torch", detector=None, allow_urls=True)
    with serving(png(RGB)) as server:
        results = allowing([f"{server.address}/good/a.png", png(RGB)], "whole")
        np.testing.assert_array_equal(results[0].image, RGB)
        np.testing.assert_allclose(results[0].keypoints, results[1].keypoints)
        with pytest.raises(DownloadError, match="the server answers 404"):
            allowing(f"{server.address}/missing/a.png", "whole")
        with pytest.raises(ImageError, match=r"/html/a\.png is not an image"):
            allowing(f"{server.address}/html/a.png", "whole")


def test_load_image_does_not_copy_an_rgb_array() -> None:
    assert load_image(RGB) is RGB


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "Invalid source: .* got None, which cv2.imread returns for a file that it cannot read"),
        ([RGB], "got a list within a list; pass a flat list"),
        (3, "got builtins.int"),
        ({"image": RGB}, "got builtins.dict"),
        (RGB[:0], r"Invalid array: expected pixels, got an empty array of shape \(0, 160, 3\)"),
        (np.array(3, np.uint8), r"Invalid array: expected \(H, W, 3\) uint8, got \(\) uint8"),
        (RGB[None], "pass a list of images for a batch"),
        (RGB[..., :2], r"got \(120, 160, 2\) uint8"),
        (RGB.transpose(2, 0, 1), r"image.transpose\(1, 2, 0\)"),
        (RGB / 255, r"got \(120, 160, 3\) float64; scale it to 0 ... 255"),
        (RGB > 9, "bool; scale it"),
        (np.array([[None]]), "object; pass a list of paths or images"),
        (np.array(["a.jpg"]), "pass a list of paths or images"),
        ("camera:0", "got the camera or stream camera:0; run rsn predict camera:0"),
        ("rtsp://localhost/live", "got the camera or stream rtsp://localhost/live; run rsn predict"),
        (torch.zeros(3, 120, 160), r"got \(120, 160, 3\) float32; scale it"),
        (torch.from_numpy(RGB), r"Invalid tensor: expected \(3, H, W\) uint8, got \(120, 160, 3\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "pass a list of images for a batch"),
        (b"", "the image in the given bytes is an empty file"),
        (b"text", "the image in the given bytes is not an image"),
        ("missing.jpg", "there is no image at missing.jpg"),
        (Path("missing.jpg"), "there is no image at missing.jpg"),
        (".", r"got the folder \.; pass a list of its images, or run rsn predict"),
        ("images/*.jpg", "got the pattern images/.*pass a list of files"),
        ("walk.mp4", "got the video walk.mp4; run rsn predict walk.mp4"),
        ("https://example.org/a.jpg", "got the URL https://example.org/a.jpg; .* allow_urls=True"),
    ],
)  # fmt: skip
def test_estimator_rejects_sources_that_are_no_image(estimator: PoseEstimator, source: Any, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        estimator([source])
    if not isinstance(source, list):
        with pytest.raises(ImageError, match=says):
            estimator(source, "whole")


@pytest.mark.parametrize("source", [[], ()])
def test_estimator_rejects_an_empty_list(estimator: PoseEstimator, source: Any) -> None:
    with pytest.raises(ImageError, match="expected at least one image, got an empty"):
        estimator(source)


def test_error_in_a_list_names_the_image(estimator: PoseEstimator) -> None:
    with pytest.raises(ImageError, match=r"^image 1: Invalid array"):
        estimator([RGB, RGB / 255], "whole")


def test_lists_give_lists_and_generators_give_generators(estimator: PoseEstimator) -> None:
    alone = estimator(RGB)
    for results in (estimator([RGB, png(RGB)]), list(estimator(image for image in (RGB, png(RGB))))):
        assert [len(result) for result in results] == [1, 1]
        np.testing.assert_allclose(results[1].keypoints, alone.keypoints, atol=1e-3)
    with pytest.raises(AnnotationError, match="expected 2, one per image, got 1"):
        estimator([RGB, RGB], [BOX], box_format="xywh")
    with pytest.raises(AnnotationError, match="expected boxes for every image, got them for 1"):
        list(estimator(iter([RGB, RGB]), [BOX], box_format="xywh"))
    with pytest.raises(AnnotationError, match="one entry per image, got ndarray"):
        estimator([RGB, RGB], np.array(BOX), box_format="xywh")


@pytest.mark.parametrize(
    ("boxes", "box_format", "says"),
    [
        (BOX, None, "Invalid box_format: expected 'xywh' or 'xyxy' with an array of boxes, got None"),
        (BOX, "cxcywh", "Invalid box_format: .* got 'cxcywh'"),
        ([[5, 5, 50, 80], [1, 2]], "xywh", r"expected an array \(N, 4\), got \[\[5, 5, 50, 80\], \[1, 2\]\]"),
        ([{"bbox": [5, 5, 50, 80]}], "xywh", "Invalid boxes"),
        ({"boxes": BOX}, "xywh", "Invalid boxes"),
        ("all", None, "expected 'whole' or an array"),
        (7, "xywh", r"got shape \(\)"),
        ([5, 5, 50, 80], "xywh", r"got shape \(4,\); write one box as \[\["),
        ([[5, 5, 50, 80, 0.9]], "xywh", r"got shape \(1, 5\)"),
        ([[5, 5, 50, float("nan")]], "xywh", "expected finite numbers"),
        ([[None, 5, 50, 80]], "xywh", "expected finite numbers"),
        ([[200, 0, 10, 10]], "xywh", "lies outside the image of 160 x 120 pixels"),
        ([[0, 0, 0, 10]], "xywh", "less than a pixel wide or high"),
        ([[50, 5, 20, 80]], "xyxy", "does not fit .* as 'xyxy', but all boxes do as 'xywh'; pass box_format='xywh'"),
        ([[80, 70, 155, 115]], "xywh", "does not fit .* as 'xywh', but all boxes do as 'xyxy'"),
        ([[0.1, 0.1, 0.5, 0.9]], "xyxy", "looks like fractions of the image"),
        ([[0, 0, 1, 1]], "xywh", "looks like fractions of the image"),
        (Person.from_keypoints(BOX[0], np.zeros((17, 2)), np.ones(17)), None, r"got a Person; pass result\[\[0\]\]"),
        (PoseResult((), COCO_17, (60, 80)), None, "a result of an image of 160 x 120 pixels, got one of 80 x 60"),
    ],
)  # fmt: skip
def test_estimator_rejects_invalid_boxes(estimator: PoseEstimator, boxes: Any, box_format: Any, says: str) -> None:
    with pytest.raises(AnnotationError, match=says):
        estimator(RGB, boxes, box_format=box_format)


@pytest.mark.parametrize("scores", ["high", [None], [float("nan")], [[1.0], [1.0, 2.0]], [1.0, 1.0], [1.5], [-0.1]])
def test_estimator_rejects_box_scores_that_do_not_fit(estimator: PoseEstimator, scores: Any) -> None:
    with pytest.raises(AnnotationError, match="Invalid box_scores"):
        estimator(RGB, BOX, box_format="xywh", box_scores=scores)


def test_estimator_rejects_box_scores_without_boxes(estimator: PoseEstimator) -> None:
    with pytest.raises(AnnotationError, match="Invalid box_scores: expected None without boxes"):
        estimator(RGB, box_scores=[1.0])


def test_box_formats_mean_the_same_boxes(estimator: PoseEstimator) -> None:
    expected, size = np.array([[5.0, 5.0, 50.0, 80.0]]), RGB.shape[:2]
    for boxes, box_format in ((BOX, "xywh"), ([[5, 5, 55, 85]], "xyxy"), (torch.tensor(BOX), "xywh")):
        np.testing.assert_array_equal(check_boxes(boxes, None, box_format, size)[0], expected)
    assert check_boxes("whole", None, None, size)[0].tolist() == [[0, 0, 160, 120]]
    for boxes in ([], np.zeros((0, 4))):
        assert len(estimator(RGB, boxes)) == 0


def test_result_is_accepted_as_boxes(estimator: PoseEstimator) -> None:
    result = estimator(RGB, BOX, box_format="xywh", box_scores=[0.5])
    again = estimator(RGB, result)
    np.testing.assert_array_equal(again.boxes, result.boxes)
    np.testing.assert_array_equal(again.keypoints, result.keypoints)
    assert again.box_scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": None}, "Invalid model: expected a name, a file or a PoseModel, got None"),
        ({"model": 3}, "Invalid model"),
        ({"model": torch.nn.Linear(1, 1)}, r"got Linear; pass rsn\.PoseModel\(network, metadata\)"),
        ({"model": []}, "expected at least one model, got an empty list"),
        ({"detector": 3}, "Invalid detector: expected a name, a file, a function or None, got 3"),
        ({"batch_size": 0}, "Invalid batch_size: expected a whole number from 1, got 0"),
        ({"batch_size": 2.5}, "Invalid batch_size"),
        ({"person_threshold": 1.5}, "Invalid person_threshold: expected a number from 0 to 1, got 1.5"),
        ({"box_threshold": "high"}, "Invalid box_threshold"),
        ({"ensemble_weights": [1, 2]}, "Invalid ensemble_weights: expected 1 numbers"),
        ({"ensemble_weights": "a"}, "Invalid ensemble_weights"),
        ({"backend": "tf"}, "there is no backend named 'tf'"),
        ({"backend": 3}, "there is no backend named '3'"),
        ({"device": "tpu"}, "device 'tpu' cannot be used here"),
        ({"model": "missing.safetensors"}, "missing.safetensors"),
    ],
)
def test_estimator_rejects_invalid_settings(random_weights: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(RsnError, match=says):
        PoseEstimator(**{"model": random_weights, "backend": "torch"} | options)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, r"Invalid detector: expected boxes \(N, 4\) and scores \(N,\), got NoneType"),
        (np.array(BOX), "Invalid detector"),
        (
            (np.ones((4, 5)), np.ones(4)),
            r"Invalid boxes: expected rows of x, y, width, height, got shape \(4, 5\)",
        ),
        ((np.array(BOX), np.ones(2)), "Invalid box_scores: expected 1, one per box"),
        ((["a"], [1]), "Invalid boxes"),
    ],
)
def test_estimator_rejects_what_is_no_detection(random_weights: Path, found: Any, says: str) -> None:
    estimator = PoseEstimator(random_weights, backend="torch", detector=lambda image: found)
    with pytest.raises(AnnotationError, match=says):
        estimator(RGB)


def test_estimator_rejects_an_unknown_color_order(estimator: PoseEstimator) -> None:
    with pytest.raises(ImageError, match="Invalid color_order: expected 'RGB' or 'BGR', got 'GBR'"):
        estimator(RGB, color_order="GBR")
