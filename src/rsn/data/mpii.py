"""MPII Human Pose: the official release (.mat), and the train/valid/test lists (JSON) that most code trains on.

MPII counts pixels from 1 and describes a person by a rough center and a scale, the height in units of 200 pixels. All
of that is left behind here, in `square_box` and `from_mpii`; `to_mpii` is the way back, for files that go to MPII.
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
from rsn.data.coco import read_json
from rsn.data.image_files import check_files
from rsn.data.matlab import read_mat, structs
from rsn.errors import AnnotationError
from rsn.skeletons import MPII_16

Split = Literal["train", "test"]

PIXELS_PER_SCALE = 200  # height in pixels of a person of scale 1
CENTER_DROP = (
    15  # pixels, times the scale, by which the reference lowers a center, as it sits high on the chest
)
HEAD_SHARE = 0.6  # of the diagonal of the head box: the head size of PCKh
NO_CENTER = -1.0  # a center's x where there is none
NOWHERE = "no center and scale"  # reason to leave somebody out


def from_mpii(points: ArrayLike) -> NDArray[np.float64]:
    """Points (..., 2) counted from 1, as MPII has them -> pixels counted from 0, as everywhere else here."""
    return np.asarray(points, np.float64) - 1


def to_mpii(points: ArrayLike) -> NDArray[np.float64]:
    """Image pixels (..., 2) -> MPII's, counted from 1."""
    return np.asarray(points, np.float64) + 1


def square_box(center: ArrayLike, scale: float) -> NDArray[np.float64]:
    """The box of the reference implementations: x, y, width, height in image pixels.

    center: (2,) in MPII's pixels. The box is square, 200 x scale wide, its center 15 x scale below the given one. The
    extension by 1.25 that follows belongs to the weights (`ModelMetadata.bbox_padding`).
    """
    side = PIXELS_PER_SCALE * scale
    middle = from_mpii(center) + np.array([0, CENTER_DROP * scale])
    return np.array([*(middle - side / 2), side, side])


def head_size(head_box: ArrayLike) -> float:
    """The length that PCKh measures in, from the head box x1, y1, x2, y2 (4,): 0.6 of its diagonal, in pixels."""
    x1, y1, x2, y2 = np.asarray(head_box, np.float64)
    return HEAD_SHARE * math.hypot(x2 - x1, y2 - y1)


def is_mpii(annotations: Path) -> bool:
    """Whether a file has the form of MPII's annotations (.mat, or a JSON list) and not of COCO's (a JSON mapping)."""
    if annotations.suffix == ".mat":
        return True
    try:
        with open(annotations, "rb") as file:
            return file.read(64).lstrip().startswith(b"[")
    except OSError:  # for the reader to tell
        return False


def read_mpii(annotations: Path, images: Path, *, split: Split = "train") -> PoseDataset:
    """Read people from MPII's annotations. Those without a center or a scale are left out and counted.

    Args:
        annotations: the official `mpii_human_pose_v1_u12_1.mat`, or a JSON list of entries with image, center and
            scale; where keypoints are known, keypoints (16 x 2) and joints_vis (16); a headbox (x1, y1, x2, y2) may be there.
        images: the folder of the images. They are not opened here.
        split: of the release, which holds `train` and `test`. People of `test` have no keypoints. The validation split
            that papers measure on is not in it: it is a part of `train` that a JSON list (valid.json) names. A list
            is one split by itself, and this argument says nothing about it.

    Keypoints are visible (2) in a list wherever they are marked. The release also tells which are occluded (1).

    Raises:
        AnnotationError: a file that is missing, damaged or not MPII's; a person with another number of keypoints or
            something that is not a finite number; images that are not there.
        DeviceError: a .mat, and scipy is not installed.
    """
    if annotations.suffix == ".mat":
        people = (
            image.person(rect, images)
            for image in read_release(annotations)
            if image.train == (split == "train")
            for rect in range(len(image.rects))
        )
        return _dataset(people, images)
    document = read_json(annotations)
    if not isinstance(document, list) or not document:
        raise AnnotationError(
            f"{annotations}: not a list of MPII people (entries with image, center and scale)"
        )
    return _dataset(
        (
            _listed(entry, f"{annotations}: person {place}", images)
            for place, entry in enumerate(document, start=1)
        ),
        images,
    )


def _dataset(read: Iterable[PersonAnnotation | None], images: Path) -> PoseDataset:
    everyone = list(read)
    people = tuple(person for person in everyone if person is not None)
    skipped = Counter({NOWHERE: len(everyone) - len(people)} if len(people) < len(everyone) else {})
    check_files({person.image.path for person in people}, images)
    return PoseDataset(MPII_16, people, skipped)


