"""Training crops in batches: what is drawn depends on (seed, epoch, person) alone, never on workers or restarts."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rsn.crops import Crop, Image
from rsn.datasets.augment import Augmentation, AugmentedCrop, augment, draw_colours, recolour
from rsn.datasets.labelled import PoseDataset
from rsn.errors import ImageError
from rsn.images import read_image

READ = -1
T = TypeVar("T")


@dataclass(frozen=True)
class Draw:
    """The `person`-th of the data set, as seen in `epoch`."""

    epoch: int
    person: int


class CropBatch(TypedDict):
    """Training crops: image (N, 3, H, W) uint8 RGB, keypoints (N, K, 2) float32 in input pixels, visibility (N, K).

    unreadable: (N,) number of the person for whom another stands in, as the picture cannot be read; else `READ`.
    """

    image: Tensor
    keypoints: Tensor
    visibility: Tensor
    unreadable: Tensor


class DrawnCrops(Dataset[T], ABC):
    """Augmented crops of the people of a data set; `crops[Draw(epoch, person)]` gives one, without batch axis.

    For somebody whose picture cannot be read the next person stands in.
    """

    def __init__(
        self, people: PoseDataset, size: tuple[int, int], augmentation: Augmentation, *, seed: int = 0
    ) -> None:
        self.people = people
        self.size = size
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, draw: Draw) -> T:
        for number in range(draw.person, draw.person + len(self)):
            stand_in = number != draw.person
            try:
                return self._crop(
                    Draw(draw.epoch, number % len(self)), unreadable=draw.person if stand_in else READ
                )
            except ImageError:
                continue
        raise ImageError("none of the pictures to train on can be read; check the folder of images")

    @abstractmethod
    def _crop(self, draw: Draw, *, unreadable: int) -> T:
        """One crop, or an ImageError. unreadable: for whom the crop stands in, or `READ`."""

    def _drawn(self, draw: Draw) -> tuple[AugmentedCrop, NDArray[np.float32]]:
        random = np.random.default_rng((self.seed, draw.epoch, draw.person))
        person, skeleton = self.people.people[draw.person], self.people.skeleton
        drawn = augment(person, skeleton, self.size, self.augmentation, random)
        return drawn, draw_colours(self.augmentation.colour, random)


def read_for(crop: Crop, path: Path) -> tuple[Image, Crop]:
    """A picture, no larger than a crop of it needs, and the crop in it. Of a large JPEG most is never decoded.

    Raises:
        ImageError: it cannot be read.
    """
    return read_image(path, shrink=crop.shrink), crop.of_shrunk(crop.shrink)


class TrainingCrops(DrawnCrops[CropBatch]):
    """Crops that are cut from the pictures' files."""

    def _crop(self, draw: Draw, *, unreadable: int) -> CropBatch:
        drawn, colours = self._drawn(draw)
        image, crop = read_for(drawn.crop, self.people.people[draw.person].image.path)
        pixels = crop.cut(image)
        if self.augmentation.colour:
            pixels = recolour(pixels, colours)
        return CropBatch(
            image=torch.from_numpy(pixels).permute(2, 0, 1),
            keypoints=torch.from_numpy(drawn.keypoints),
            visibility=torch.from_numpy(drawn.visibility),
            unreadable=torch.tensor(unreadable),
        )


@dataclass(frozen=True)
class Share:
    """What one of several processes takes of every batch: the `rank`-th of `processes` equal pieces of each part.

    A batch is cut into `parts`, which a process works through one after the other.
    """

    rank: int = 0
    processes: int = 1
    parts: int = 1

    def of(self, batch: list[Draw]) -> Iterator[list[Draw]]:
        """The pieces, one a part."""
        size = len(batch) // (self.processes * self.parts)
        for part in range(self.parts):
            start = (part * self.processes + self.rank) * size
            yield batch[start : start + size]


class ShuffledBatches(Sampler[list[Draw]]):
    """Rounds of equal length over an endless row of shuffled epochs, in batches of equal size.

    Round r always holds the same draws, so a run that resumes at a round goes on as if it had never stopped; and so
    does every batch, over however many processes and parts it is spread.
    """

    def __init__(
        self, people: int, batch_size: int, steps_per_round: int, *, seed: int = 0, share: Share | None = None
    ) -> None:
        self.share = share or Share()
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

    def __iter__(self) -> Iterator[list[Draw]]:
        draws_per_round = self.steps_per_round * self.batch_size
        first = self.round * draws_per_round
        draws = self._draws(first)
        for _ in range(self.steps_per_round):
            yield from self.share.of(list(islice(draws, self.batch_size)))

    def _draws(self, position: int) -> Iterator[Draw]:
        epoch, place = divmod(position, self.people)
        while True:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.people)
            yield from (Draw(epoch, int(person)) for person in order[place:])
            epoch, place = epoch + 1, 0
