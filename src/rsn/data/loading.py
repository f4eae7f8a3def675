"""Training crops in batches. Each crop depends on (seed, epoch, person) alone, not on workers or restarts."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rsn.data.annotations import PoseDataset
from rsn.data.augment import (
    Augmentation,
    AugmentedCrop,
    apply_color_factors,
    apply_cutout,
    augment,
    sample_color_factors,
    sample_cutout,
)
from rsn.errors import ImageError
from rsn.geometry import Crop, Image
from rsn.io.images import DOWNSCALES, choose_downscale, read_image

NO_SUBSTITUTE = -1
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class SampleIndex:
    """A sample of a dataset, a person or for detectors an image, after it was drawn `epoch` times before.

    size: (height, width) of the crop, if not that of the dataset.
    """

    epoch: int
    index: int
    size: tuple[int, int] | None = None


class CropDataset(Dataset[Batch]):
    """Augmented crops of a dataset; `crops[SampleIndex(epoch, person)]` is one, without batch axis.

    If the image of a person cannot be read, the next person is the substitute. A batch has

    image: (N, 3, H, W) uint8 RGB; with `image_indices` instead what `crop_params` returns, for `DeviceImages.crop`.
    keypoints: (N, K, 2) float32 in input pixels. visibility: (N, K).
    unreadable: (N,) index of the person who has a substitute; else `NO_SUBSTITUTE`.
    """

    def __init__(
        self,
        dataset: PoseDataset,
        size: tuple[int, int],
        augmentation: Augmentation,
        image_indices: Mapping[Path, int] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.dataset = dataset
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self.image_indices = image_indices

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, sample: SampleIndex) -> Batch:
        for index in range(sample.index, sample.index + len(self)):
            unreadable = NO_SUBSTITUTE if index == sample.index else sample.index
            try:
                crop = self._crop(replace(sample, index=index % len(self)))
            except ImageError:
                continue
            return crop | {"unreadable": torch.tensor(unreadable)}
        raise ImageError("none of the images to train on can be read; check the folder of images")

    def _crop(self, sample: SampleIndex) -> Batch:
        augmented, colors, cutout = self._augment(sample)
        path = self.dataset.people[sample.index].image.path
        if self.image_indices is None:
            image, crop = read_for_crop(augmented.crop, path)
            pixels = {"image": to_tensor(crop.warp(image), colors, cutout)}
        else:
            pixels = crop_params(path, augmented.crop, colors, self.image_indices)
            pixels |= {"cutout": torch.from_numpy(cutout)}
        labels = {
            "keypoints": torch.from_numpy(augmented.keypoints),
            "visibility": torch.from_numpy(augmented.visibility),
        }
        return pixels | labels

    def _augment(self, sample: SampleIndex) -> tuple[AugmentedCrop, NDArray[np.float32], NDArray[np.float32]]:
        """The crop, and what `sample_color_factors` and `sample_cutout` return for it."""
        random = np.random.default_rng((self.seed, sample.epoch, sample.index))
        person, skeleton = self.dataset.people[sample.index], self.dataset.skeleton
        size, settings = sample.size or self.size, self.augmentation
        augmented = augment(person, skeleton, size, settings, random)
        colors = sample_color_factors(settings.color_jitter, random)
        return augmented, colors, sample_cutout(settings.cutout_probability, size, random)


def read_for_crop(crop: Crop, path: Path) -> tuple[Image, Crop]:
    """Read an image, downscaled as far as a crop of it allows, and adapt the crop. Saves time with large JPEGs.

    Raises:
        ImageError: it cannot be read.
    """
    factor = choose_downscale(crop.scale)
    return read_image(path, downscale=factor), crop.for_resized(factor, factor)


def to_tensor(pixels: Image, colors: NDArray[np.float32], cutout: NDArray[np.float32] | None = None) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W), changed by what `sample_color_factors` and `sample_cutout` returned."""
    if (colors != (1, 1, 1, 0)).any():
        pixels = apply_color_factors(pixels, colors)
    if cutout is not None:
        pixels = apply_cutout(pixels, cutout)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def crop_params(
    path: Path, crop: Crop, colors: NDArray[np.float32], image_indices: Mapping[Path, int], *, levels: int = 1
) -> Batch:
    """The arguments of `DeviceImages.crop` for one crop: image (), matrix (2, 3) and colors (4,).

    image_indices, levels: of the `DeviceImages`; of several levels, the one with about two pixels per pixel of the
    crop is used.

    Raises:
        ImageError: the image is not among them.
    """
    if path not in image_indices:
        raise ImageError(f"{path} could not be read")
    level = int(np.clip(round(np.log2(0.5 / crop.scale)), 0, levels - 1))
    factor = DOWNSCALES[level]
    return {
        "image": torch.tensor(image_indices[path] + level),
        "matrix": torch.from_numpy(crop.for_resized(factor, factor).matrix),
        "colors": torch.from_numpy(colors),
    }


