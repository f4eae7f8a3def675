"""Whole pictures with the boxes of the people in them, to train a detector on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from rsn.crops import SHRINKS, Crop, FloatArray, Region
from rsn.datasets.augment import draw_colours
from rsn.datasets.coco import read_json
from rsn.datasets.extents import image_size
from rsn.datasets.image_files import locate_images
from rsn.datasets.loading import Batch, Draw, as_tensor, plan, read_for
from rsn.datasets.records import is_crowd
from rsn.datasets.references import References
from rsn.errors import AnnotationError

LEAST_VISIBLE = (
    0.35  # share of a box that must be in the crop; less of a person is neither somebody nor nobody
)
SMALLEST = 6.0  # pixels of the input; likewise
_OF_EACH = ("corners", "present", "ignored")  # of each person or region
BOX_LABELS = (*_OF_EACH, "complete")


@dataclass(frozen=True, eq=False)
class BoxedImage:
    """A picture and who is in it.

    size: (height, width). people: (M, 4), crowds: (R, 4) x, y, width, height in image pixels. complete: whether
    everybody is labelled.
    """

    path: Path
    size: tuple[int, int]
    people: FloatArray
    crowds: FloatArray
    complete: bool


@dataclass(frozen=True)
class Framing:
    """How a training crop differs from the whole picture.

    scale: part of the picture's longer side that the crop's side shows, drawn evenly between the two.
    mosaic_probability: of a crop whose quarters show four pictures, which few pictures make many crops of
    (Bochkovskiy et al., *YOLOv4*, 2020). colour: as in `Augmentation`.
    """

    scale: tuple[float, float] = (0.4, 1.2)
    mirror_probability: float = 0.5
    mosaic_probability: float = 0.0
    colour: float = 0.0


@dataclass(frozen=True, eq=False)
class View:
    """What a training crop shows, or a quarter of one: a crop of a picture, with colours from `draw_colours`."""

    picture: BoxedImage
    crop: Crop
    colours: NDArray[np.float32]

    def labels(self) -> Batch:
        """Who is in it, without batch axis; see `BoxCrops`."""
        corners, seen = cropped(self.picture.people, self.crop)
        crowds, _ = cropped(self.picture.crowds, self.crop)
        return {
            "corners": _tensor(corners[seen]),
            "present": torch.ones(int(seen.sum()), dtype=torch.bool),
            "ignored": _tensor(np.concatenate([corners[~seen], crowds])),
            "complete": torch.tensor(self.picture.complete),
        }


def read_boxed(annotations: Path, images: Path) -> list[BoxedImage]:
    """Read a COCO file; every box counts, with joints or without.

    An image's `annotations_complete` says whether everybody in it is labelled; by default that is not taken for
    granted.

    Raises:
        AnnotationError: a file that is missing or has no images and boxes.
    """
    document = read_json(annotations)
    try:
        listed = document["images"]
        names = [str(image["file_name"]) for image in listed]
        references = References([image["id"] for image in listed], names)
        people: list[list[list[float]]] = [[] for _ in listed]
        crowds: list[list[list[float]]] = [[] for _ in listed]
        for entry in document["annotations"]:
            place = references.by_id(entry["image_id"])
            if place is None:
                raise ValueError(f"image {entry['image_id']!r} is not listed")
            (crowds if is_crowd(entry.get("iscrowd")) else people)[place].append(entry["bbox"])
        return [
            BoxedImage(
                path,
                _size(image),
                _rows(people[place]),
                _rows(crowds[place]),
                bool(image.get("annotations_complete", False)),
            )
            for place, (image, path) in enumerate(
                zip(listed, locate_images(names, images).paths, strict=True)
            )
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"{annotations}: not COCO annotations with boxes ({error!r})") from error


class BoxCrops(Dataset[Batch]):
    """Crops of whole pictures, square to oblong as the input is; `crops[Draw(epoch, image)]`, without batch axis.

    The pictures of a mosaic are of one kind: either everybody is labelled in all of them, or in none. A batch has

    image: (N, 3, H, W) uint8 RGB; with `numbers` instead what `plan` gives, (N, 4, ...), of the quarters of each crop
        in reading order, for crops that are cut on the device.
    corners: (N, M, 4) left, top, right, bottom in input pixels, where `present` (N, M). ignored: (N, R, 4), empty rows
        at the end. complete: (N,).
    """

    def __init__(
        self,
        images: Sequence[BoxedImage],
        size: tuple[int, int],
        framing: Framing,
        numbers: Mapping[Path, int] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.images = images
        self.size = size
        self.framing = framing
        self.seed = seed
        self.numbers = numbers
        self.alike = {kind: [image for image in images if image.complete is kind] for kind in (False, True)}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: Draw) -> Batch:
        image = self.images[draw.person]
        random = np.random.default_rng((self.seed, draw.epoch, draw.person))
        if random.random() >= self.framing.mosaic_probability:
            return self._shown([self._view(image, self.size, random)])
        alike = self.alike[image.complete]
        pictures = [image, *(alike[number] for number in random.integers(len(alike), size=3))]
        quarter = (self.size[0] // 2, self.size[1] // 2)
        return self._shown([self._view(picture, quarter, random) for picture in pictures])

    def _shown(self, views: list[View]) -> Batch:
        """The crop that shows one view, or four as its quarters, in reading order."""
        if self.numbers is None:
            return labels_of(views) | {"image": in_quarters([_cut(view) for view in views])}
        whole = views[0]
        parts = views if len(views) > 1 else [replace(whole, crop=part) for part in whole.crop.quarters()]
        plans = [
            plan(part.picture.path, part.crop, part.colours, self.numbers, levels=len(SHRINKS))
            for part in parts
        ]
        return labels_of(views) | {name: torch.stack([one[name] for one in plans]) for name in plans[0]}

    def _view(self, image: BoxedImage, size: tuple[int, int], random: np.random.Generator) -> View:
        crop = frame(image.size, size, self.framing, random)
        return View(image, crop, draw_colours(self.framing.colour, random))


def _cut(view: View) -> Tensor:
    picture, crop = read_for(view.crop, view.picture.path)
    return as_tensor(crop.cut_small(picture), view.colours)


def in_quarters(images: Sequence[Tensor]) -> Tensor:
    """One image (..., H, W) as it is, or four as the quarters of one of twice the size, in reading order."""
    if len(images) == 1:
        return images[0]
    return torch.cat([torch.cat(list(images[:2]), -1), torch.cat(list(images[2:]), -1)], -2)


def labels_of(views: Sequence[View]) -> Batch:
    """Who is in the crop that shows one view, or four as its quarters; without batch axis."""
    labels = [view.labels() for view in views]
    if len(views) == 1:
        return labels[0]
    height, width = views[0].crop.size
    for part, (x, y) in zip(labels, ((0, 0), (width, 0), (0, height), (width, height)), strict=True):
        for name in ("corners", "ignored"):
            part[name] += torch.tensor([x, y, x, y])
    joined = {name: torch.cat([part[name] for part in labels]) for name in _OF_EACH}
    return joined | {"complete": labels[0]["complete"]}


def collate(crops: Sequence[Batch]) -> Batch:
    """Crops with different numbers of people as one batch; of all else they have equally much."""

    def stacked(name: str) -> Tensor:
        rows = [crop[name] for crop in crops]
        if name in _OF_EACH:
            longest = max(1, *map(len, rows))
            rows = [torch.cat([row, row.new_zeros(longest - len(row), *row.shape[1:])]) for row in rows]
        return torch.stack(rows)

    return {name: stacked(name) for name in crops[0]}


def frame(
    image_size: tuple[int, int], size: tuple[int, int], settings: Framing, random: np.random.Generator
) -> Crop:
    """Draw the part of a picture that a training crop shows; sizes are (height, width)."""
    height, width = image_size
    whole = Region.of_box([0, 0, width, height]).fitted(size)
    scale = random.uniform(*settings.scale)
    region = whole.grown(scale, scale)
    slack = (
        np.abs(np.subtract((width, height), region.extent)) / 2
    )  # the crop stays in the picture, or around it
    x, y = np.add(whole.center, random.uniform(-1, 1, 2) * slack)
    crop = Crop.of_region(Region((float(x), float(y)), region.extent), size)
    return crop.mirrored() if random.random() < settings.mirror_probability else crop


def cropped(boxes: FloatArray, crop: Crop) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Boxes (M, 4) x, y, width, height in image pixels -> what of them is in an upright crop.

    Returns (M, 4) left, top, right, bottom in input pixels, cut at the border, and (M,) whether enough of it is there.
    """
    ends = crop.to_input(np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1))
    low, high = ends.min(1), ends.max(1)  # mirrored crops exchange left and right
    height, width = crop.size
    inside = np.hstack([np.clip(low, 0, (width, height)), np.clip(high, 0, (width, height))])
    extents = inside[:, 2:] - inside[:, :2]
    visible = extents.prod(1) / np.maximum((high - low).prod(1), 1e-9)
    return inside, (visible >= LEAST_VISIBLE) & (extents.max(1, initial=0.0) >= SMALLEST)


def _size(image: dict[str, Any]) -> tuple[int, int]:
    size = image_size(image)
    if size is None:
        raise ValueError(f"image {image['id']!r} has no width and height in pixels")
    return int(size[1]), int(size[0])


def _rows(boxes: list[list[float]]) -> FloatArray:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _tensor(rows: FloatArray) -> Tensor:
    return torch.from_numpy(rows.astype(np.float32))
