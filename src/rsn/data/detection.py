"""Images with the boxes of their people, for training a person detector."""

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
from rsn.data.image_files import locate_images
from rsn.data.loading import Batch, SampleIndex, crop_params, read_for_crop, to_tensor
from rsn.data.references import References
from rsn.data.values import image_size, is_crowd
from rsn.errors import AnnotationError
from rsn.geometry import Crop, FloatArray, Region
from rsn.io.images import DOWNSCALES
from rsn.io.validation import read_json

# A person counts if this fraction of the box is in the crop, and a side has this length there; otherwise the region is
# ignored.
MIN_VISIBLE = 0.35
MIN_SIDE = 6.0  # input pixels
_PER_BOX = ("corners", "present", "ignored")  # labels with a row per person or region


@dataclass(frozen=True, eq=False)
class DetectionSample:
    """An image and its people.

    size: (height, width). people: (M, 4), crowds: (R, 4) x, y, width, height in image pixels. complete: whether every
    person in the image is annotated. unlabeled: weight of negatives away from the annotated people, 1 if complete.
    """

    path: Path
    size: tuple[int, int]
    people: FloatArray
    crowds: FloatArray
    complete: bool
    unlabeled: float


@dataclass(frozen=True)
class DetectionAugmentation:
    """How training crops vary.

    scale: range of the crop's longer side as a fraction of the image's.
    mosaic_probability: of a crop whose quadrants show four images (Bochkovskiy et al., *YOLOv4*, 2020).
    color_jitter: as in `Augmentation`.
    """

    scale: tuple[float, float] = (0.4, 1.2)
    flip_probability: float = 0.5
    mosaic_probability: float = 0.0
    color_jitter: float = 0.0


@dataclass(frozen=True, eq=False)
class DetectionView:
    """The content of a training crop or of one of its quadrants; colors are from `sample_color_factors`."""

    sample: DetectionSample
    crop: Crop
    colors: NDArray[np.float32]

    def labels(self) -> Batch:
        """The labels without batch axis, see `DetectionCropDataset`."""
        corners, visible = crop_boxes(self.sample.people, self.crop)
        crowds, _ = crop_boxes(self.sample.crowds, self.crop)
        return {
            "corners": _to_tensor(corners[visible]),
            "present": torch.ones(int(visible.sum()), dtype=torch.bool),
            "ignored": _to_tensor(np.concatenate([corners[~visible], crowds])),
            "unlabeled": torch.tensor(self.sample.unlabeled),
        }

    def pixels(self) -> Tensor:
        """The pixels, (3, H, W) uint8."""
        image, crop = read_for_crop(self.crop, self.sample.path)
        return to_tensor(crop.warp_antialiased(image), self.colors)