@dataclass(frozen=True, eq=False)
class ReleaseImage:
    """An image of the official release.

    name: of the file. train: whether its people have keypoints. single: those of `rects`, counted from 0, that stand
    apart from others; MPII's single-person test is on them. rects: the people as MATLAB has them. source: the file.
    """

    name: str
    train: bool
    single: frozenset[int]
    rects: list[dict[str, Any]]
    source: Path

    def person(self, rect: int, folder: Path) -> PersonAnnotation | None:
        """The person of a rect, counted from 0; None where it has no center or no scale."""
        where = f"{self.source}: {self.name}, person {rect + 1}"
        fields = self.rects[rect]
        position = next(iter(structs(fields.get("objpos"))), {})
        place = _numbers([position.get("x"), position.get("y"), fields.get("scale")])
        if place is None:
            return None
        head_box = _numbers([fields.get(name) for name in ("x1", "y1", "x2", "y2")])
        keypoints = _release_keypoints(fields, where)
        return _person(where, folder / self.name, place=place, keypoints=keypoints, head_box=head_box)


def read_release(path: Path) -> list[ReleaseImage]:
    """The official release, `mpii_human_pose_v1_u12_1.mat`: all its images, in its order.

    Raises:
        AnnotationError: as `read_mat`; or a MATLAB file that holds something else.
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
    """The numbers of MATLAB fields; None where one of them is absent or empty."""
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
            keypoints[int(numbers[0])] = *numbers[1:], _visibility(point.get("is_visible"))
    return keypoints


def _visibility(flag: Any) -> int:
    """2, or 1 where MPII says occluded, as a text or a number; of the neck and the top of the head it says nothing."""
    return 1 if str(flag) in ("0", "0.0") else 2


def _listed(entry: Any, where: str, folder: Path) -> PersonAnnotation | None:
    """An entry of a JSON list."""
    try:
        place = [float(value) for value in (*entry["center"], entry["scale"])]
        points = np.asarray(entry.get("joints", np.zeros((len(MPII_16), 2))), np.float64)
        marked = np.asarray(entry.get("joints_vis", np.zeros(len(points))), np.float64)
        head_box = entry.get("headbox")
        head_box = None if head_box is None else [float(value) for value in head_box]
        path = folder / entry["image"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnnotationError(
            f"{where} is not an entry with image, center and scale, and keypoints that are numbers ({error})"
        ) from error
    if points.shape != (len(MPII_16), 2) or marked.shape != (len(MPII_16),):
        raise AnnotationError(
            f"{where} has keypoints of shape {points.shape} and {marked.size} joints_vis; MPII has 16 x 2 and 16"
        )
    if place[0] == NO_CENTER:
        return None
    keypoints = np.column_stack(
        [points, 2 * marked]
    )  # 2: visible, since a list does not know occluded keypoints
    return _person(where, path, place=place, keypoints=keypoints, head_box=head_box)


def _person(
    where: str,
    path: Path,
    *,
    place: Sequence[float],
    keypoints: NDArray[np.float64],
    head_box: Sequence[float] | None,
) -> PersonAnnotation:
    """place: center x, y and scale. keypoints: (16, 3) with visibility. All in MPII's pixels."""
    numbers = [*place, *keypoints.flat, *(head_box or ())]
    if len(place) != 3 or len(head_box or range(4)) != 4 or not np.isfinite(numbers).all():
        raise AnnotationError(
            f"{where} has a number that is not finite, or a center or head box with numbers too few or too many"
        )
    *center, scale = place
    marked = keypoints[:, 2] > 0
    positions = np.where(marked[:, None], from_mpii(keypoints[:, :2]), 0)
    return PersonAnnotation(
        image=ImageFile(path.name, path),
        box=square_box(center, scale),
        keypoints=positions.astype(np.float32),
        visibility=keypoints[:, 2].astype(np.int64),
        head_size=None if head_box is None else head_size(head_box),
    )


def with_ground_truth(people: PoseDataset, path: Path) -> PoseDataset:
    """The people of valid.json, with head sizes and keypoints of the gt_valid.mat that goes with it.

    The file has an entry a person, in the order of the list: headboxes_src (2, 2, N), corners of the head boxes,
    pos_gt_src (16, 2, N), keypoints in MPII's pixels, and jnt_missing (16, N). The reference measures against these
    keypoints, which differ from the list's by less than a pixel.

    Raises:
        AnnotationError: as `read_mat`; a file with something else, or of other people.
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
    if not len(people) == corners.shape[2] == positions.shape[2] == missing.shape[1]:
        raise AnnotationError(
            f"{path}: has head boxes of {corners.shape[2]} people, the annotations have {len(people)} people; take the"
            " files of one split"
        )
    keypoints = from_mpii(positions.transpose(2, 0, 1))
    visibility = np.where(missing.T > 0, 0, 2)
    _check_same_people(people, keypoints, visibility, path)
    measured = (
        replace(
            person,
            keypoints=points.astype(np.float32),
            visibility=visible,
            head_size=head_size(np.ravel(head_box)),
        )
        for person, points, visible, head_box in zip(
            people.people, keypoints, visibility, corners.transpose(2, 0, 1), strict=True
        )
    )
    return replace(people, people=tuple(measured))


def _check_same_people(
    people: PoseDataset, keypoints: NDArray[np.float64], visibility: NDArray[np.int64], path: Path
) -> None:
    both = (visibility > 0) & [person.visibility > 0 for person in people.people]
    off = np.abs(keypoints - [person.keypoints for person in people.people]).max(-1)[both]
    if off.size and not np.median(off) <= 1:
        raise AnnotationError(
            f"{path}: its keypoints are not those of the annotations; it must list the same people in the same order"
        )
