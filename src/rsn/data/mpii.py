"""Read MPII Human Pose: the official release (.mat), and the train/valid/test lists (JSON) that most code uses.

MPII counts pixels from 1, and describes a person by a rough center and a scale, the height in units of 200 pixels.
`from_mpii` and `square_box` convert both; `to_mpii` converts back, for files that are sent to MPII.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsn.data.annotations import ImageFile, PersonAnnotation, PoseDataset
from rsn.data.image_files import check_files
from rsn.data.matlab import read_mat, structs
from rsn.errors import AnnotationError
from rsn.io.validation import read_json
from rsn.skeletons import MPII_16

Split = Literal["train", "test"]

PIXELS_PER_SCALE = 200  # height in pixels of a person of scale 1
CENTER_SHIFT = 15  # pixels, times the scale, by which the reference lowers the center, which is high on the chest
HEAD_FACTOR = 0.6  # head size of PCKh, as a fraction of the diagonal of the head box
NO_CENTER = -1.0  # x of a missing center
NO_POSITION = "no center and scale"  # reason to skip a person


def from_mpii(points: ArrayLike) -> NDArray[np.float64]:
    """Convert points (..., 2) of MPII, counted from 1, to image pixels counted from 0."""
    return np.asarray(points, np.float64) - 1


def to_mpii(points: ArrayLike) -> NDArray[np.float64]:
    """Convert image pixels (..., 2) to MPII's, counted from 1."""
    return np.asarray(points, np.float64) + 1


def square_box(center: ArrayLike, scale: float) -> NDArray[np.float64]:
    """The box of the reference implementations: x, y, width, height in image pixels.

    center: (2,) in MPII's pixels. The box is a square, 200 x scale wide, centered 15 x scale below the given center.
    The padding by 1.25 that follows belongs to the weights (`ModelMetadata.bbox_padding`).
    """
    side = PIXELS_PER_SCALE * scale
    shifted = from_mpii(center) + np.array([0, CENTER_SHIFT * scale])
    return np.array([*(shifted - side / 2), side, side])


def head_size(head_box: ArrayLike) -> float:
    """The head size of PCKh for a head box x1, y1, x2, y2 (4,): 0.6 of its diagonal, in pixels."""
    x1, y1, x2, y2 = np.asarray(head_box, np.float64)
    return HEAD_FACTOR * math.hypot(x2 - x1, y2 - y1)


def is_mpii(annotations: Path) -> bool:
    """Whether a file has MPII's format (.mat, or a JSON list) instead of COCO's (a JSON mapping)."""
    if annotations.suffix == ".mat":
        return True
    try:
        with open(annotations, "rb") as file:
            return file.read(64).lstrip().startswith(b"[")
    except OSError:  # reported by the reader
        return False


def read_mpii(annotations: Path, images: Path | None, *, split: Split = "train") -> PoseDataset:
    """Read persons from MPII's annotations. Those without center or scale are skipped and counted.

    Args:
        annotations: the official `mpii_human_pose_v1_u12_1.mat`, or a JSON list of entries with image, center, scale,
            joints (16 x 2), joints_vis (16) and headbox (x1, y1, x2, y2); the last three are optional.
        images: the folder of the images, which are not opened. With None, nothing checks that they exist.
        split: of the release, which has `train` and `test`; people of `test` have no keypoints. The validation split
            of the literature is a part of `train` that a JSON list (valid.json) names. Not used for a list.

    In a list, all marked keypoints have visibility 2; the release also has occluded ones (1).

    Raises:
        AnnotationError: the file is missing, damaged or not MPII's; a person has another number of keypoints, or a
            number that is not finite; images are missing.
        MissingDependencyError: a .mat file, and scipy is not installed.
    """
    folder = images or Path()
    if annotations.suffix == ".mat":
        return _dataset(
            (
                image.person(rect, folder)
                for image in read_release(annotations)
                if image.train == (split == "train")
                for rect in range(len(image.rects))
            ),
            images,
        )
    entries = read_json(annotations)
    if not isinstance(entries, list) or not entries:
        raise AnnotationError(f"{annotations}: not a list of MPII people (entries with image, center and scale)")
    return _dataset(
        (_read_entry(entry, f"{annotations}: person {number}", folder) for number, entry in enumerate(entries, 1)),
        images,
    )


