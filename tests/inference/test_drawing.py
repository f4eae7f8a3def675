"""The overlay: what is drawn where, in which colour, and what is left out."""

import numpy as np
import pytest

from rsn.crops import FloatArray, Image
from rsn.inference.drawing import (
    LEFT,
    MIDDLE,
    RIGHT,
    draw_boxes,
    draw_heatmaps,
    draw_labels,
    draw_people,
    draw_scene,
    id_colour,
)
from rsn.inference.style import Style
from rsn.people import Person
from rsn.skeletons import COCO_17, LSP_14, MPII_16, Skeleton

GREY = 128


def canvas(height: int = 400, width: int = 400) -> Image:
    return np.full((height, width, 3), GREY, np.uint8)


def person(skeleton: Skeleton, size: float = 300, *, seed: int = 0, score: float = 1.5) -> Person:
    """Joints strewn over a square of `size` pixels at (50, 50)."""
    joints = np.random.default_rng(seed).uniform(0, size, (len(skeleton), 2)) + 50
    return Person.from_joints((50, 50, size, size), joints, np.full(len(skeleton), score))


def with_joints(places: dict[str, tuple[float, float]], skeleton: Skeleton = COCO_17) -> Person:
    """The named joints found, all others not."""
    joints = np.array([places.get(joint, (200, 200)) for joint in skeleton.joints], np.float64)
    scores = [1.5 if joint in places else 0.5 for joint in skeleton.joints]
    return Person.from_joints((100, 100, 200, 200), joints, scores)


def changed(image: Image) -> FloatArray:
    """(N, 2): x, y of the pixels that were drawn on."""
    return np.argwhere((image != GREY).any(2))[:, ::-1].astype(np.float64)


def resembles(pixel: Image, colour: tuple[int, int, int]) -> bool:
    """Whether a pixel looks most like this one of the three colours of the sides."""
    distance = {side: np.abs(pixel.astype(int) - side).sum() for side in (LEFT, RIGHT, MIDDLE)}
    return min(distance, key=lambda side: distance[side]) == colour and distance[colour] < 80


@pytest.mark.parametrize("skeleton", [COCO_17, MPII_16, LSP_14], ids=lambda skeleton: skeleton.name)
def test_every_body(skeleton: Skeleton) -> None:
    image, someone = canvas(), person(skeleton)
    drawn = draw_people(image, [someone], skeleton)
    assert (drawn.shape, drawn.dtype) == (image.shape, image.dtype)
    assert (image == GREY).all(), "the input must stay as it was"
    for x, y in np.rint(someone.keypoints).astype(int):
        assert (drawn[y, x] != GREY).any()
    assert np.array_equal(drawn, draw_people(image, [someone], skeleton)), "the same picture every time"


def test_nobody_and_nothing_found() -> None:
    image = canvas()
    for people in ([], [person(COCO_17, score=0.75)]):
        drawn = draw_people(image, people, COCO_17)
        assert np.array_equal(drawn, image)
        assert drawn is not image
    assert len(changed(draw_people(image, [person(COCO_17, score=0.75)], COCO_17, keypoint_threshold=0.2)))


def test_sides_have_their_colours() -> None:
    places = {
        "left_elbow": (300.0, 100.0), "left_wrist": (300.0, 300.0), "right_elbow": (100.0, 100.0),
        "right_wrist": (100.0, 300.0), "left_hip": (250.0, 200.0), "right_hip": (150.0, 200.0),
    }  # fmt: skip
    drawn = draw_people(canvas(), [with_joints(places)], COCO_17)
    for name, (x, y) in places.items():
        assert resembles(drawn[int(y), int(x)], LEFT if name.startswith("left") else RIGHT), name
    assert resembles(drawn[200, 300], LEFT), "left forearm"
    assert resembles(drawn[200, 100], RIGHT), "right forearm"
    assert resembles(drawn[200, 200], MIDDLE), "from hip to hip"


