"""What is drawn where, and in which color."""

from dataclasses import replace

import numpy as np
import pytest

from rsn.errors import RsnError
from rsn.geometry import FloatArray, Image
from rsn.results import Person, PoseResult
from rsn.skeletons import COCO_17, LSP_14, MPII_16, Skeleton
from rsn.visualization.drawing import (
    CENTER,
    LEFT,
    RIGHT,
    draw,
    draw_boxes,
    draw_heatmaps,
    draw_labels,
    draw_people,
    id_color,
)
from rsn.visualization.options import DrawOptions

GRAY = 128


def canvas(height: int = 400, width: int = 400) -> Image:
    return np.full((height, width, 3), GRAY, np.uint8)


def person(skeleton: Skeleton, size: float = 300, *, seed: int = 0, score: float = 1.5) -> Person:
    """Keypoints strewn over a square of `size` pixels at (50, 50)."""
    keypoints = np.random.default_rng(seed).uniform(0, size, (len(skeleton), 2)) + 50
    return Person.from_keypoints((50, 50, size, size), keypoints, np.full(len(skeleton), score))


def person_at(places: dict[str, tuple[float, float]], skeleton: Skeleton = COCO_17) -> Person:
    """The named keypoints found, all others not."""
    keypoints = np.array([places.get(keypoint, (200, 200)) for keypoint in skeleton.keypoint_names], np.float64)
    scores = [1.5 if keypoint in places else 0.5 for keypoint in skeleton.keypoint_names]
    return Person.from_keypoints((100, 100, 200, 200), keypoints, scores)


def changed(image: Image) -> FloatArray:
    """(N, 2): x, y of the pixels that were drawn on."""
    return np.argwhere((image != GRAY).any(2))[:, ::-1].astype(np.float64)


def resembles(pixel: Image, color: tuple[int, int, int]) -> bool:
    """Whether a pixel looks most like this one of the three colors of the sides."""
    distance = {side: np.abs(pixel.astype(int) - side).sum() for side in (LEFT, RIGHT, CENTER)}
    return min(distance, key=lambda side: distance[side]) == color and distance[color] < 80


@pytest.mark.parametrize("skeleton", [COCO_17, MPII_16, LSP_14], ids=lambda skeleton: skeleton.name)
def test_draw_people_of_every_skeleton(skeleton: Skeleton) -> None:
    image, someone = canvas(), person(skeleton)
    drawn = draw_people(image, [someone], skeleton)
    assert (drawn.shape, drawn.dtype) == (image.shape, image.dtype)
    assert (image == GRAY).all(), "the input must stay as it was"
    for x, y in np.rint(someone.keypoints).astype(int):
        assert (drawn[y, x] != GRAY).any()
    assert np.array_equal(drawn, draw_people(image, [someone], skeleton)), "the same image every time"


def test_nothing_is_drawn_without_keypoints_above_the_threshold() -> None:
    image = canvas()
    for people in ([], [person(COCO_17, score=0.75)]):
        drawn = draw_people(image, people, COCO_17)
        assert np.array_equal(drawn, image)
        assert drawn is not image
    assert len(changed(draw_people(image, [person(COCO_17, score=0.75)], COCO_17, keypoint_threshold=0.2)))


def test_sides_have_their_colors() -> None:
    places = {
        "left_elbow": (300.0, 100.0), "left_wrist": (300.0, 300.0), "right_elbow": (100.0, 100.0),
        "right_wrist": (100.0, 300.0), "left_hip": (250.0, 200.0), "right_hip": (150.0, 200.0),
    }  # fmt: skip
    drawn = draw_people(canvas(), [person_at(places)], COCO_17)
    for name, (x, y) in places.items():
        assert resembles(drawn[int(y), int(x)], LEFT if name.startswith("left") else RIGHT), name
    assert resembles(drawn[200, 300], LEFT), "left forearm"
    assert resembles(drawn[200, 100], RIGHT), "right forearm"
    assert resembles(drawn[200, 200], CENTER), "from hip to hip"


def test_limb_from_the_center_has_the_color_of_its_side() -> None:
    places = {"thorax": (200.0, 100.0), "left_shoulder": (300.0, 100.0), "upper_neck": (200.0, 50.0)}
    drawn = draw_people(canvas(), [person_at(places, MPII_16)], MPII_16)
    assert resembles(drawn[100, 250], LEFT)
    assert resembles(drawn[75, 200], CENTER)


