"""Persons and heatmaps drawn over an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.errors import ImageError, RsnError
from rsn.geometry import FloatArray, Image
from rsn.results import KEYPOINT_THRESHOLD, Person, PoseResult
from rsn.skeletons import Side, Skeleton
from rsn.visualization.options import DrawOptions, changed_options

Color = tuple[int, int, int]  # RGB

# Distinguishable with every common kind of color blindness, and in black and white: the center is the lightest.
LEFT: Color = (38, 166, 255)
RIGHT: Color = (255, 122, 51)
CENTER: Color = (255, 224, 92)
WHITE: Color = (255, 255, 255)
OUTLINE: Color = (16, 20, 32)
_COLORS: dict[Side, Color] = {"left": LEFT, "middle": CENTER, "right": RIGHT}

# One per ID: easy to distinguish (after Okabe and Ito), and light enough for dark text.
ID_COLORS: tuple[Color, ...] = (
    (255, 255, 255), (120, 200, 255), (255, 178, 64), (92, 214, 165), (248, 232, 92), (240, 160, 208),
    (170, 180, 255), (200, 224, 128),
)  # fmt: skip

OPACITY = 0.92  # of keypoints and limbs with a high score
MIN_ALPHA = 0.3  # of those with a score at the threshold
FULL_ALPHA_SCORE = 0.6  # keypoint score from which opacity is full
BOX_OPACITY = 0.6
AREA_OPACITY = 0.25  # of the circles of uncertainty
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHIFT = 6  # OpenCV draws at positions of 1 / 2 ** _SHIFT pixels
_BLEED = 0.6  # pixels that OpenCV's antialiasing adds around a filled shape
_MAX_COORDINATE = 1e5  # pixels; OpenCV's fixed-point numbers overflow beyond it
_FACE = frozenset({"nose", "eye", "ear"})


def draw(
    image: Image,
    result: PoseResult,
    options: DrawOptions | None = None,
    *,
    heatmap: NDArray[np.floating] | None = None,
    **changes: Any,
) -> Image:
    """A copy of an image, (H, W, 3) uint8 RGB, with the persons of a result drawn on it.

    heatmap: (H, W) of `overlay_heatmap`, below the persons.
    options, changes: a `DrawOptions`, and fields of it by name: `draw(image, result, label="score", boxes=True)`.

    Raises:
        RsnError: an image of another kind; an option that does not exist; as `draw_uncertainty`.
    """
    options = changed_options(options, changes)
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        got = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"Invalid image: expected an array (H, W, 3) uint8, as rsn.read_image gives it, got {got}")
    threshold = options.keypoint_threshold
    threshold = result.keypoint_threshold if threshold is None else threshold
    tracked = result.track_ids is not None
    ids = [person.track_id or number for number, person in enumerate(result, 1)]
    drawn = image if heatmap is None else overlay_heatmap(image, heatmap)
    if options.uncertainty:
        drawn = draw_uncertainty(drawn, result, result.skeleton, keypoint_threshold=threshold)
    drawn = draw_people(drawn, result, result.skeleton, keypoint_threshold=threshold)
    if options.boxes:
        drawn = draw_boxes(drawn, result, ids)
    if options.label == "id" or (options.label == "auto" and tracked):
        drawn = draw_labels(drawn, result, [str(number) for number in ids], ids)
    if options.label == "score":
        drawn = draw_labels(drawn, result, [f"{person.score:.2f}" for person in result], ids)
    return drawn


def draw_people(
    image: Image, people: Sequence[Person], skeleton: Skeleton, *, keypoint_threshold: float | None = None
) -> Image:
    """A copy of the image with the keypoints and limbs of all persons: left blue, right orange, center yellow.

    The higher the score of a keypoint, the more opaque it is; a limb has the lower score of its ends.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: with keypoints in the order of `skeleton`; larger persons, probably nearer, are drawn over smaller ones.
        keypoint_threshold: keypoints with a lower score are left out, and the limbs that end in them;
            `KEYPOINT_THRESHOLD` by default.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = image.copy()
    threshold = KEYPOINT_THRESHOLD if keypoint_threshold is None else keypoint_threshold
    figures = [_Figure.from_person(person, threshold, canvas) for person in people]
    for figure in sorted(figures, key=lambda figure: figure.thickness):
        _draw_figure(canvas, figure, skeleton)
    return canvas


