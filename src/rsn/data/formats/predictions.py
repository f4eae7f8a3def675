"""Results of pose estimators, which are read as labels with their scores: AlphaPose, OpenPose, COCO results, rsn.

A keypoint with a score of 0 is absent, others are visible.
"""

from collections.abc import Sequence
from os.path import commonpath
from pathlib import Path
from typing import Any

from rsn.data.formats.labels import LabeledImage, LabeledPerson, Labels, Source, has_keys, reading
from rsn.data.values import normalize_id
from rsn.errors import AnnotationError
from rsn.results import PoseResult
from rsn.skeletons import COCO_17, MPII_16, NOT_ANNOTATED

_OPENPOSE_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
_OPENPOSE_15 = ("head", *_OPENPOSE_18[1:14], "chest")  # its MPI model
_BODY_25 = (
    *_OPENPOSE_18[:8], "mid_hip", *_OPENPOSE_18[8:], "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip
_HALPE_26 = (
    *COCO_17.keypoint_names, "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe",
    "right_small_toe", "left_heel", "right_heel",
)  # fmt: skip
_NAMES = {
    len(names): names
    for names in (
        _OPENPOSE_15,
        MPII_16.keypoint_names,
        COCO_17.keypoint_names,
        _OPENPOSE_18,
        _BODY_25,
        _HALPE_26,
    )
}
# Where the poses of an image are: of OpenPose, of OpenPose before 1.1, of AlphaPose's --format cmu.
_POSES = (("people", "pose_keypoints_2d"), ("people", "pose_keypoints"), ("bodies", "joints"))


def find_openpose(source: Source) -> list[Path]:
    """The JSON files of OpenPose, one per image."""
    documents = [(path, source.json(path)) for path in source.of(".json")]
    return [path for path, one in documents if _poses(one) is not None and not _is_alphapose(one)]


def _poses(document: Any) -> list[Any] | None:
    """The flat lists x, y, score of the people of an image; None for any other document."""
    for people, pose in _POSES:
        entries = document.get(people) if has_keys(document, people, "version") else None
        if isinstance(entries, list) and all(has_keys(one, pose) for one in entries):
            return [one[pose] for one in entries if one[pose]]
    return None


def _is_alphapose(document: Any) -> bool:
    return "bodies" in document or str(document["version"]).startswith("AlphaPose")


def read_openpose(source: Source, files: list[Path]) -> Labels:
    """Read a file per image; if no coordinate is above 1, they are fractions (OpenPose's keypoint_scale 3).

    Raises:
        AnnotationError: coordinates from -1 to 1 (keypoint_scale 4).
    """
    labels = Labels(str(source.path), source.folder)
    for path in files:
        with reading(str(path), "a file of OpenPose"):
            labels.images.append(_image(_name(source, path), _poses(source.json(path)) or [], labels))
    spots = [value for person in labels.people() for point in person.marked() for value in point[:2]]
    if spots and max(spots) <= 1:
        labels.unit = "fraction"
    if spots and min(spots) < 0 and max(map(abs, spots)) <= 1:
        raise AnnotationError(f"{source.path}: has coordinates from -1 to 1; run OpenPose with --keypoint_scale 0")
    return labels


def _name(source: Source, path: Path) -> str:
    return path.relative_to(source.folder).with_name(path.stem.removesuffix("_keypoints")).as_posix()


def _image(name: str, poses: list[Any], labels: Labels) -> LabeledImage:
    return LabeledImage(name, [_person(flat, labels) for flat in poses])


def find_results(source: Source) -> list[Path]:
    """The JSON files that list people with image_id, keypoints and score, or those of AlphaPose's other formats.

    Of these the ones that hold all images, if there are any: AlphaPose writes each image into a file of its own too.
    """
    lists = source.json_lists("image_id", "keypoints", "score")
    documents = [(path, source.json(path)) for path in source.of(".json")]
    whole = [path for path, one in documents if _poses_by_name(one)]
    single = [path for path, one in documents if _poses(one) is not None and _is_alphapose(one)]
    return lists + (whole or single)


def _poses_by_name(document: Any) -> dict[str, list[Any]] | None:
    """The poses of each image of AlphaPose's --format cmu or open; None for any other document."""
    found = {name: _poses(one) for name, one in document.items()} if isinstance(document, dict) else {}
    return {name: poses or [] for name, poses in found.items()} if found and None not in found.values() else None


def read_results(source: Source, files: list[Path]) -> Labels:
    """Read AlphaPose's results, COCO results, and `poses.json` of `rsn predict`.

    An image is named by `file_name`, or else by `image_id`, which is a name, or a number in it. Such files do not list
    images without people.
    """
    labels = Labels(str(source.path), source.folder)
    images: dict[str, LabeledImage] = {}
    for path in files:
        document = source.json(path)
        if isinstance(document, dict):
            with reading(str(path), "a file of AlphaPose"):
                by_name = _poses_by_name(document) or {_name(source, path): _poses(document) or []}
                images |= {name: _image(Path(name).name, poses, labels) for name, poses in by_name.items()}
            continue
        for number, entry in enumerate(document, 1):
            with reading(f"{path}: result {number}", "a result with image_id, keypoints and score"):
                name = str(entry.get("file_name") or entry["image_id"]).replace("\\", "/")
                person = _person(entry["keypoints"], labels, entry.get("keypoint_names"))
                x, y, width, height = (float(value) for value in entry.get("bbox") or entry.get("box") or [0] * 4)
                person.box = (x, y, width, height) if width > 0 and height > 0 else None
                person.extra = {"score": float(entry["score"])}
                track = normalize_id(entry.get("track_id", entry.get("idx")))
                person.extra |= {"track_id": track} if isinstance(track, int) else {}
                images.setdefault(name, LabeledImage(name)).people.append(person)
    labels.images = list(images.values())
    paths = [Path(name).absolute() for name in images]
    if all(path.is_file() for path in paths):  # as `rsn predict` was given them
        labels.folder = Path(commonpath([path.parent for path in paths]))
        for image, path in zip(labels.images, paths, strict=True):
            image.name = path.relative_to(labels.folder).as_posix()
    return labels


def _person(flat: Any, labels: Labels, names: Sequence[str] | None = None) -> LabeledPerson:
    """A person from x, y, score of each keypoint; names are by default those of that many keypoints."""
    numbers = [float(value) for value in flat]
    triples = list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))
    default = _NAMES.get(len(triples)) or [f"keypoint_{number}" for number in range(1, len(triples) + 1)]
    labels.keypoint_names = labels.keypoint_names or list(names or default)
    found = list(zip(labels.keypoint_names, triples, strict=True))
    points = {name: (x, y, 2) for name, (x, y, score) in found if score > 0}
    return LabeledPerson(points, keypoint_scores={name: score for name, (_, _, score) in found})


def image_from_result(name: str, result: PoseResult, threshold: float) -> LabeledImage:
    """The people that a model found in an image.

    Keypoints with a score below the threshold, or outside the image, are unknown (-1); others are visible (2).
    """
    names = result.skeleton.keypoint_names
    height, width = result.image_size
    image = LabeledImage(name, size=(width, height))
    for person in result:
        marked = list(zip(names, person.keypoints.tolist(), person.scores.tolist(), strict=True))
        x, y, w, h = person.bbox.tolist()
        image.people.append(
            LabeledPerson(
                {
                    name: (
                        x,
                        y,
                        2 if score >= threshold and 0 <= x < width and 0 <= y < height else NOT_ANNOTATED,
                    )
                    for name, (x, y), score in marked
                },
                (x, y, w, h),
                keypoint_scores={name: score for name, _, score in marked},
                extra={"score": round(person.score, 6)},
            )
        )
    return image