def _dataset(persons: Iterable[PersonAnnotation | None], images: Path | None) -> PoseDataset:
    read = list(persons)
    people = tuple(person for person in read if person is not None)
    skipped = Counter({NO_POSITION: len(read) - len(people)} if len(people) < len(read) else {})
    if images is not None:
        check_files({person.image.path for person in people}, images)
    return PoseDataset(MPII_16, people, skipped)


@dataclass(frozen=True, eq=False)
class ReleaseImage:
    """An image of the official release.

    name: of the file. train: whether its people have keypoints. single: indices in `rects` of people who stand apart
    from others, the persons of the single-person test. rects: the people as MATLAB structs. source: the release file.
    """

    name: str
    train: bool
    single: frozenset[int]
    rects: list[dict[str, Any]]
    source: Path

    def person(self, rect: int, folder: Path) -> PersonAnnotation | None:
        """The person of a rect, counted from 0; None if it has no center or no scale."""
        where = f"{self.source}: {self.name}, person {rect + 1}"
        fields = self.rects[rect]
        center = next(iter(structs(fields.get("objpos"))), {})
        position = _numbers([center.get("x"), center.get("y"), fields.get("scale")])
        if position is None:
            return None
        head_box = _numbers([fields.get(name) for name in ("x1", "y1", "x2", "y2")])
        return _person(where, folder / self.name, position, _release_keypoints(fields, where), head_box)


