"""The crop geometry matches the reference, and maps points back and forth."""

from pathlib import Path

import numpy as np
import pytest

from rsn.data.detection import split_quadrants
from rsn.geometry import Crop, Region
from rsn.io.images import Downscale, choose_downscale

SIZE = (256, 192)


def test_coco_matrices_match_the_reference(oracles: Path) -> None:
    oracle = np.load(oracles / "affine.npz")
    for box, rotation, expected in zip(oracle["coco_boxes"], oracle["coco_rot"], oracle["coco_affine"], strict=True):
        region = Region.from_box(box).scaled(1.09, 1.135).fit_aspect(SIZE)
        matrix = Crop.from_region(region, SIZE, rotation=rotation).matrix
        corners = np.array([[0, 0, 1], [*(box[:2] + box[2:]), 1], [*box[:2], 1]])
        np.testing.assert_allclose(corners @ matrix.T, corners @ expected.T, atol=2e-3)


def test_mpii_matrices_match_the_reference(oracles: Path) -> None:
    oracle = np.load(oracles / "affine.npz")
    for center, scale, rotation, expected in zip(
        oracle["mpii_test_center"],
        oracle["mpii_test_scale"],
        oracle["mpii_rot"],
        oracle["mpii_affine"],
        strict=True,
    ):
        region = Region(tuple(center), tuple(200 * scale))
        matrix = Crop.from_region(region, (256, 256), rotation=rotation).matrix
        point = np.array([*center, 1.0])
        np.testing.assert_allclose(matrix[:, :2], expected[:, :2], atol=1e-5)
        np.testing.assert_allclose(matrix @ point, expected @ point, atol=1e-2)


@pytest.mark.parametrize("rotation", [0.0, 37.0, -90.0, 180.0])
@pytest.mark.parametrize("flipped", [False, True])
def test_to_image_inverts_to_input(rotation: float, flipped: bool) -> None:
    crop = Crop.from_region(Region((50.0, 80.0), (30.0, 40.0)), SIZE, rotation=rotation)
    crop = crop.flipped() if flipped else crop
    points = np.random.default_rng(0).uniform(-100, 200, (20, 2))
    np.testing.assert_allclose(crop.to_image(crop.to_input(points)), points, atol=1e-9)


def test_from_box_pads_the_box_and_fits_the_aspect_ratio() -> None:
    crop = Crop.from_box([10, 20, 30, 100], SIZE, (1.1, 1.2))
    top, bottom = crop.to_image([[96, 0], [96, 256]])
    assert top == pytest.approx([25, 20 - 10])
    assert bottom == pytest.approx([25, 120 + 10])
    left, right = crop.to_image([[0, 128], [192, 128]])
    assert right[0] - left[0] == pytest.approx(120 * 192 / 256)


def test_flipped_mirrors_around_the_center() -> None:
    crop = Crop.from_box([10, 20, 30, 40], SIZE, (1.0, 1.0))
    x, y = crop.to_input([12.0, 33.0])
    assert crop.flipped().to_input([12.0, 33.0]) == pytest.approx([192 - x, y])


def test_warp_samples_the_pixels_of_the_region() -> None:
    image = np.zeros((64, 48, 3), np.uint8)
    image[20, 10] = 255
    crop = Crop.from_box([0, 0, 48, 64], SIZE, (1.0, 1.0))
    y, x = np.unravel_index(crop.warp(image)[..., 0].argmax(), SIZE)
    assert (x, y) == pytest.approx(crop.to_input([10, 20]), abs=1)


def test_warp_is_black_outside_the_image() -> None:
    image = np.full((64, 48, 3), 255, np.uint8)
    pixels = Crop.from_box([-48, 0, 48, 64], SIZE, (1.0, 1.0)).warp(image)
    assert pixels[:, :180].max() == 0


@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_warp_cuts_from_images_larger_than_opencv_samples(rotation: float) -> None:
    pattern = np.random.default_rng(0).integers(0, 256, (60, 100, 3)).astype(np.uint8)
    image = np.zeros((60, 40_000, 3), np.uint8)
    image[:, 35_000:35_100] = pattern
    crops = [
        Crop.from_region(Region((left + 50.3, 20.0), (40.0, 53.0)), SIZE, rotation=rotation) for left in (0, 35_000)
    ]
    np.testing.assert_array_equal(crops[1].warp(image), crops[0].warp(pattern))


def test_warp_of_more_pixels_than_opencv_samples_averages_them() -> None:
    image = np.repeat(np.array([[[0, 0, 0], [200, 100, 50]]], np.uint8), 20_000, axis=1).repeat(30, axis=0)
    pixels = Crop.from_box([0, 0, 40_000, 30], (64, 64), (1.0, 1.0)).warp(image)
    assert pixels[32, 10].max() == 0
    assert pixels[32, 54].tolist() == pytest.approx([200, 100, 50], abs=120)
    assert pixels[:25].max() == 0
    assert Crop.from_box([50_000, 0, 30, 30], (64, 64), (1.0, 1.0)).warp(image).max() == 0


@pytest.mark.parametrize("times", [1, 2, 4, 8])
def test_for_resized_maps_to_the_same_points(times: Downscale) -> None:
    crop = Crop.from_region(Region((500.0, 300.0), (480.0, 640.0)), SIZE, rotation=30.0)
    in_whole = np.array([[480.0, 320.0], [8.0, 0.0]])
    in_shrunk = (in_whole + 0.5) / times - 0.5  # pixel centers are integers
    np.testing.assert_allclose(crop.for_resized(times, times).to_input(in_shrunk), crop.to_input(in_whole), atol=1e-9)


@pytest.mark.parametrize(
    ("height", "downscale"), [(300, 1), (1020, 1), (1030, 2), (2040, 2), (2050, 4), (4100, 8), (90000, 8)]
)
def test_choose_downscale_leaves_two_pixels_per_input_pixel(height: int, downscale: int) -> None:
    region = Region((0.0, 0.0), (0.75 * height, height))
    assert choose_downscale(Crop.from_region(region, SIZE, rotation=20.0).scale) == downscale


def test_quadrants_join_to_the_whole_crop() -> None:
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    crop = Crop.from_region(Region((50.0, 40.0), (70.0, 60.0)), (64, 48), rotation=20.0).flipped()
    parts = [quarter.warp(image) for quarter in split_quadrants(crop)]
    assert [part.shape[:2] for part in parts] == [(32, 24)] * 4
    joined = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])]).astype(int)
    # Positions are rounded to 1/32 pixel, in both directions.
    assert np.abs(joined - crop.warp(image)).max() <= 2 * 256 / 32
