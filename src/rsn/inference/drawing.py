"""People and heatmaps drawn over a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.crops import FloatArray, Image
from rsn.people import Person
from rsn.skeletons import Side, Skeleton

Colour = tuple[int, int, int]  # RGB

# Told apart with every common kind of colour blindness, and in black and white: the middle is the lightest.
LEFT: Colour = (38, 166, 255)
RIGHT: Colour = (255, 122, 51)
MIDDLE: Colour = (255, 224, 92)
WHITE: Colour = (255, 255, 255)
OUTLINE: Colour = (16, 20, 32)
_COLOURS: dict[Side, Colour] = {"left": LEFT, "middle": MIDDLE, "right": RIGHT}

LIMB_OPACITY = 0.88
BOX_OPACITY = 0.6
_SHIFT = 6  # OpenCV draws at positions of 1 / 2 ** _SHIFT pixels
_BLEED = 0.6  # pixels; so far does OpenCV's antialiasing spread a filled shape
_FARTHEST = 1e5  # pixels; beyond it OpenCV's fixed-point numbers would overflow
_FACE = frozenset({"nose", "eye", "ear"})


def draw_people(
    image: Image, people: Sequence[Person], skeleton: Skeleton, *, min_score: float = 0.6
) -> Image:
    """A copy of the picture with everybody's joints and limbs on it: left blue, right orange, middle yellow.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: whose keypoints are in the order of `skeleton`; larger people, who are probably nearer, come on
            top of smaller ones.
        min_score: joints below it are left out, and the limbs that touch them; one that was not found scores
            around 0.5.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = image.copy()
    figures = [_Figure.of(person, skeleton, min_score, canvas) for person in people]
    for figure in sorted(figures, key=lambda figure: figure.thickness):
        _draw_figure(canvas, figure, skeleton)
    return canvas


def draw_boxes(image: Image, people: Sequence[Person]) -> Image:
    """A copy of the picture, (H, W, 3) uint8 RGB, with the corners of everybody's box on it."""
    corners = [_fixed(corner) for person in people for corner in _box_corners(person.box)]
    thickness = max(1, round(0.0015 * max(image.shape[:2])))
    opaque = image.copy()
    for colour, width in ((OUTLINE, 3 * thickness), (WHITE, thickness)):
        cv2.polylines(opaque, corners, False, colour, width, cv2.LINE_AA, _SHIFT)
    return np.asarray(cv2.addWeighted(opaque, BOX_OPACITY, image, 1 - BOX_OPACITY, 0), np.uint8)


def draw_labels(image: Image, people: Sequence[Person], labels: Sequence[str]) -> Image:
    """A copy of the picture, (H, W, 3) uint8 RGB, with a short text at the top left corner of everybody's box."""
    canvas = image.copy()
    scale = max(0.4, 0.0009 * max(image.shape[:2]))
    thickness = max(1, round(2 * scale))
    for person, label in zip(people, labels, strict=True):
        corner = np.clip(np.nan_to_num(person.box[:2]), 0, _FARTHEST)
        place = (int(corner[0]) + 2 * thickness, int(corner[1]) + round(24 * scale))
        for colour, width in ((OUTLINE, 3 * thickness), (WHITE, thickness)):
            cv2.putText(canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width, cv2.LINE_AA)
    return canvas


