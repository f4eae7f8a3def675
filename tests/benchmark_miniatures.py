"""Small files in the official formats of the benchmarks, of made-up people; results for them, and their images.

The files need only numpy, so that scripts/record_benchmark_metrics.py makes the same ones where the field's evaluators
are installed. Every file has occluded and unlabeled keypoints, people without any keypoint, crowds where the format
knows them, people who are missed or found several times, false positives, equal scores, and an image with more than
20 results, of which COCO's evaluators take the best 20.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Entry = dict[str, Any]

WIDTH, HEIGHT = 320, 240  # pixels of every image
COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
CROWDPOSE_NAMES = (*COCO_NAMES[5:], "head", "neck")
# The fields of COCO-WholeBody, and their number of keypoints.
WHOLEBODY_FIELDS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
SCENARIOS = ("cartoon", "mural", "dance")


@dataclass(frozen=True)
class Miniature:
    """annotations: the parsed file. results: as the benchmark's evaluator takes them."""

    annotations: Any
    results: list[Entry]


@dataclass(frozen=True)
class _Person:
    """box: x, y, width, height; keypoints: (K, 3) with COCO's visibility."""

    image: int
    box: list[float]
    keypoints: NDArray[np.float64]
    crowd: bool


def _people(rng: np.random.Generator, count: int, *, images: int = 10, crowds: bool = True) -> list[_Person]:
    """People of all sizes; the last image has 22 of them."""
    people = []
    for image in range(1, images + 1):
        for _ in range(22 if image == images else int(rng.integers(0, 5))):
            size = np.exp(rng.uniform(np.log((12, 16)), np.log((220, 230))))
            corner = rng.uniform((0, 0), np.subtract((WIDTH, HEIGHT), size))
            keypoints = rng.uniform(corner, corner + size, (count, 2)).round(2)
            visibility = rng.integers(0, 3, count) * (rng.random() < 0.85)
            crowd = crowds and rng.random() < 0.05
            box = [round(float(value), 2) for value in (*corner, *size)]
            people.append(
                _Person(image, box, np.column_stack([keypoints * (visibility > 0)[:, None], visibility]), crowd)
            )
    return people


def _guess(rng: np.random.Generator, person: _Person, spread: float = 0.08) -> NDArray[np.float64]:
    """Keypoints (K, 3) with scores, up to about `spread` of the person's size off; all keypoints are predicted."""
    size = (person.box[2] * person.box[3]) ** 0.5
    points = np.where(
        person.keypoints[:, 2:] > 0,
        person.keypoints[:, :2],
        rng.uniform(person.box[:2], np.add(person.box[:2], person.box[2:]), (len(person.keypoints), 2)),
    )
    points = points + rng.normal(0, rng.uniform(0, spread) * size, points.shape)
    return np.column_stack([points, rng.uniform(0.1, 1, len(points))]).round(2)


def _results(rng: np.random.Generator, people: Sequence[_Person]) -> list[Entry]:
    """Each person is missed, found, or found two or three times, with many equal scores; and some false positives."""
    found = []
    for person in people:
        for _ in range(int(rng.integers(0, 4)) if person.image < 10 else 1):
            found.append((person.image, _guess(rng, person)))
        if rng.random() < 0.1:
            moved = person.keypoints + np.array([*rng.uniform(20, 60, 2), 0])
            found.append((person.image, _guess(rng, _Person(person.image, person.box, moved, False))))
    order = rng.permutation(len(found))
    return [
        {
            "image_id": found[index][0],
            "category_id": 1,
            "keypoints": found[index][1].ravel().tolist(),
            "score": round(float(rng.random()), 1),
        }
        for index in order
    ]


def _images(count: int = 10) -> list[Entry]:
    return [{"id": n, "file_name": f"{n:06d}.png", "width": WIDTH, "height": HEIGHT} for n in range(1, count + 1)]


def _annotation(number: int, person: _Person) -> Entry:
    return {
        "id": number,
        "image_id": person.image,
        "category_id": 1,
        "iscrowd": int(person.crowd),
        "bbox": person.box,
        "area": round(0.6 * person.box[2] * person.box[3], 3),
        "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
        "keypoints": person.keypoints.ravel().tolist(),
    }


