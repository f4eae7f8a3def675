"""Whole images with the boxes of the people in them, to train a detector on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from rsn.data.augment import sample_color_factors
from rsn.data.box_values import image_size
from rsn.data.coco import read_json
from rsn.data.image_files import locate_images
from rsn.data.loading import Batch, SampleIndex, as_tensor, plan, read_for
from rsn.data.records import is_crowd
from rsn.data.references import References
from rsn.errors import AnnotationError
from rsn.geometry import DOWNSCALES, Crop, FloatArray, Region

LEAST_VISIBLE = (
    0.35  # share of a box that must be in the crop; less of a person is neither somebody nor nobody
)
SMALLEST = 6.0  # pixels of the input; likewise
_OF_EACH = ("corners", "present", "ignored")  # of each person or region
BOX_LABELS = (*_OF_EACH, "complete")


@dataclass(frozen=True, eq=False)
class DetectionSample:
    """An image and who is in it.

    size: (height, width). people: (M, 4), crowds: (R, 4) x, y, width, height in image pixels. complete: whether
    everybody is labeled.
    """

    path: Path
    size: tuple[int, int]
    people: FloatArray
    crowds: FloatArray
    complete: bool


@dataclass(frozen=True)
class DetectionAugmentation:
    """How a training crop differs from the whole image.

    scale: part of the image's longer side that the crop's side shows, drawn evenly between the two.
    mosaic_probability: of a crop whose quarters show four images, which few images make many crops of
    (Bochkovskiy et al., *YOLOv4*, 2020). color: as in `Augmentation`.
    """

    scale: tuple[float, float] = (0.4, 1.2)
    flip_probability: float = 0.5
    mosaic_probability: float = 0.0
    color_jitter: float = 0.0


@dataclass(frozen=True, eq=False)
class DetectionView:
    """What a training crop shows, or a quarter of one: a crop of an image, with colors from `sample_color_factors`."""

    sample: DetectionSample
    crop: Crop
    colors: NDArray[np.float32]

    def labels(self) -> Batch:
        """Who is in it, without batch axis; see `DetectionCropDataset`."""
        corners, seen = cropped(self.sample.people, self.crop)
        crowds, _ = cropped(self.sample.crowds, self.crop)
        return {
            "corners": _tensor(corners[seen]),
            "present": torch.ones(int(seen.sum()), dtype=torch.bool),
            "ignored": _tensor(np.concatenate([corners[~seen], crowds])),
            "complete": torch.tensor(self.sample.complete),
        }


def read_detection_samples(annotations: Path, images: Path) -> list[DetectionSample]:
    """Read a COCO file; every box counts, with keypoints or without.

    An image's `annotations_complete` says whether everybody in it is labeled; by default that is not taken for
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
            DetectionSample(
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


class DetectionCropDataset(Dataset[Batch]):
    """Crops of whole images, square to oblong as the input is; `crops[SampleIndex(epoch, image)]`, without batch axis.

    The images of a mosaic are of one kind: either everybody is labeled in all of them, or in none. A batch has

    image: (N, 3, H, W) uint8 RGB; with `numbers` instead what `plan` gives, (N, 4, ...), of the quarters of each crop
        in reading order, for crops that are cut on the device.
    corners: (N, M, 4) left, top, right, bottom in input pixels, where `present` (N, M). ignored: (N, R, 4), empty rows
        at the end. complete: (N,).
    """

    def __init__(
        self,
        images: Sequence[DetectionSample],
        size: tuple[int, int],
        detection_augmentation: DetectionAugmentation,
        numbers: Mapping[Path, int] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.images = images
        self.size = size
        self.detection_augmentation = detection_augmentation
        self.seed = seed
        self.numbers = numbers
        self.alike = {kind: [image for image in images if image.complete is kind] for kind in (False, True)}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: SampleIndex) -> Batch:
        image = self.images[draw.person]
        random = np.random.default_rng((self.seed, draw.epoch, draw.person))
        if random.random() >= self.detection_augmentation.mosaic_probability:
            return self._shown([self._view(image, self.size, random)])
        alike = self.alike[image.complete]
        images = [image, *(alike[number] for number in random.integers(len(alike), size=3))]
        quarter = (self.size[0] // 2, self.size[1] // 2)
        return self._shown([self._view(sample, quarter, random) for sample in images])

    def _shown(self, detection_views: list[DetectionView]) -> Batch:
        """The crop that shows one view, or four as its quarters, in reading order."""
        if self.numbers is None:
            return labels_of(detection_views) | {
                "image": in_quarters([_cut(detection_view) for detection_view in detection_views])
            }
        whole = detection_views[0]
        parts = (
            detection_views
            if len(detection_views) > 1
            else [replace(whole, crop=part) for part in whole.crop.split_quadrants()]
        )
        plans = [
            plan(part.sample.path, part.crop, part.colors, self.numbers, levels=len(DOWNSCALES))
            for part in parts
        ]
        return labels_of(detection_views) | {
            name: torch.stack([one[name] for one in plans]) for name in plans[0]
        }

    def _view(
        self, image: DetectionSample, size: tuple[int, int], random: np.random.Generator
    ) -> DetectionView:
        crop = frame(image.size, size, self.detection_augmentation, random)
        return DetectionView(
            image, crop, sample_color_factors(self.detection_augmentation.color_jitter, random)
        )


def _cut(detection_view: DetectionView) -> Tensor:
    sample, crop = read_for(detection_view.crop, detection_view.sample.path)
    return as_tensor(crop.warp_antialiased(sample), detection_view.colors)


def in_quarters(images: Sequence[Tensor]) -> Tensor:
    """One image (..., H, W) as it is, or four as the quarters of one of twice the size, in reading order."""
    if len(images) == 1:
        return images[0]
    return torch.cat([torch.cat(list(images[:2]), -1), torch.cat(list(images[2:]), -1)], -2)


def labels_of(detection_views: Sequence[DetectionView]) -> Batch:
    """Who is in the crop that shows one view, or four as its quarters; without batch axis."""
    labels = [detection_view.labels() for detection_view in detection_views]
    if len(detection_views) == 1:
        return labels[0]
    height, width = detection_views[0].crop.size
    for part, (x, y) in zip(labels, ((0, 0), (width, 0), (0, height), (width, height)), strict=True):
        for name in ("corners", "ignored"):
            part[name] += torch.tensor([x, y, x, y])
    concat = {name: torch.cat([part[name] for part in labels]) for name in _OF_EACH}
    return concat | {"complete": labels[0]["complete"]}


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
    image_size: tuple[int, int],
    size: tuple[int, int],
    settings: DetectionAugmentation,
    random: np.random.Generator,
) -> Crop:
    """Draw the part of an image that a training crop shows; sizes are (height, width)."""
    height, width = image_size
    whole = Region.from_box([0, 0, width, height]).fit_aspect(size)
    scale = random.uniform(*settings.scale)
    region = whole.scaled(scale, scale)
    slack = (
        np.abs(np.subtract((width, height), region.extent)) / 2
    )  # the crop stays in the image, or around it
    x, y = np.add(whole.center, random.uniform(-1, 1, 2) * slack)
    crop = Crop.from_region(Region((float(x), float(y)), region.extent), size)
    return crop.flipped() if random.random() < settings.flip_probability else crop


def cropped(boxes: FloatArray, crop: Crop) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Boxes (M, 4) x, y, width, height in image pixels -> what of them is in an upright crop.

    Returns (M, 4) left, top, right, bottom in input pixels, cut at the border, and (M,) whether enough of it is there.
    """
    ends = crop.to_input(np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1))
    low, high = ends.min(1), ends.max(1)  # flipped crops exchange left and right
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
