"""Where the people of a photo are: in a file of boxes, where a detector finds them, or the photo as a whole."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.crops import Image
from rsn.datasets.coco import read_json
from rsn.errors import AnnotationError

# Boxes (N, 4) x, y, width, height in image pixels, and their scores (N,), of a photo at a path.
Boxes = tuple[NDArray[np.float64], NDArray[np.float64]]
BoxSource = Callable[[Path, Image], Boxes]


def whole_image(path: Path, image: Image) -> Boxes:
    """One box, the image itself: for a photo of one person that fills it."""
    height, width = image.shape[:2]
    return np.array([[0.0, 0.0, width, height]]), np.ones(1)


def detected(detector: Callable[[Image], Boxes]) -> BoxSource:
    """Boxes as a detector finds them."""
    return lambda path, image: detector(image)


@dataclass(frozen=True)
class BoxFile:
    """Boxes by image, as a file has them. Called with a photo's path it looks the boxes up by file name.

    A photo counts as named by its file name, or by a number that its name ends in without the suffix, as in COCO
    (000000000139.jpg is image 139).
    """

    path: Path
    by_image: dict[str, list[list[float]]]  # x, y, width, height, score
    left_out: Counter[str] = field(default_factory=Counter)  # how many boxes, by reason

    @classmethod
    def read(cls, path: Path, *, category_id: int | str | None = None) -> "BoxFile":
        """Read boxes in any of three forms, all JSON.

        - {"photo.jpg": [[x, y, width, height], [x, y, width, height, score], ...], ...}
        - COCO detection results: [{"image_id": ..., "bbox": [...], "score": ...}, ...]
        - COCO annotations: {"images": [...], "annotations": [...]}, crowds left out

        With `category_id`, boxes of other categories are left out; those that name none stay.

        Raises:
            AnnotationError: a file that is missing or in none of the forms.
        """
        document = read_json(path)
        try:
            left_out: Counter[str] = Counter()
            return cls(path, _boxes_in(document, category_id, left_out), left_out)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise AnnotationError(
                f"{path}: not a file of boxes ({error!r}); write"
                ' {"photo.jpg": [[x, y, width, height], ...]} or COCO detections'
            ) from error

    def __len__(self) -> int:
        return sum(map(len, self.by_image.values()))

    def __call__(self, path: Path, image: Image) -> Boxes:
        """The boxes of one photo; an AnnotationError where the file does not name it."""
        found = self.of_image(path.name)
        if found is None:
            raise AnnotationError(
                f"{path}: {self.path} has no boxes for it; an empty list says nobody is there"
            )
        return found

    def of_image(self, *names: str | int) -> Boxes | None:
        """The boxes of the image that goes by one of these file names or ids; None where none is listed."""
        for name in names:
            for key in (str(name), _number(str(name))):
                if key in self.by_image:
                    return _as_arrays(self.by_image[key])
        return None


def _boxes_in(
    document: Any, category_id: int | str | None, left_out: Counter[str]
) -> dict[str, list[list[float]]]:
    """Boxes by image id or file name; what is left out is counted."""
    boxes: dict[str, list[list[float]]]
    if isinstance(document, list):
        boxes = {str(entry["image_id"]): [] for entry in document}
        for entry in _of_category(document, category_id, left_out):
            boxes[str(entry["image_id"])].append(_row([*_row(entry["bbox"])[:4], entry["score"]]))
        return boxes
    if "annotations" not in document:
        return {name: [_row(box) for box in listed] for name, listed in document.items()}
    names = {image["id"]: image["file_name"] for image in document["images"]}
    boxes = {name: [] for name in names.values()}
    for entry in _of_category(document["annotations"], category_id, left_out):
        if entry.get("iscrowd"):
            left_out["of a crowd"] += 1
        else:
            boxes[names[entry["image_id"]]].append(_row(entry["bbox"]))
    return boxes


def _of_category(
    entries: list[dict[str, Any]], category_id: int | str | None, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    for entry in entries:
        if category_id is None or entry.get("category_id", category_id) == category_id:
            yield entry
        else:
            left_out["of another category"] += 1


def _row(box: list[float]) -> list[float]:
    if not isinstance(box, list) or len(box) not in (4, 5):
        raise ValueError(f"a box has four numbers and maybe a score, not {box}")
    return [float(value) for value in (*box, 1.0)[:5]]


def _as_arrays(rows: list[list[float]]) -> Boxes:
    table = np.asarray(rows, np.float64).reshape(-1, 5)
    return table[:, :4], table[:, 4]


def _number(name: str) -> str:
    stem = Path(name).stem
    return str(int(stem)) if stem.isdecimal() else name
