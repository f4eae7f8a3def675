"""Training crops in batches: what is drawn depends on (seed, epoch, person) alone, never on workers or restarts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rsn.data.annotations import PoseDataset
from rsn.data.augment import Augmentation, AugmentedCrop, apply_color_factors, augment, sample_color_factors
from rsn.errors import ImageError
from rsn.geometry import DOWNSCALES, Crop, Image
from rsn.io.images import read_image

READ = -1
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class SampleIndex:
    """The `person`-th of the data set, as seen in `epoch`."""

    epoch: int
    person: int


class CropDataset(Dataset[Batch]):
    """Augmented crops of the people of a data set; `crops[SampleIndex(epoch, person)]` gives one, without batch axis.

    For a person whose image cannot be read the next person stands in. A batch has

    image: (N, 3, H, W) uint8 RGB; with `numbers` instead what `plan` gives, for crops that are cut on the device.
    keypoints: (N, K, 2) float32 in input pixels. visibility: (N, K).
    unreadable: (N,) number of the person for whom another stands in; else `READ`.
    """

    def __init__(
        self,
        people: PoseDataset,
        size: tuple[int, int],
        augmentation: Augmentation,
        numbers: Mapping[Path, int] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.people = people
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, draw: SampleIndex) -> Batch:
        for number in range(draw.person, draw.person + len(self)):
            unreadable = READ if number == draw.person else draw.person
            try:
                crop = self._crop(SampleIndex(draw.epoch, number % len(self)))
            except ImageError:
                continue
            return crop | {"unreadable": torch.tensor(unreadable)}
        raise ImageError("none of the images to train on can be read; check the folder of images")

    def _crop(self, draw: SampleIndex) -> Batch:
        drawn, colors = self._drawn(draw)
        path = self.people.people[draw.person].image.path
        if self.numbers is None:
            image, crop = read_for(drawn.crop, path)
            shown = {"image": as_tensor(crop.cut(image), colors)}
        else:
            shown = plan(path, drawn.crop, colors, self.numbers)
        labels = {
            "keypoints": torch.from_numpy(drawn.keypoints),
            "visibility": torch.from_numpy(drawn.visibility),
        }
        return shown | labels

    def _drawn(self, draw: SampleIndex) -> tuple[AugmentedCrop, NDArray[np.float32]]:
        random = np.random.default_rng((self.seed, draw.epoch, draw.person))
        person, skeleton = self.people.people[draw.person], self.people.skeleton
        drawn = augment(person, skeleton, self.size, self.augmentation, random)
        return drawn, sample_color_factors(self.augmentation.color_jitter, random)


def read_for(crop: Crop, path: Path) -> tuple[Image, Crop]:
    """An image, no larger than a crop of it needs, and the crop in it. Of a large JPEG most is never decoded.

    Raises:
        ImageError: it cannot be read.
    """
    return read_image(path, downscale=crop.downscale), crop.for_downscaled(crop.downscale)


def as_tensor(pixels: Image, colors: NDArray[np.float32]) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W), with colors from `sample_color_factors`."""
    if (colors != (1, 1, 1, 0)).any():
        pixels = apply_color_factors(pixels, colors)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def plan(
    path: Path, crop: Crop, colors: NDArray[np.float32], numbers: Mapping[Path, int], *, levels: int = 1
) -> Batch:
    """What `DeviceImages.images` needs to cut a crop: image (), matrix (2, 3) and colors (4,).

    numbers: of the images on the device. levels: how many copies there are of each; the one is cut that has some two
    pixels for one of the crop.

    Raises:
        ImageError: the image is not among them.
    """
    if path not in numbers:
        raise ImageError(f"{path} could not be read")
    level = int(np.clip(round(np.log2(0.5 / crop.scale)), 0, levels - 1))
    return {
        "image": torch.tensor(numbers[path] + level),
        "matrix": torch.from_numpy(crop.for_downscaled(DOWNSCALES[level]).matrix),
        "colors": torch.from_numpy(colors),
    }


@dataclass(frozen=True)
class Shard:
    """What one of several processes takes of every batch: the `rank`-th of `processes` equal pieces of each part.

    A batch is cut into `parts`, which a process works through one after the other.
    """

    rank: int = 0
    processes: int = 1
    parts: int = 1

    def of(self, batch: list[SampleIndex]) -> Iterator[list[SampleIndex]]:
        """The pieces, one a part."""
        size = len(batch) // (self.processes * self.parts)
        for part in range(self.parts):
            start = (part * self.processes + self.rank) * size
            yield batch[start : start + size]


class ShuffledBatches(Sampler[list[SampleIndex]]):
    """Rounds of equal length over an endless row of shuffled epochs, in batches of equal size.

    Round r always holds the same draws, so a run that resumes at a round goes on as if it had never stopped; and so
    does every batch, over however many processes and parts it is spread.
    """

    def __init__(
        self, people: int, batch_size: int, steps_per_round: int, *, seed: int = 0, share: Shard | None = None
    ) -> None:
        self.share = share or Shard()
        self.people = people
        self.batch_size = batch_size
        self.steps_per_round = steps_per_round
        self.seed = seed
        self.round = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the round; Lightning, which calls a round an epoch, calls this by name."""
        self.round = epoch

    def __len__(self) -> int:
        return self.steps_per_round * self.share.parts

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        draws_per_round = self.steps_per_round * self.batch_size
        first = self.round * draws_per_round
        draws = self._draws(first)
        for _ in range(self.steps_per_round):
            yield from self.share.of(list(islice(draws, self.batch_size)))

    def _draws(self, position: int) -> Iterator[SampleIndex]:
        epoch, place = divmod(position, self.people)
        while True:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.people)
            yield from (SampleIndex(epoch, int(person)) for person in order[place:])
            epoch, place = epoch + 1, 0
