"""Drawn images of beetles seen from above: a skeleton that no trained weights know, with poses, clutter and occlusion.

Sixteen keypoints: head, tail, the tips of two antennas, and knee and foot of six legs. Every image has one beetle of
random color, pattern, size, bend and leg angles, turned by up to 60 degrees, before a textured background with
strokes of the beetle's own color; leaves cover parts of it.
"""

import json
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 224  # pixels of the square images
SIDES, LEGS = ("left", "right"), ("front", "middle", "rear")
NAMES = (
    "head",
    "tail",
    *(f"{side}_antenna" for side in SIDES),
    *(f"{side}_{leg}_{part}" for leg in LEGS for side in SIDES for part in ("knee", "foot")),
)
LIMBS = [[1, 2], [1, 3], [1, 4], *([number, number + 1] for number in range(5, len(NAMES), 2))]  # from 1, as in COCO
GROUPS = {
    "head and tail": ("head", "tail"),
    "antennas": ("left_antenna", "right_antenna"),
    "knees": tuple(name for name in NAMES if name.endswith("knee")),
    "feet": tuple(name for name in NAMES if name.endswith("foot")),
}

Image = NDArray[np.uint8]
Points = dict[str, NDArray[np.float64]]


def write_beetles(folder: Path, count: int, seed: int) -> Path:
    """Draw `count` images into folder/images; returns the COCO-keypoints file beside them."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        image, points, covered = draw_beetle(np.random.default_rng((seed, number)))
        name = f"{number:05d}.png"
        cv2.imwrite(str(folder / "images" / name), image)
        places = np.array([points[keypoint] for keypoint in NAMES])
        inside = ((places >= 0) & (places < SIZE)).all(1)
        low, high = places[inside].min(0) - 6, places[inside].max(0) + 6
        box = [*low.clip(0), *(high.clip(0, SIZE) - low.clip(0))]
        values = [
            (x, y, 1 if covered[round(y), round(x)] else 2) if seen else (0, 0, 0)
            for (x, y), seen in zip(places.round(1).clip(0, SIZE - 1).tolist(), inside, strict=True)
        ]
        images.append({"id": number, "file_name": name, "width": SIZE, "height": SIZE})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [round(float(value), 1) for value in box],
                "area": round(float(box[2] * box[3]) * 0.5, 1),
                "iscrowd": 0,
                "keypoints": [value for triple in values for value in triple],
            }
        )
    category = {"id": 1, "name": "beetle", "keypoints": NAMES, "skeleton": LIMBS, "sigmas": [0.05] * len(NAMES)}
    path = folder / "beetles.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return path


def draw_beetle(random: np.random.Generator) -> tuple[Image, Points, NDArray[np.bool_]]:
    """An image (H, W, 3), its keypoints x, y in pixels, and where leaves cover it (H, W)."""
    color = random.uniform(20, 235, 3)
    image = _background(random, color)
    points, joints = _pose(random)
    _draw_body(image, points, joints, color, random)
    covered = _cover(image, random)
    image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 1.2))
    noisy = image + random.normal(0, random.uniform(2, 12), image.shape)
    return noisy.clip(0, 255).astype(np.uint8), points, covered


def _pose(random: np.random.Generator) -> tuple[Points, Points]:
    """Keypoints, and the other places that are drawn: neck, waist and hips of the legs."""
    angle, bend = np.deg2rad(random.uniform(-60, 60)), np.deg2rad(random.uniform(-25, 25, 2))
    length = random.uniform(70, 115)
    squeeze = random.uniform(0.75, 1.0)  # as if seen at an angle
    center = np.array([SIZE / 2, SIZE / 2]) + random.uniform(-20, 20, 2)

    def ahead(direction: float, distance: float) -> NDArray[np.float64]:
        """A step in image coordinates; direction 0 is up, positive is clockwise."""
        x, y = distance * math.sin(direction), -distance * math.cos(direction) * squeeze
        return np.array([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)])

    neck, waist = center + ahead(0, 0.18 * length), center - ahead(0, 0.12 * length)
    points: Points = {
        "head": neck + ahead(bend[0], 0.2 * length),
        "tail": waist + ahead(math.pi + bend[1], 0.5 * length),
    }
    joints: Points = {"neck": neck, "waist": waist}
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        spread = sign * np.deg2rad(random.uniform(10, 65)) + bend[0]
        points[f"{side}_antenna"] = points["head"] + ahead(spread, random.uniform(0.25, 0.4) * length)
        for leg, at, middle in zip(LEGS, (0.12, 0.0, -0.12), (50, 90, 130), strict=True):
            hip = center + ahead(0, at * length) + ahead(sign * math.pi / 2, 0.13 * length)
            thigh = np.deg2rad(middle + random.uniform(-25, 25))
            shin = thigh + np.deg2rad((middle - 90) * 0.6 + random.uniform(-50, 50))
            knee = hip + ahead(sign * thigh, random.uniform(0.28, 0.36) * length)
            points[f"{side}_{leg}_knee"] = knee
            points[f"{side}_{leg}_foot"] = knee + ahead(sign * shin, random.uniform(0.28, 0.4) * length)
            joints[f"{side}_{leg}"] = hip
    return points, joints


def _draw_body(
    image: Image, points: Points, joints: Points, color: NDArray[np.float64], random: np.random.Generator
) -> None:
    thickness = int(random.integers(2, 6))
    length = float(np.linalg.norm(points["head"] - points["tail"]))
    leg_color = (color * random.uniform(0.5, 1.3)).clip(0, 255).tolist()
    for side in SIDES:
        _stroke(image, points["head"], points[f"{side}_antenna"], leg_color, max(thickness - 2, 1))
        for leg in LEGS:
            knee = points[f"{side}_{leg}_knee"]
            _stroke(image, joints[f"{side}_{leg}"], knee, leg_color, thickness)
            _stroke(image, knee, points[f"{side}_{leg}_foot"], leg_color, max(thickness - 1, 1))
    width = random.uniform(0.16, 0.24) * length
    _ellipse(image, joints["waist"], points["tail"], width, color)
    _ellipse(image, joints["waist"], joints["neck"], 0.8 * width, color * 0.85)
    _ellipse(image, joints["neck"], points["head"], 0.5 * width, color * random.uniform(0.6, 1.2))
    if random.random() < 0.5:  # spots on the wings
        for _ in range(random.integers(2, 7)):
            share = random.uniform(0.2, 0.8)
            spot = (1 - share) * joints["waist"] + share * points["tail"] + random.uniform(-0.5, 0.5, 2) * width
            cv2.circle(image, _pixel(spot), int(random.integers(2, 6)), random.uniform(0, 255, 3).tolist(), -1)


def _background(random: np.random.Generator, color: NDArray[np.float64]) -> Image:
    """A rough texture with ellipses, and strokes and dots of about the beetle's color."""
    grid = random.uniform(0, 255, (int(random.integers(3, 12)), int(random.integers(3, 12)), 3)).astype(np.float32)
    texture = cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    image = (random.uniform(60, 190, 3) + random.uniform(0.2, 0.8) * (texture - 128)).clip(0, 255).astype(np.uint8)
    for _ in range(random.integers(3, 10)):
        center, axes = random.uniform(0, SIZE, 2), random.uniform(5, 60, 2)
        near = random.uniform(0, 255, 3).tolist()
        cv2.ellipse(image, _pixel(center), _pixel(axes), random.uniform(0, 180), 0, 360, near, -1, cv2.LINE_AA)
    for _ in range(random.integers(5, 20)):
        start, step = random.uniform(0, SIZE, 2), random.uniform(-60, 60, 2)
        near = (color * random.uniform(0.6, 1.3)).clip(0, 255).tolist()
        _stroke(image, start, start + step, near, int(random.integers(1, 6)))
    return image