def draw_uncertainty(
    image: Image, people: Sequence[Person], skeleton: Skeleton, *, keypoint_threshold: float = KEYPOINT_THRESHOLD
) -> Image:
    """A copy of the image, (H, W, 3) uint8 RGB, with a circle of the expected error around each keypoint.

    The circles have the colors of the sides. keypoint_threshold: keypoints with a lower score are left out.

    Raises:
        RsnError: the expected errors of a person are unknown.
    """
    rings = image.copy()
    opaque = image.copy()
    thickness = max(1, round(0.0015 * max(image.shape[:2])))
    for person in people:
        if person.std is None:
            raise RsnError(
                "Invalid uncertainty: expected persons with a std, got none; weights without a calibration and files of"
                " results that were written without it have no std"
            )
        drawable = (person.scores >= keypoint_threshold) & (np.abs(person.keypoints) < _MAX_COORDINATE).all(1)
        for keypoint in np.flatnonzero(drawable):
            center = _fixed(person.keypoints[keypoint]).tolist()
            radius = int(_fixed(min(person.std[keypoint], _MAX_COORDINATE)))
            color = _COLORS[skeleton.sides[keypoint]]
            cv2.circle(opaque, center, radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)
            cv2.circle(rings, center, radius, color, thickness, cv2.LINE_AA, _SHIFT)
    return np.asarray(cv2.addWeighted(opaque, AREA_OPACITY, rings, 1 - AREA_OPACITY, 0), np.uint8)


def draw_boxes(image: Image, people: Sequence[Person], ids: Sequence[int] = ()) -> Image:
    """A copy of the image, (H, W, 3) uint8 RGB, with the corners of all boxes.

    ids: of the persons; the corners have their colors. Without them the corners are white.
    """
    boxes = [[_fixed(corner) for corner in _box_corners(person.bbox)] for person in people]
    colors = [id_color(number) for number in ids] or [WHITE] * len(people)
    thickness = max(1, round(0.0015 * max(image.shape[:2])))
    opaque = image.copy()
    for corners, color in zip(boxes, colors, strict=True):
        for shade, width in ((OUTLINE, 3 * thickness), (color, thickness)):
            cv2.polylines(opaque, corners, False, shade, width, cv2.LINE_AA, _SHIFT)
    return np.asarray(cv2.addWeighted(opaque, BOX_OPACITY, image, 1 - BOX_OPACITY, 0), np.uint8)


def id_color(number: int) -> Color:
    """The color of an ID, counted from 1; there are eight."""
    return ID_COLORS[(number - 1) % len(ID_COLORS)]


def draw_labels(image: Image, people: Sequence[Person], labels: Sequence[str], ids: Sequence[int] = ()) -> Image:
    """A copy of the image, (H, W, 3) uint8 RGB, with a short text above each box.

    The text grows with the person, within bounds. ids: of the persons; the labels have their colors. Without them the
    labels are white.
    """
    canvas = image.copy()
    colors = [id_color(number) for number in ids] or [WHITE] * len(people)
    for person, label, color in zip(people, labels, colors, strict=True):
        _draw_label(canvas, person, label, color)
    return canvas


def _draw_label(canvas: Image, person: Person, label: str, color: Color) -> None:
    height, width = canvas.shape[:2]
    x, y, _, tall = np.clip(np.nan_to_num(person.bbox), -_MAX_COORDINATE, _MAX_COORDINATE)
    size = np.clip(0.08 * tall, 11, max(11, 0.028 * max(height, width)))  # of the letters, in pixels
    scale, stroke = size / 21, max(1, round(size / 12))  # Hershey's capitals are 21 pixels high
    (text_width, text_height), _ = cv2.getTextSize(label, _FONT, scale, stroke)
    pad = max(2, round(0.3 * size))
    plate = np.array([text_width + 2 * pad, text_height + 2 * pad])
    left, top = np.clip((x, y - plate[1]), 0, np.maximum((width, height) - plate, 0)).astype(int).tolist()
    right, bottom = left + int(plate[0]), top + int(plate[1])
    cv2.rectangle(canvas, (left, top), (right, bottom), OUTLINE, cv2.FILLED)
    cv2.rectangle(canvas, (left + 1, top + 1), (right - 1, bottom - 1), color, cv2.FILLED)
    cv2.putText(canvas, label, (left + pad, bottom - pad), _FONT, scale, OUTLINE, stroke, cv2.LINE_AA)