def test_limb_from_the_middle_has_the_colour_of_its_side() -> None:
    places = {"thorax": (200.0, 100.0), "left_shoulder": (300.0, 100.0), "upper_neck": (200.0, 50.0)}
    drawn = draw_people(canvas(), [with_joints(places, MPII_16)], MPII_16)
    assert resembles(drawn[100, 250], LEFT)
    assert resembles(drawn[75, 200], MIDDLE)


def test_missing_joint_takes_its_limbs_along() -> None:
    shoulder_and_wrist = with_joints({"left_shoulder": (100, 100), "left_wrist": (300, 300)})
    places = changed(draw_people(canvas(), [shoulder_and_wrist], COCO_17))
    near_a_joint = [np.abs(places - corner).max(1) < 20 for corner in (100, 300)]
    assert (near_a_joint[0] | near_a_joint[1]).all(), "nothing may be drawn between them"
    with_elbow = with_joints(
        {"left_shoulder": (100, 100), "left_elbow": (200, 200), "left_wrist": (300, 300)}
    )
    assert (draw_people(canvas(), [with_elbow], COCO_17)[150, 150] != GREY).any()


def thickness_of_forearm(size: float, height: int, width: int) -> int:
    """In pixels, with the outline, across its middle."""
    forearm = with_joints({"left_elbow": (100, 20), "left_wrist": (100, 20 + size)})
    drawn = draw_people(canvas(height, width), [forearm], COCO_17)
    across = drawn[20 + int(size) // 2].astype(int)
    return int((np.abs(across - GREY).max(1) > 40).sum())


def test_thickness_follows_the_person_within_bounds() -> None:
    small, large = (thickness_of_forearm(size, 2000, 2000) for size in (200, 800))
    assert 3 * small < large < 5 * small
    assert large == thickness_of_forearm(800, 1900, 1500), "not the picture"
    assert 2 <= thickness_of_forearm(12, 2000, 2000) <= 5
    assert thickness_of_forearm(360, 2000, 2000) > thickness_of_forearm(360, 400, 400)


def test_placed_to_a_fraction_of_a_pixel() -> None:
    """The middle of what is drawn moves with the joint."""
    middles = []
    for offset in (0.0, 0.25, 0.5):
        drawn = draw_people(canvas(), [with_joints({"nose": (200 + offset, 200)})], COCO_17)
        weight = np.abs(drawn.astype(float) - GREY).sum(2)
        middles.append((weight.sum(0) * np.arange(400)).sum() / weight.sum())
    np.testing.assert_allclose(middles, [200, 200.25, 200.5], atol=0.12)


def test_joints_outside_the_image() -> None:
    half_out = with_joints({"left_elbow": (200, 200), "left_wrist": (900, 200)})
    drawn = draw_people(canvas(), [half_out], COCO_17)
    assert resembles(drawn[200, 399], LEFT), "the forearm leaves the picture at its border"
    gone = with_joints({"left_elbow": (-500, -200), "left_wrist": (-900, 200), "nose": (5000, 9000)})
    assert np.array_equal(draw_people(canvas(), [gone], COCO_17), canvas())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_impossible_positions_are_left_out(value: float) -> None:
    someone = with_joints({"left_elbow": (200, 100), "left_wrist": (value, 200), "left_shoulder": (200, 60)})
    drawn = draw_people(canvas(), [someone], COCO_17)
    assert np.array_equal(drawn, draw_people(canvas(), [with_joints(
        {"left_elbow": (200, 100), "left_shoulder": (200, 60)}
    )], COCO_17))  # fmt: skip


def test_larger_people_come_on_top() -> None:
    near = with_joints({"left_elbow": (200, 20), "left_wrist": (200, 380)})
    far = with_joints({"right_elbow": (150, 200), "right_wrist": (250, 200)})
    for people in ([near, far], [far, near]):
        assert resembles(draw_people(canvas(), people, COCO_17)[200, 200], LEFT)


@pytest.mark.parametrize("shape", [(8, 8), (1, 300), (3000, 20)])
def test_odd_pictures(shape: tuple[int, int]) -> None:
    assert draw_people(canvas(*shape), [person(COCO_17)], COCO_17).shape == (*shape, 3)
    assert draw_boxes(canvas(*shape), [person(COCO_17)]).shape == (*shape, 3)


def test_boxes_show_their_corners_only() -> None:
    drawn = draw_boxes(canvas(), [with_joints({})])
    for x in (100, 300):
        for y in (100, 300):
            assert (drawn[y, x] != GREY).any()
    for x, y in ((200, 100), (200, 300), (100, 200), (300, 200), (200, 200)):
        assert (drawn[y, x] == GREY).all()
    assert np.array_equal(draw_boxes(canvas(), []), canvas())


def test_heatmaps_glow_at_the_joints() -> None:
    heatmaps = np.zeros((2, 64, 48), np.float32)
    heatmaps[0, 16, 12], heatmaps[1, 40, 36] = 255, 128
    crop = canvas(256, 192)
    drawn = draw_heatmaps(crop, heatmaps)
    assert (drawn.shape, drawn.dtype) == (crop.shape, crop.dtype)
    assert (crop == GREY).all(), "the input must stay as it was"
    difference = np.abs(drawn.astype(int) - GREY).sum(2)
    assert difference[66, 50] > 200, "a joint for certain, at its place in the crop"
    assert 50 < difference[162, 146] < difference[66, 50], "a joint perhaps"
    assert difference[120, 96] == 0, "and nothing elsewhere"
    assert np.array_equal(draw_heatmaps(crop, -heatmaps), crop)


def test_the_surer_the_more_opaque() -> None:
    def strength(score: float) -> int:
        forearm = with_joints({"left_elbow": (200, 100), "left_wrist": (200, 300)})
        unsure = Person.from_joints(
            forearm.box, forearm.keypoints, np.where(forearm.scores > 0, 0.5 + score, 0.5)
        )
        drawn = draw_people(canvas(), [unsure], COCO_17)
        return int(np.abs(drawn[200, 200].astype(int) - GREY).sum())

    strengths = [strength(score) for score in (0.31, 0.45, 0.6, 0.9)]
    assert 0 < strengths[0] < 0.5 * strengths[2]
    assert strengths[0] < strengths[1] < strengths[2] == strengths[3]


def test_labels_stay_in_the_picture_and_have_the_colour_of_the_id() -> None:
    def at(x: float, y: float) -> Person:
        return Person.from_joints((x, y, 100, 200), np.zeros((17, 2)), np.zeros(17))

    for x, y in ((150, 150), (-80, -90), (390, 390)):
        drawn = draw_labels(canvas(), [at(x, y)], ["37"], [2])
        places = changed(drawn)
        assert len(places) > 100
        assert (drawn == np.array(id_colour(2))).all(2).sum() > 0.3 * len(places)
    above = changed(draw_labels(canvas(), [at(150, 150)], ["37"], [2]))
    assert above[:, 0].min() == 150
    assert above[:, 1].max() <= 150
    assert id_colour(1) == id_colour(9) != id_colour(2)


def test_a_style_draws_what_it_says() -> None:
    people = [with_joints({"left_elbow": (200, 100), "left_wrist": (200, 300)})]

    def drawn(style: Style, heat: np.ndarray | None = None) -> Image:
        return draw_scene(canvas(), people, COCO_17, style, ids=[7], heat=heat)

    plain = draw_people(canvas(), people, COCO_17)
    assert np.array_equal(drawn(Style()), plain)
    assert np.array_equal(drawn(Style(keypoint_threshold=2)), canvas())
    assert np.array_equal(drawn(Style(label="id")), draw_labels(plain, people, ["7"], [7]))
    assert not np.array_equal(drawn(Style(label="id")), drawn(Style(label="score")))
    assert np.array_equal(drawn(Style(boxes=True)), draw_boxes(plain, people, [7]))
    heat = np.zeros((400, 400))
    heat[50:60, 50:60] = 1
    glowing = (drawn(Style(), heat) != plain).any(2)
    assert glowing[55, 55]
    assert glowing.sum() == 100