def _cover(image: Image, random: np.random.Generator) -> NDArray[np.bool_]:
    """Draw leaves over the image; where they are."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(random.integers(0, 4)):
        center, axes, turn = random.uniform(30, SIZE - 30, 2), random.uniform((10, 4), (40, 14)), random.uniform(0, 180)
        leaf = random.uniform((0, 60, 0), (120, 220, 120)).tolist()
        for target, value in ((image, leaf), (mask, 1)):
            cv2.ellipse(target, _pixel(center), _pixel(axes), turn, 0, 360, value, -1)
    return mask.astype(bool)


def _ellipse(
    image: Image, start: NDArray[np.float64], end: NDArray[np.float64], width: float, color: NDArray[np.float64]
) -> None:
    middle, along = (start + end) / 2, end - start
    axes = np.array([np.linalg.norm(along) / 2 + 2, max(width, 3.0)])
    turn = math.degrees(math.atan2(along[1], along[0]))
    fill = color.clip(0, 255).tolist()
    cv2.ellipse(image, _pixel(middle), _pixel(axes), turn, 0, 360, fill, -1, cv2.LINE_AA)


def _stroke(
    image: Image, start: NDArray[np.float64], end: NDArray[np.float64], color: list[float], thickness: int
) -> None:
    cv2.line(image, _pixel(start), _pixel(end), color, thickness, cv2.LINE_AA)


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