def _document(images: list[Entry], annotations: list[Entry], names: Sequence[str]) -> Entry:
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(names), "skeleton": [[1, 2]]}
    return {"images": images, "annotations": annotations, "categories": [category]}


def coco_form(seed: int = 1) -> Miniature:
    """The form of COCO, which OCHuman's val and test files have too."""
    rng = np.random.default_rng(seed)
    people = _people(rng, 17)
    annotations = [_annotation(number, person) for number, person in enumerate(people, 1)]
    return Miniature(_document(_images(), annotations, COCO_NAMES), _results(rng, people))


def humanart() -> Miniature:
    """Human-Art: COCO's form; every image has a category, the scenario."""
    made = coco_form(2)
    for number, image in enumerate(made.annotations["images"]):
        image["category"] = SCENARIOS[number % len(SCENARIOS)]
    for entry in made.annotations["annotations"]:
        entry |= {"keypoints_21": [0.0] * 63, "num_keypoints_21": 0, "self_contact": [], "annotator": 1}
    return made


def crowdpose() -> Miniature:
    """CrowdPose: crowdIndex of images, no areas, num_keypoints counts visible keypoints only."""
    rng = np.random.default_rng(3)
    people = _people(rng, 14, crowds=False)
    annotations = []
    for number, person in enumerate(people, 1):
        entry = _annotation(number, person)
        del entry["area"]
        if number % 7 == 0:  # all occluded, so that num_keypoints is 0
            entry["keypoints"][2::3] = [min(value, 1.0) for value in entry["keypoints"][2::3]]
        entry["num_keypoints"] = entry["keypoints"][2::3].count(2.0)
        annotations.append(entry)
    images = _images()
    for number, image in enumerate(images):
        image["crowdIndex"] = (0.0, 0.05, 0.2, 0.5, 0.79, 0.8, 0.95, 0.1, 0.3, 0.6)[number]
    return Miniature(_document(images, annotations, CROWDPOSE_NAMES), _results(rng, people))


def wholebody() -> Miniature:
    """COCO-WholeBody: five fields of keypoints with a validity flag each; num_keypoints counts the body's."""
    rng = np.random.default_rng(4)
    counts = list(WHOLEBODY_FIELDS.values())
    people = _people(rng, sum(counts))
    results = _results(rng, people)
    annotations = []
    for number, person in enumerate(people, 1):
        entry = _annotation(number, person)
        for (field, _), keypoints in zip(WHOLEBODY_FIELDS.items(), _split(person.keypoints, counts), strict=True):
            valid = field == "keypoints" or bool(rng.random() < 0.6)
            labels = [1, 1, 0.5] if field == "face_kpts" else [1, 1, 1]  # faces have labels above 0, also fractions
            entry[field] = (keypoints * labels * valid).ravel().tolist()
            if field != "keypoints":
                entry[field.replace("_kpts", "_valid")] = valid
        for part in ("face", "lefthand", "righthand"):
            entry[f"{part}_box"] = [0.0] * 4
        entry["num_keypoints"] = sum(value > 0 for value in entry["keypoints"][2::3])
        annotations.append(entry)
    for result in results:
        parts = _split(np.reshape(result["keypoints"], (-1, 3)), counts)
        result |= {field: part.ravel().tolist() for field, part in zip(WHOLEBODY_FIELDS, parts, strict=True)}
    return Miniature(_document(_images(), annotations, COCO_NAMES), results)


def aic() -> Miniature:
    """AI Challenger: people by name in every image, corners of boxes, visibility 1 visible, 2 occluded, 3 absent."""
    rng = np.random.default_rng(5)
    people = _people(rng, 14, crowds=False)
    results = _results(rng, people)
    visibility = np.array([3, 2, 1])
    entries = []
    for number in range(1, 11):
        of_image = {f"human{n}": one for n, one in enumerate((p for p in people if p.image == number), 1)}
        entries.append(
            {
                "image_id": f"{number:040x}",
                "keypoint_annotations": {
                    name: np.column_stack([one.keypoints[:, :2], visibility[one.keypoints[:, 2].astype(int)]])
                    .round(2)
                    .ravel()
                    .tolist()
                    for name, one in of_image.items()
                },
                "human_annotations": {
                    name: [*one.box[:2], one.box[0] + one.box[2], one.box[1] + one.box[3]]
                    for name, one in of_image.items()
                },
            }
        )
    for result in results:
        result["image_id"] = f"{result['image_id']:040x}"
    return Miniature(entries, results)