@dataclass(frozen=True)
class Shard:
    """The share of every batch that one of several processes gets.

    A batch is cut into `parts`, which a process uses one after the other, and each part into pieces of equal size, of
    which the process gets the one with index `rank`.
    """

    rank: int = 0
    processes: int = 1
    parts: int = 1

    def split(self, batch: list[SampleIndex]) -> Iterator[list[SampleIndex]]:
        """The pieces of this process, one per part."""
        size = len(batch) // (self.processes * self.parts)
        for part in range(self.parts):
            start = (part * self.processes + self.rank) * size
            yield batch[start : start + size]


@dataclass(frozen=True)
class Interval:
    """What is drawn between two validations: batches of `batch_size` crops of `size` (height, width)."""

    batch_size: int
    size: tuple[int, int]


class ShuffledBatches(Sampler[list[SampleIndex]]):
    """Intervals of equally many batches over an endless sequence of shuffled passes.

    An interval always has the same samples, so that a run resumed at an interval continues as if it had not stopped,
    and so does every batch, on any number of processes and parts.

    weights: (N,), how often each sample is drawn in a pass, on average. After any number of passes the number of times
    is the weight times that number, rounded up or down at random, so all are drawn as evenly as possible.
    """

    def __init__(
        self,
        weights: Sequence[float] | NDArray[np.float64],
        intervals: Sequence[Interval],
        steps_per_interval: int,
        *,
        seed: int = 0,
        shard: Shard | None = None,
    ) -> None:
        self.shard = shard or Shard()
        self.weights = np.asarray(weights, np.float64)
        self.intervals = intervals
        self.steps_per_interval = steps_per_interval
        self.seed = seed
        self.interval = 0
        self.phases = np.random.default_rng(seed).random(len(self.weights))

    @property
    def sampler(self) -> "ShuffledBatches":
        """Itself: Lightning calls `set_epoch` of the sampler of a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the interval; Lightning calls this by name, and calls an interval an epoch."""
        self.interval = epoch

    def __len__(self) -> int:
        return self.steps_per_interval * self.shard.parts

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        before = sum(interval.batch_size for interval in self.intervals[: self.interval])
        interval = self.intervals[self.interval]
        samples = self._samples(before * self.steps_per_interval, interval.size)
        for _ in range(self.steps_per_interval):
            yield from self.shard.split(list(islice(samples, interval.batch_size)))

    def _samples(self, position: int, size: tuple[int, int]) -> Iterator[SampleIndex]:
        most = int((position + len(self.weights)) / self.weights.sum()) + 2  # passes until the position
        passed = bisect_right(range(most), position, key=lambda number: int(self._drawn(number).sum())) - 1
        start = position - int(self._drawn(passed).sum())
        while True:
            before = self._drawn(passed)
            repeats = self._drawn(passed + 1) - before
            order = np.random.default_rng((self.seed, passed)).permutation(np.repeat(np.arange(len(before)), repeats))
            for place, index in enumerate(order.tolist()):
                if place >= start:
                    yield SampleIndex(int(before[index]), index, size)
                before[index] += 1
            passed, start = passed + 1, 0

    def _drawn(self, passes: int) -> NDArray[np.int64]:
        """(N,): how often each sample is drawn in a number of passes."""
        return np.floor(passes * self.weights + self.phases).astype(np.int64)
