"""A small copy of MPII's release, with the irregularities of the real one."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io

EMPTY = np.zeros((0, 0))  # MATLAB's value of unassigned fields in a struct array
IMAGE_SIZE = (240, 320)  # height, width


def struct(**fields: Any) -> np.ndarray:
    """A 1x1 struct."""
    return struct_array([fields])


def struct_array(rows: list[dict[str, Any]]) -> np.ndarray:
    """A 1xN struct array: all rows have all fields, empty if a row lacks one."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), [(name, object) for name in names])
    for place, row in enumerate(rows):
        for name in names:
            array[name][0, place] = row.get(name, EMPTY)
    return array


def cells(values: list[Any]) -> np.ndarray:
    """An Nx1 cell array."""
    array = np.empty((len(values), 1), object)
    for place, value in enumerate(values):
        array[place, 0] = value
    return array


def keypoint(number: int, shift: float = 0.0) -> tuple[float, float]:
    """The position of keypoint `number`, in pixels counted from 1."""
    return 100.0 + 5 * number + shift, 90.5 + 3 * number


def points(numbers: range | list[int], *, shift: float = 0.0, **is_visible: Any) -> np.ndarray:
    """Points; `j3=...` sets is_visible of point 3, which is otherwise '1'."""
    rows = []
    for number in numbers:
        x, y = keypoint(number, shift)
        rows.append({"x": x, "y": y, "id": float(number), "is_visible": is_visible.get(f"j{number}", "1")})
    return struct_array(rows)


def head(x1: float, y1: float, x2: float, y2: float) -> dict[str, float]:
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2}


def release() -> np.ndarray:
    """RELEASE: four training and three test images; arrays of one element are single structs."""
    place = {"scale": 0.9, "objpos": struct(x=150.0, y=120.0)}
    two_people = struct_array(
        [
            # Head top and neck have no visibility; the others have it as text or as a number.
            head(160, 130, 190, 170)
            | place
            | {"annopoints": struct(point=points(range(16), j9=EMPTY, j8=EMPTY, j3="0", j4=np.uint8(0), j5=1.0))},
            # The second has fewer keypoints, in another order.
            head(20, 30, 50, 70)
            | {"scale": 0.5, "objpos": struct(x=60.0, y=80.0)}
            | {"annopoints": struct(point=points([9, 8, 0], shift=-50.0))},
        ]
    )
    one_keypoint = struct(**head(10, 10, 40, 50), **place, annopoints=struct(point=points([7])))
    without_points = struct_array([head(10, 10, 40, 50) | place | {"annopoints": EMPTY}, head(1, 1, 9, 9)])
    no_visibility = struct(
        **head(10, 10, 40, 50),
        **place,
        annopoints=struct(point=struct_array([{"x": 7, "y": 8, "id": np.uint8(2)}, {"x": 9, "y": 9, "id": 3}])),
    )
    tested = struct_array([place, {"scale": 0.6, "objpos": struct(x=80.0, y=100.0)}, {"scale": EMPTY}])
    rects = [two_people, one_keypoint, without_points, no_visibility, tested, EMPTY, struct(**place)]
    singles = [np.array([[1.0, 2.0]]), 1.0, EMPTY, 1.0, np.array([[2.0]]), EMPTY, np.array([[1]], np.uint8)]
    names = [f"{place:09d}.jpg" for place in range(1, len(rects) + 1)]
    images = [
        {"image": struct(name=name), "annorect": rect, "frame_sec": EMPTY, "vididx": EMPTY}
        for name, rect in zip(names, rects, strict=True)
    ]
    return struct(
        annolist=struct_array(images),
        img_train=np.array([[1, 1, 1, 1, 0, 0, 0]], np.uint8),
        version="12",
        single_person=cells(singles),
        act=struct_array([{"cat_name": "sports", "act_name": EMPTY, "act_id": 1.0}] * len(names)).T,
        video_list=cells(["https://example.com/1"]),
    )


def write_release(folder: Path) -> Path:
    """Write the release, and its images (noise) into images/; returns the .mat's path."""
    mat = folder / "mpii_human_pose_v1_u12_1.mat"
    content = release()
    scipy.io.savemat(mat, {"RELEASE": content}, do_compression=True)
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for entry in content["annolist"][0, 0]["image"].ravel():
        pixels = random.integers(0, 255, (*IMAGE_SIZE, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / entry["name"][0, 0]), pixels)
    return mat