def draw_heatmaps(crop: Image, heatmaps: NDArray[np.floating]) -> Image:
    """The strongest joint at each place as a glow over the crop.

    crop: (H, W, 3) uint8 RGB. heatmaps: (K, h, w), 255 at a certain joint. Returns (H, W, 3) uint8 RGB.
    """
    height, width = crop.shape[:2]
    strongest = np.asarray(heatmaps.max(0) / 255, np.float32)
    heat = np.clip(cv2.resize(strongest, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    # The darkest quarter of the colours would look like soot on the crop.
    glow = cv2.applyColorMap(np.asarray(64 + 191 * heat, np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = np.minimum(0.85, 1.5 * heat)[..., None]
    return np.asarray(np.rint(crop * (1 - opacity) + glow * opacity), np.uint8)


@dataclass(frozen=True, eq=False)
class _Figure:
    """One person's joints (K, 2) in pixels, which of them to draw (K,), and the limbs' thickness in pixels."""

    joints: FloatArray
    shown: NDArray[np.bool_]
    thickness: float

    @classmethod
    def of(cls, person: Person, skeleton: Skeleton, min_score: float, image: Image) -> "_Figure":
        joints = person.keypoints
        reachable = (np.abs(np.nan_to_num(joints, nan=np.inf)) < _FARTHEST).all(1)
        shown = reachable & (person.scores >= min_score)
        size = float(np.ptp(joints[shown], axis=0).max()) if shown.any() else 0.0
        # Thin enough for a face in a crowd, never so thick that it hides the person.
        thickness = np.clip(0.022 * size, 2.0, max(2.0, 0.016 * max(image.shape[:2])))
        return cls(joints, shown, float(thickness))


def _draw_figure(canvas: Image, figure: _Figure, skeleton: Skeleton) -> None:
    """Draw on the part of the canvas where the figure is, or a crowd on a large picture would take long."""
    if not figure.shown.any():
        return
    margin = 4 * figure.thickness
    low = np.floor(figure.joints[figure.shown].min(0) - margin).astype(int).clip(0)
    high = np.ceil(figure.joints[figure.shown].max(0) + margin).astype(int).clip(0)
    patch = canvas[low[1] : high[1], low[0] : high[0]]
    if not patch.size:
        return
    inside = _Figure(figure.joints - low, figure.shown, figure.thickness)
    limbs = patch.copy()
    _draw_limbs(limbs, inside, skeleton)
    patch[:] = cv2.addWeighted(limbs, LIMB_OPACITY, patch, 1 - LIMB_OPACITY, 0)
    _draw_joints(patch, inside, skeleton)


def _draw_limbs(patch: Image, figure: _Figure, skeleton: Skeleton) -> None:
    limbs = [(a, b) for a, b in skeleton.limbs if figure.shown[a] and figure.shown[b]]
    rim = _rim(figure)
    for colour, growth in ((OUTLINE, rim), (None, 0.0)):
        for a, b in limbs:
            start, end = figure.joints[a], figure.joints[b]
            radii = [
                0.5 * figure.thickness * _fineness(skeleton.plain_joints[joint]) + growth for joint in (a, b)
            ]
            outline = _fixed(_capsule(start, end, *radii))
            cv2.fillConvexPoly(patch, outline, colour or _limb_colour(skeleton, a, b), cv2.LINE_AA, _SHIFT)


def _draw_joints(patch: Image, figure: _Figure, skeleton: Skeleton) -> None:
    """Discs in the colour of the side, in a white ring, in a dark outline."""
    rim = _rim(figure)
    for joint in np.flatnonzero(figure.shown):
        centre = _fixed(figure.joints[joint])
        radius = 0.95 * figure.thickness * _fineness(skeleton.plain_joints[joint])
        side = _COLOURS[skeleton.sides[joint]]
        for colour, reach in ((OUTLINE, radius + rim), (WHITE, radius), (side, 0.6 * radius)):
            size = int(_fixed(max(reach - _BLEED, 0)))
            cv2.circle(patch, centre.tolist(), size, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _rim(figure: _Figure) -> float:
    """How far the dark outline stands out, in pixels."""
    return max(0.8, 0.17 * figure.thickness)


def _fineness(joint: str) -> float:
    """Joints of the face lie close together and are drawn smaller."""
    return 1.0 if _FACE.isdisjoint(joint.split("_")) else 0.6


def _limb_colour(skeleton: Skeleton, a: int, b: int) -> Colour:
    """The side that its joints are on; the middle where they are on both or on neither."""
    sides = {skeleton.sides[joint] for joint in (a, b)} - {"middle"}
    return _COLOURS[sides.pop()] if len(sides) == 1 else MIDDLE


def _capsule(start: FloatArray, end: FloatArray, start_radius: float, end_radius: float) -> FloatArray:
    """The outline (N, 2) of a limb: two half circles and the straight lines between them."""
    along = end - start
    half_circle = np.arctan2(along[1], along[0]) + np.linspace(0.5 * np.pi, 1.5 * np.pi, 17)
    back = np.column_stack([np.cos(half_circle), np.sin(half_circle)])
    near, far = max(start_radius - _BLEED, 0), max(end_radius - _BLEED, 0)
    return np.concatenate([start + near * back, end - far * back])


def _box_corners(box: FloatArray) -> Iterator[FloatArray]:
    """Four angles, (3, 2) each, their arms an eighth of the shorter side long."""
    x, y, width, height = box
    arm = 0.125 * min(width, height)
    for left, along in ((x, arm), (x + width, -arm)):
        for top, down in ((y, arm), (y + height, -arm)):
            yield np.array([(left + along, top), (left, top), (left, top + down)])


def _fixed(values: FloatArray | float) -> NDArray[np.int32]:
    """Pixels as OpenCV's fixed-point numbers."""
    return np.asarray(np.rint(np.multiply(values, 1 << _SHIFT)), np.int32)