def read_release(path: Path) -> list[ReleaseImage]:
    """Read all images of the official release, `mpii_human_pose_v1_u12_1.mat`, in its order.

    Raises:
        AnnotationError: as `read_mat`; or the MATLAB file has another content.
    """
    document = read_mat(path)
    try:
        release = document["RELEASE"]
        listed = structs(release["annolist"])
        train = np.atleast_1d(release["img_train"]).astype(bool)
        singles = release["single_person"] if len(listed) > 1 else [release["single_person"]]
        return [
            ReleaseImage(
                name=str(image["image"]["name"]),
                train=bool(is_train),
                single=frozenset(int(rect) - 1 for rect in np.ravel(single)),  # MATLAB counts from 1
                rects=structs(image.get("annorect")),
                source=path,
            )
            for image, is_train, single in zip(listed, train, singles, strict=True)
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise AnnotationError(
            f"{path}: a MATLAB file, but not MPII's release, which has RELEASE with annolist, img_train and"
            f" single_person ({error})"
        ) from error


def _numbers(fields: Sequence[Any]) -> list[float] | None:
    """The numbers of MATLAB fields; None if one of them is missing or empty."""
    if any(field is None or np.size(field) == 0 for field in fields):
        return None
    return [float(np.ravel(field)[0]) for field in fields]


def _release_keypoints(fields: dict[str, Any], where: str) -> NDArray[np.float64]:
    """The marked points of a rect: (16, 3) x, y, visibility in MPII's pixels."""
    keypoints = np.zeros((len(MPII_16), 3))
    for annotated in structs(fields.get("annopoints")):
        for point in structs(annotated.get("point")):
            numbers = _numbers([point.get(name) for name in ("id", "x", "y")])
            if numbers is None or numbers[0] not in range(len(MPII_16)):
                raise AnnotationError(f"{where} has a point without x, y and an id from 0 to 15")
            # A flag of 0 means occluded, as a text or a number; neck and top of the head have no flag.
            occluded = str(point.get("is_visible")) in ("0", "0.0")
            keypoints[int(numbers[0])] = *numbers[1:], 1 if occluded else 2
    return keypoints


def _read_entry(entry: Any, where: str, folder: Path) -> PersonAnnotation | None:
    """The person of an entry of a JSON list; None if it has no center."""
    try:
        position = [float(value) for value in (*entry["center"], entry["scale"])]
        points = np.asarray(entry.get("joints", np.zeros((len(MPII_16), 2))), np.float64)
        marked = np.asarray(entry.get("joints_vis", np.zeros(len(points))), np.float64)
        head_box = entry.get("headbox")
        head_box = None if head_box is None else [float(value) for value in head_box]
        path = folder / entry["image"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnnotationError(
            f"{where} is not an entry with image, center and scale, and joints that are numbers ({error})"
        ) from error
    if points.shape != (len(MPII_16), 2) or marked.shape != (len(MPII_16),):
        raise AnnotationError(
            f"{where} has joints of shape {points.shape} and {marked.size} joints_vis; MPII has 16 x 2 and 16"
        )
    if position[0] == NO_CENTER:
        return None
    return _person(where, path, position, np.column_stack([points, 2 * marked]), head_box)


def _person(
    where: str,
    path: Path,
    position: Sequence[float],
    keypoints: NDArray[np.float64],
    head_box: Sequence[float] | None,
) -> PersonAnnotation:
    """Convert a person from MPII's pixels. position: center x, y and scale. keypoints: (16, 3) with visibility."""
    numbers = [*position, *keypoints.flat, *(head_box or ())]
    if len(position) != 3 or len(head_box or range(4)) != 4 or not np.isfinite(numbers).all():
        raise AnnotationError(f"{where} has a number that is not finite, or a center or head box of another length")
    *center, scale = position
    marked = keypoints[:, 2] > 0
    points = np.where(marked[:, None], from_mpii(keypoints[:, :2]), 0)
    return PersonAnnotation(
        image=ImageFile(path.name, path),
        box=square_box(center, scale),
        keypoints=points.astype(np.float32),
        visibility=keypoints[:, 2].astype(np.int64),
        head_size=None if head_box is None else head_size(head_box),
    )


def with_ground_truth(dataset: PoseDataset, path: Path) -> PoseDataset:
    """The people of valid.json with head sizes and keypoints of the gt_valid.mat that belongs to it.

    The file has one entry per person, in the order of the list: headboxes_src (2, 2, N), corners of the head boxes,
    pos_gt_src (16, 2, N), keypoints in MPII's pixels, and jnt_missing (16, N). The reference evaluates with these
    keypoints, which differ from those of the list by less than a pixel.

    Raises:
        AnnotationError: as `read_mat`; or the file has another content, or other people.
    """
    document = read_mat(path)
    try:
        corners = np.asarray(document["headboxes_src"], np.float64).reshape(2, 2, -1)
        positions = np.asarray(document["pos_gt_src"], np.float64).reshape(len(MPII_16), 2, -1)
        missing = np.asarray(document["jnt_missing"], np.float64).reshape(len(MPII_16), -1)
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"{path}: a MATLAB file, but not a gt_valid.mat, which has headboxes_src, pos_gt_src and jnt_missing"
            f" ({error})"
        ) from error
    if not len(dataset) == corners.shape[2] == positions.shape[2] == missing.shape[1]:
        raise AnnotationError(
            f"{path}: has head boxes of {corners.shape[2]} people, the annotations have {len(dataset)} people; use the"
            " files of one split"
        )
    keypoints = from_mpii(positions.transpose(2, 0, 1))
    visibility = np.where(missing.T > 0, 0, 2)
    both = (visibility > 0) & [person.visibility > 0 for person in dataset.people]
    distance = np.abs(keypoints - [person.keypoints for person in dataset.people]).max(-1)[both]
    if distance.size and not np.median(distance) <= 1:
        raise AnnotationError(
            f"{path}: its keypoints are not those of the annotations; it must list the same people in the same order"
        )
    people = (
        replace(
            person,
            keypoints=points.astype(np.float32),
            visibility=visible,
            head_size=head_size(np.ravel(head_box)),
        )
        for person, points, visible, head_box in zip(
            dataset.people, keypoints, visibility, corners.transpose(2, 0, 1), strict=True
        )
    )
    return replace(dataset, people=tuple(people))