def ochuman_original() -> Miniature:
    """OCHuman's own file: 19 named keypoints (of which COCO's 17 count), masks, corners of boxes."""
    rng = np.random.default_rng(6)
    people = _people(rng, 17, crowds=False)
    results = _results(rng, people)
    shuffled = [*reversed(COCO_NAMES), "top_head", "neck"]
    images = []
    for image in _images():
        annotations = []
        for person in (one for one in people if one.image == image["id"]):
            # missing 0, visible 1, occluded by themselves 2, by others 3
            state = np.array([0, 3, rng.integers(1, 3)])[person.keypoints[:, 2].astype(int)]
            keypoints = np.column_stack([person.keypoints[:, :2], state])[::-1].ravel().tolist() + [0.0] * 6
            x, y, width, height = person.box
            annotations.append(
                {
                    "bbox": [x, y, x + width, y + height],
                    "keypoints": keypoints if rng.random() < 0.9 else None,
                    "segms": {"outer": [[0, 0, 1, 1]], "inner": []} if rng.random() < 0.9 else None,
                    "max_iou": 0.6,
                }
            )
        images.append(
            {
                "image_id": f"{image['id']:08d}",
                "file_name": image["file_name"],
                "width": WIDTH,
                "height": HEIGHT,
                "annotations": annotations,
            }
        )
    for result in results:
        result["image_id"] = f"{result['image_id']:08d}"
    states = {"missing": 0, "vis": 1, "self_occluded": 2, "others_occluded": 3}
    return Miniature({"keypoint_names": shuffled, "keypoint_visible": states, "images": images}, results)


def jhmdb() -> Miniature:
    """JHMDB as MMPose's files have it: COCO's form, pixels counted from 1; results with the box of the person."""
    rng = np.random.default_rng(7)
    people = [_person for _person in _people(rng, 15, images=12, crowds=False) if _person.keypoints[:, 2].any()]
    people[0].keypoints[[4, 5]] = [*people[0].box[:2], 2]  # a torso of length 0
    annotations, results = [], []
    for number, person in enumerate(people, 1):
        entry = _annotation(number, person)
        entry["bbox"] = [person.box[0] + 1, person.box[1] + 1, *person.box[2:]]
        entry["keypoints"] = (person.keypoints + np.array([1, 1, 0])).ravel().tolist()
        annotations.append(entry)
        guess = _guess(rng, person, spread=0.4)
        results.append({"image_id": person.image, "category_id": 1, "keypoints": guess.ravel().tolist(), "score": 1.0})
    document = _document(_images(12), annotations, ())
    del document["categories"][0]["keypoints"]
    return Miniature(document, results)


def _split(keypoints: NDArray[np.float64], counts: Sequence[int]) -> list[NDArray[np.float64]]:
    return np.split(keypoints, np.cumsum(counts)[:-1])


MINIATURES: dict[str, Callable[[], Miniature]] = {
    "coco": coco_form,
    "ochuman": coco_form,
    "ochuman_original": ochuman_original,
    "humanart": humanart,
    "crowdpose": crowdpose,
    "wholebody": wholebody,
    "aic": aic,
    "jhmdb": jhmdb,
}


def file_names(annotations: Any) -> list[str]:
    """The images of a file."""
    if isinstance(annotations, list):  # AI Challenger
        return [f"{image['image_id']}.jpg" for image in annotations]
    return [image["file_name"] for image in annotations["images"]]


def write_images(folder: Path, names: Sequence[str]) -> None:
    """Draw an image for each name."""
    import cv2

    for number, name in enumerate(names):
        canvas = np.random.default_rng(number).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