def test_limbs_of_a_missing_keypoint_are_not_drawn() -> None:
    shoulder_and_wrist = person_at({"left_shoulder": (100, 100), "left_wrist": (300, 300)})
    places = changed(draw_people(canvas(), [shoulder_and_wrist], COCO_17))
    near_a_keypoint = [np.abs(places - corner).max(1) < 20 for corner in (100, 300)]
    assert (near_a_keypoint[0] | near_a_keypoint[1]).all(), "nothing may be drawn between them"
    with_elbow = person_at({"left_shoulder": (100, 100), "left_elbow": (200, 200), "left_wrist": (300, 300)})
    assert (draw_people(canvas(), [with_elbow], COCO_17)[150, 150] != GRAY).any()


def thickness_of_forearm(size: float, height: int, width: int) -> int:
    """In pixels, with the outline, across its middle."""
    forearm = person_at({"left_elbow": (100, 20), "left_wrist": (100, 20 + size)})
    drawn = draw_people(canvas(height, width), [forearm], COCO_17)
    across = drawn[20 + int(size) // 2].astype(int)
    return int((np.abs(across - GRAY).max(1) > 40).sum())


def test_thickness_follows_the_person_within_bounds() -> None:
    small, large = (thickness_of_forearm(size, 2000, 2000) for size in (200, 800))
    assert 3 * small < large < 5 * small
    assert large == thickness_of_forearm(800, 1900, 1500), "not the image"
    assert 2 <= thickness_of_forearm(12, 2000, 2000) <= 5
    assert thickness_of_forearm(360, 2000, 2000) > thickness_of_forearm(360, 400, 400)


def test_keypoints_are_drawn_at_fractions_of_a_pixel() -> None:
    """The middle of what is drawn moves with the keypoint."""
    centers = []
    for offset in (0.0, 0.25, 0.5):
        drawn = draw_people(canvas(), [person_at({"nose": (200 + offset, 200)})], COCO_17)
        weight = np.abs(drawn.astype(float) - GRAY).sum(2)
        centers.append((weight.sum(0) * np.arange(400)).sum() / weight.sum())
    np.testing.assert_allclose(centers, [200, 200.25, 200.5], atol=0.12)


def test_keypoints_outside_the_image_are_clipped() -> None:
    half_out = person_at({"left_elbow": (200, 200), "left_wrist": (900, 200)})
    drawn = draw_people(canvas(), [half_out], COCO_17)
    assert resembles(drawn[200, 399], LEFT), "the forearm leaves the image at its border"
    gone = person_at({"left_elbow": (-500, -200), "left_wrist": (-900, 200), "nose": (5000, 9000)})
    assert np.array_equal(draw_people(canvas(), [gone], COCO_17), canvas())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_positions_that_are_not_finite_are_not_drawn(value: float) -> None:
    someone = person_at({"left_elbow": (200, 100), "left_wrist": (value, 200), "left_shoulder": (200, 60)})
    drawn = draw_people(canvas(), [someone], COCO_17)
    assert np.array_equal(drawn, draw_people(canvas(), [person_at(
        {"left_elbow": (200, 100), "left_shoulder": (200, 60)}
    )], COCO_17))  # fmt: skip


def test_larger_persons_are_drawn_on_top() -> None:
    near = person_at({"left_elbow": (200, 20), "left_wrist": (200, 380)})
    far = person_at({"right_elbow": (150, 200), "right_wrist": (250, 200)})
    for people in ([near, far], [far, near]):
        assert resembles(draw_people(canvas(), people, COCO_17)[200, 200], LEFT)


@pytest.mark.parametrize("shape", [(8, 8), (1, 300), (3000, 20)])
def test_draw_people_on_tiny_images(shape: tuple[int, int]) -> None:
    assert draw_people(canvas(*shape), [person(COCO_17)], COCO_17).shape == (*shape, 3)
    assert draw_boxes(canvas(*shape), [person(COCO_17)]).shape == (*shape, 3)


def test_boxes_show_their_corners_only() -> None:
    drawn = draw_boxes(canvas(), [person_at({})])
    for x in (100, 300):
        for y in (100, 300):
            assert (drawn[y, x] != GRAY).any()
    for x, y in ((200, 100), (200, 300), (100, 200), (300, 200), (200, 200)):
        assert (drawn[y, x] == GRAY).all()
    assert np.array_equal(draw_boxes(canvas(), []), canvas())


def test_draw_heatmaps_colors_the_keypoints() -> None:
    heatmaps = np.zeros((2, 64, 48), np.float32)
    heatmaps[0, 16, 12], heatmaps[1, 40, 36] = 255, 128
    crop = canvas(256, 192)
    drawn = draw_heatmaps(crop, heatmaps)
    assert (drawn.shape, drawn.dtype) == (crop.shape, crop.dtype)
    assert (crop == GRAY).all(), "the input must stay as it was"
    difference = np.abs(drawn.astype(int) - GRAY).sum(2)
    assert difference[66, 50] > 200, "a keypoint for certain, at its place in the crop"
    assert 50 < difference[162, 146] < difference[66, 50], "a keypoint perhaps"
    assert difference[120, 96] == 0, "and nothing elsewhere"
    assert np.array_equal(draw_heatmaps(crop, -heatmaps), crop)


def test_opacity_grows_with_the_score() -> None:
    def strength(score: float) -> int:
        forearm = person_at({"left_elbow": (200, 100), "left_wrist": (200, 300)})
        unsure = Person.from_keypoints(forearm.bbox, forearm.keypoints, np.where(forearm.scores > 0, 0.5 + score, 0.5))
        drawn = draw_people(canvas(), [unsure], COCO_17)
        return int(np.abs(drawn[200, 200].astype(int) - GRAY).sum())

    strengths = [strength(score) for score in (0.31, 0.45, 0.6, 0.9)]
    assert 0 < strengths[0] < 0.5 * strengths[2]
    assert strengths[0] < strengths[1] < strengths[2] == strengths[3]


def test_labels_are_inside_the_image_and_have_the_color_of_the_id() -> None:
    def at(x: float, y: float) -> Person:
        return Person.from_keypoints((x, y, 100, 200), np.zeros((17, 2)), np.zeros(17))

    for x, y in ((150, 150), (-80, -90), (390, 390)):
        drawn = draw_labels(canvas(), [at(x, y)], ["37"], [2])
        places = changed(drawn)
        assert len(places) > 100
        assert (drawn == np.array(id_color(2))).all(2).sum() > 0.3 * len(places)
    above = changed(draw_labels(canvas(), [at(150, 150)], ["37"], [2]))
    assert above[:, 0].min() == 150
    assert above[:, 1].max() <= 150
    assert id_color(1) == id_color(9) != id_color(2)


def test_draw_follows_the_options() -> None:
    people = [person_at({"left_elbow": (200, 100), "left_wrist": (200, 300)})]
    tracked = PoseResult((replace(people[0], track_id=7),), COCO_17, (400, 400), keypoint_threshold=0.1)

    def drawn(options: DrawOptions, heat: np.ndarray | None = None) -> Image:
        return draw(canvas(), tracked, replace(options, label=options.label.replace("auto", "none")), heatmap=heat)

    plain = draw_people(canvas(), people, COCO_17)
    assert np.array_equal(drawn(DrawOptions()), plain)
    assert np.array_equal(draw(canvas(), tracked), draw_labels(plain, people, ["7"], [7]))
    assert np.array_equal(draw(canvas(), tracked.with_people(people)), plain)
    fainter = tracked.with_people([replace(person, raw_scores=person.raw_scores - 0.1) for person in tracked])
    assert np.array_equal(draw(canvas(), fainter, keypoint_threshold=1, label="none"), canvas())
    assert np.array_equal(drawn(DrawOptions(label="id")), draw_labels(plain, people, ["7"], [7]))
    assert not np.array_equal(drawn(DrawOptions(label="id")), drawn(DrawOptions(label="score")))
    assert np.array_equal(drawn(DrawOptions(boxes=True)), draw_boxes(plain, people, [7]))
    heat = np.zeros((400, 400))
    heat[50:60, 50:60] = 1
    glowing = (drawn(DrawOptions(), heat) != plain).any(2)
    assert glowing[55, 55]
    assert glowing.sum() == 100


def test_uncertainty_is_a_circle_of_the_expected_error() -> None:
    someone = person_at({"left_wrist": (200, 150)})
    people = PoseResult((replace(someone, std=np.full(17, 60.0)),), COCO_17, (400, 400))
    drawn = draw(canvas(), people, DrawOptions(uncertainty=True))
    distances = np.linalg.norm(changed(drawn) - [200, 150], axis=1)
    assert distances.max() == pytest.approx(60, abs=1.5)
    assert (distances > 50).sum() > 3000, "the area of the circle is filled"
    assert resembles(drawn[150, 260], LEFT)
    unknown = people.with_people([*people, someone])
    with pytest.raises(RsnError, match="Invalid uncertainty: expected persons with a std, got none"):
        draw(canvas(), unknown, DrawOptions(uncertainty=True))
    assert np.array_equal(draw(canvas(), people[[]], DrawOptions(uncertainty=True)), canvas())