def draw_heatmaps(crop: Image, heatmaps: NDArray[np.floating]) -> Image:
    """The highest heatmap value at each pixel as colors over the crop.

    crop: (H, W, 3) uint8 RGB. heatmaps: (K, h, w), 255 at the peak of a target. Returns (H, W, 3) uint8 RGB.
    """
    height, width = crop.shape[:2]
    strongest = np.asarray(heatmaps.max(0) / 255, np.float32)
    heat = cv2.resize(strongest, (width, height), interpolation=cv2.INTER_LINEAR)
    return overlay_heatmap(crop, np.asarray(heat, np.float32))


def overlay_heatmap(image: Image, heat: NDArray[np.floating]) -> Image:
    """A heatmap (H, W) from 0 (no keypoint) to 1 as colors over an image, (H, W, 3) uint8 RGB."""
    heat = np.clip(heat, 0, 1)
    # Without the darkest quarter of the colors, which would darken the image.
    glow = cv2.applyColorMap(np.asarray(64 + 191 * heat, np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = np.minimum(0.85, 1.5 * heat)[..., None]
    return np.asarray(np.rint(image * (1 - opacity) + glow * opacity), np.uint8)


@dataclass(frozen=True, eq=False)
class _Figure:
    """Keypoints (K, 2) of one person in pixels, which of them to draw and how opaque (K,), and the limbs' thickness."""

    keypoints: FloatArray
    shown: NDArray[np.bool_]
    opacity: FloatArray
    thickness: float

    @classmethod
    def from_person(cls, person: Person, threshold: float, image: Image) -> "_Figure":
        keypoints = person.keypoints
        reachable = (np.abs(np.nan_to_num(keypoints, nan=np.inf)) < _MAX_COORDINATE).all(1)
        shown = reachable & (person.scores >= threshold)
        size = float(np.ptp(keypoints[shown], axis=0).max()) if shown.any() else 0.0
        # Thin enough for a face in a crowd, never so thick that it hides the person.
        thickness = np.clip(0.022 * size, 2.0, max(2.0, 0.016 * max(image.shape[:2])))
        certainty = np.clip((person.scores - threshold) / max(FULL_ALPHA_SCORE - threshold, 1e-9), 0, 1)
        return cls(keypoints, shown, OPACITY * (MIN_ALPHA + (1 - MIN_ALPHA) * certainty), float(thickness))


def _draw_figure(canvas: Image, figure: _Figure, skeleton: Skeleton) -> None:
    """Draw on the part of the canvas that the person covers: a crowd in a large image would take long otherwise."""
    if not figure.shown.any():
        return
    margin = 4 * figure.thickness
    low = np.floor(figure.keypoints[figure.shown].min(0) - margin).astype(int).clip(0)
    high = np.ceil(figure.keypoints[figure.shown].max(0) + margin).astype(int).clip(0)
    patch = canvas[low[1] : high[1], low[0] : high[0]]
    if not patch.size:
        return
    inside = replace(figure, keypoints=figure.keypoints - low)
    # Where nothing is drawn the colors are those of the image, so opacity may extend a little beyond a shape.
    colors, opacity = patch.copy(), np.zeros(patch.shape[:2], np.float32)
    capsules = [*_limbs(inside, skeleton), *_discs(inside, skeleton)]
    outlines = _outlines(capsules)
    around = np.rint(outlines + np.sign(outlines - outlines.mean(1, keepdims=True))).astype(np.int32)
    for capsule, outline, wider in zip(capsules, _fixed(outlines), around, strict=True):
        cv2.fillConvexPoly(colors, outline, capsule.color, cv2.LINE_AA, _SHIFT)
        cv2.fillConvexPoly(opacity, wider, capsule.opacity)
    patch[:] = cv2.blendLinear(colors, patch, opacity, 1 - opacity)


class _Capsule(NamedTuple):
    """A limb, or a disc where start and end, (2,) pixels, are the same: a convex shape around both."""

    start: FloatArray
    end: FloatArray
    start_radius: float
    end_radius: float
    color: Color
    opacity: float


def _limbs(figure: _Figure, skeleton: Skeleton) -> Iterator[_Capsule]:
    """First all dark outlines, then all limbs, those with high scores last."""
    limbs = [(a, b) for a, b in skeleton.limbs if figure.shown[a] and figure.shown[b]]
    limbs.sort(key=lambda limb: figure.opacity[list(limb)].min())
    rim = _rim(figure)
    for color, growth in ((OUTLINE, rim), (None, 0.0)):
        for a, b in limbs:
            radii = [
                0.5 * figure.thickness * _fineness(skeleton.normalized_names[keypoint]) + growth for keypoint in (a, b)
            ]
            opacity = float(min(figure.opacity[a], figure.opacity[b]))
            limb_color = color or _limb_color(skeleton, a, b)
            yield _Capsule(figure.keypoints[a], figure.keypoints[b], radii[0], radii[1], limb_color, opacity)


def _discs(figure: _Figure, skeleton: Skeleton) -> Iterator[_Capsule]:
    """Discs in the color of the side, in a white ring, in a dark outline."""
    rim = _rim(figure)
    for keypoint in np.flatnonzero(figure.shown):
        center = figure.keypoints[keypoint]
        radius = 0.95 * figure.thickness * _fineness(skeleton.normalized_names[keypoint])
        side = _COLORS[skeleton.sides[keypoint]]
        for color, reach in ((OUTLINE, radius + rim), (WHITE, radius), (side, 0.6 * radius)):
            yield _Capsule(center, center, reach, reach, color, float(figure.opacity[keypoint]))


def _rim(figure: _Figure) -> float:
    """Width of the dark outline in pixels."""
    return max(0.8, 0.17 * figure.thickness)


def _fineness(keypoint: str) -> float:
    """Keypoints of the face lie close together and are drawn smaller."""
    return 1.0 if _FACE.isdisjoint(keypoint.split("_")) else 0.6


def _limb_color(skeleton: Skeleton, a: int, b: int) -> Color:
    """The color of the side that both keypoints are on; the center color for both sides or neither."""
    sides = {skeleton.sides[keypoint] for keypoint in (a, b)} - {"middle"}
    return _COLORS[sides.pop()] if len(sides) == 1 else CENTER


def _outlines(capsules: Sequence[_Capsule]) -> FloatArray:
    """(M, 34, 2) pixels: two half circles each, connected by straight lines. All at once: a person has about 90."""
    starts, ends = np.array([(capsule.start, capsule.end) for capsule in capsules]).swapaxes(0, 1)
    along = ends - starts
    half_circle = np.arctan2(along[:, 1], along[:, 0])[:, None] + np.linspace(0.5 * np.pi, 1.5 * np.pi, 17)
    back = np.stack([np.cos(half_circle), np.sin(half_circle)], axis=-1)
    radii = np.array([(capsule.start_radius, capsule.end_radius) for capsule in capsules])
    near, far = np.maximum(radii - _BLEED, 0).T[..., None, None]
    return np.concatenate([starts[:, None] + near * back, ends[:, None] - far * back], axis=1)


def _box_corners(box: FloatArray) -> Iterator[FloatArray]:
    """Four corners, (3, 2) each, with arms of an eighth of the shorter side."""
    x, y, width, height = box
    arm = 0.125 * min(width, height)
    for left, along in ((x, arm), (x + width, -arm)):
        for top, down in ((y, arm), (y + height, -arm)):
            yield np.array([(left + along, top), (left, top), (left, top + down)])


def _fixed(values: FloatArray | float) -> NDArray[np.int32]:
    """Pixels as OpenCV's fixed-point numbers."""
    return np.asarray(np.rint(np.multiply(values, 1 << _SHIFT)), np.int32)