def read_detection_samples(annotations: Path, images: Path, *, unlabeled: float = 0.1) -> list[DetectionSample]:
    """Read a COCO file; every box counts, with or without keypoints.

    `annotations_complete` of an image says whether every person in it is annotated; the default is false. unlabeled:
    of the images where it is false, see `DetectionSample`.

    Raises:
        AnnotationError: the file is missing or has no images and boxes.
    """
    document = read_json(annotations)
    try:
        listed = document["images"]
        names = [str(image["file_name"]) for image in listed]
        references = References([image["id"] for image in listed], names)
        people: list[list[list[float]]] = [[] for _ in listed]
        crowds: list[list[list[float]]] = [[] for _ in listed]
        for entry in document["annotations"]:
            index = references.by_id(entry["image_id"])
            if index is None:
                raise ValueError(f"image {entry['image_id']!r} is not listed")
            (crowds if is_crowd(entry.get("iscrowd")) else people)[index].append(entry["bbox"])
        paths = locate_images(names, images).paths
        samples = []
        for image, path, boxes, regions in zip(listed, paths, people, crowds, strict=True):
            complete = bool(image.get("annotations_complete"))
            weight = 1.0 if complete else unlabeled
            samples.append(DetectionSample(path, _size(image), _rows(boxes), _rows(regions), complete, weight))
        return samples
    except AnnotationError as error:  # several images match an id
        raise AnnotationError(f"{annotations}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"{annotations}: not COCO annotations with boxes ({error!r})") from error


class DetectionCropDataset(Dataset[Batch]):
    """Crops of whole images; `crops[SampleIndex(epoch, image)]` is one, without batch axis.

    The images of a mosaic have the same `unlabeled`. A batch has

    image: (N, 3, H, W) uint8 RGB; with `image_indices` instead what `crop_params` returns, (N, 4, ...), for the
        quadrants of each crop in reading order, for `warp_quadrants`.
    corners: (N, M, 4) left, top, right, bottom in input pixels, where `present` (N, M). ignored: (N, R, 4), empty rows
        at the end. unlabeled: (N,), see `DetectionSample`.
    """

    def __init__(
        self,
        images: Sequence[DetectionSample],
        size: tuple[int, int],
        augmentation: DetectionAugmentation,
        image_indices: Mapping[Path, int] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.images = images
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self.image_indices = image_indices
        self.alike: dict[float, list[DetectionSample]] = {}
        for image in images:
            self.alike.setdefault(image.unlabeled, []).append(image)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, sample: SampleIndex) -> Batch:
        image = self.images[sample.index]
        random = np.random.default_rng((self.seed, sample.epoch, sample.index))
        size = sample.size or self.size
        if random.random() >= self.augmentation.mosaic_probability:
            return self._batch([self._view(image, size, random)])
        others = self.alike[image.unlabeled]
        images = [image, *(others[index] for index in random.integers(len(others), size=3))]
        quadrant = (size[0] // 2, size[1] // 2)
        return self._batch([self._view(one, quadrant, random) for one in images])

    def _view(self, image: DetectionSample, size: tuple[int, int], random: np.random.Generator) -> DetectionView:
        crop = sample_crop(image.size, size, self.augmentation, random)
        return DetectionView(image, crop, sample_color_factors(self.augmentation.color_jitter, random))

    def _batch(self, views: list[DetectionView]) -> Batch:
        """The crop that shows one view, or four as its quadrants in reading order."""
        labels = join_labels(views)
        if self.image_indices is None:
            return labels | {"image": join_quadrants([view.pixels() for view in views])}
        if len(views) == 1:
            views = [replace(views[0], crop=part) for part in split_quadrants(views[0].crop)]
        params = [
            crop_params(view.sample.path, view.crop, view.colors, self.image_indices, levels=len(DOWNSCALES))
            for view in views
        ]
        return labels | {name: torch.stack([one[name] for one in params]) for name in params[0]}


def split_quadrants(crop: Crop) -> list[Crop]:
    """The quadrants of a crop in reading order; both sides of the input must be even."""
    height, width = crop.size[0] // 2, crop.size[1] // 2
    quadrants = []
    for x, y in ((0, 0), (width, 0), (0, height), (width, height)):
        matrix = crop.matrix.copy()
        matrix[:, 2] -= (x, y)
        quadrants.append(Crop(matrix, (height, width)))
    return quadrants


def join_quadrants(images: Sequence[Tensor]) -> Tensor:
    """One image (..., H, W) unchanged, or four as the quadrants, in reading order, of one of twice the size."""
    if len(images) == 1:
        return images[0]
    return torch.cat([torch.cat(list(images[:2]), -1), torch.cat(list(images[2:]), -1)], -2)


def join_labels(views: Sequence[DetectionView]) -> Batch:
    """The labels of a crop that shows one view, or four as its quadrants; without batch axis."""
    labels = [view.labels() for view in views]
    if len(views) == 1:
        return labels[0]
    height, width = views[0].crop.size
    for part, (x, y) in zip(labels, ((0, 0), (width, 0), (0, height), (width, height)), strict=True):
        for name in ("corners", "ignored"):
            part[name] += torch.tensor([x, y, x, y])
    joined = {name: torch.cat([part[name] for part in labels]) for name in _PER_BOX}
    return joined | {"unlabeled": labels[0]["unlabeled"]}


def collate(crops: Sequence[Batch]) -> Batch:
    """Combine crops with different numbers of people to a batch, padded with zeros."""

    def stack(name: str) -> Tensor:
        rows = [crop[name] for crop in crops]
        if name in _PER_BOX:
            longest = max(1, *map(len, rows))
            rows = [torch.cat([row, row.new_zeros(longest - len(row), *row.shape[1:])]) for row in rows]
        return torch.stack(rows)

    return {name: stack(name) for name in crops[0]}


def sample_crop(
    image_size: tuple[int, int],
    size: tuple[int, int],
    settings: DetectionAugmentation,
    random: np.random.Generator,
) -> Crop:
    """Sample the part of an image that a training crop shows; sizes are (height, width)."""
    height, width = image_size
    whole = Region.from_box([0, 0, width, height]).fit_aspect(size)
    scale = random.uniform(*settings.scale)
    region = whole.scaled(scale, scale)
    # The crop is inside the image, or the image inside the crop.
    slack = np.abs(np.subtract((width, height), region.extent)) / 2
    x, y = np.add(whole.center, random.uniform(-1, 1, 2) * slack)
    crop = Crop.from_region(Region((float(x), float(y)), region.extent), size)
    return crop.flipped() if random.random() < settings.flip_probability else crop


def crop_boxes(boxes: FloatArray, crop: Crop) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Boxes (M, 4) x, y, width, height in image pixels -> their parts in an upright crop.

    Returns (M, 4) left, top, right, bottom in input pixels, clipped at the border, and (M,) whether enough is visible.
    """
    ends = crop.to_input(np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1))
    low, high = ends.min(1), ends.max(1)  # flipped crops exchange left and right
    height, width = crop.size
    inside = np.hstack([np.clip(low, 0, (width, height)), np.clip(high, 0, (width, height))])
    extents = inside[:, 2:] - inside[:, :2]
    visible = extents.prod(1) / np.maximum((high - low).prod(1), 1e-9)
    return inside, (visible >= MIN_VISIBLE) & (extents.max(1, initial=0.0) >= MIN_SIDE)


def _size(image: dict[str, Any]) -> tuple[int, int]:
    size = image_size(image)
    if size is None:
        raise ValueError(f"image {image['id']!r} has no width and height in pixels")
    return int(size[1]), int(size[0])


def _rows(boxes: list[list[float]]) -> FloatArray:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _to_tensor(rows: FloatArray) -> Tensor:
    return torch.from_numpy(rows.astype(np.float32))
