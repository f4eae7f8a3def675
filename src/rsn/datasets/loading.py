"""Training crops in batches: what is drawn depends on (seed, epoch, person) alone, never on workers or restarts."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rsn.datasets.augment import Augmentation, augment
from rsn.datasets.labelled import PoseDataset
from rsn.images import read_image


@dataclass(frozen=True)
class Draw:
    """The `person`-th of the data set, as seen in `epoch`."""

    epoch: int
    person: int


class CropBatch(TypedDict):
    """Training crops: image (N, 3, H, W) uint8 RGB, keypoints (N, K, 2) float32 in input pixels, visibility (N, K)."""

    image: Tensor
    keypoints: Tensor
    visibility: Tensor


class TrainingCrops(Dataset[CropBatch]):
    """Augmented crops of the people of a data set; `crops[Draw(epoch, person)]` gives one, without batch axis."""

    def __init__(
        self, people: PoseDataset, size: tuple[int, int], augmentation: Augmentation, *, seed: int = 0
    ) -> None:
        self.people = people
        self.size = size
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, draw: Draw) -> CropBatch:
        person = self.people.people[draw.person]
        image = read_image(person.image.path)
        random = np.random.default_rng((self.seed, draw.epoch, draw.person))
        drawn = augment(person, self.people.skeleton, self.size, self.augmentation, random)
        return CropBatch(
            image=torch.from_numpy(drawn.crop.cut(image)).permute(2, 0, 1),
            keypoints=torch.from_numpy(drawn.keypoints),
            visibility=torch.from_numpy(drawn.visibility),
        )


class ShuffledBatches(Sampler[list[Draw]]):
    """Rounds of equal length over an endless row of shuffled epochs, in batches of equal size.

    Round r always holds the same draws, so a run that resumes at a round goes on as if it had never stopped.
    """

    def __init__(self, people: int, batch_size: int, steps_per_round: int, *, seed: int = 0) -> None:
        self.people = people
        self.batch_size = batch_size
        self.steps_per_round = steps_per_round
        self.seed = seed
        self.round = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the round; Lightning, which calls a round an epoch, calls this by name."""
        self.round = epoch

    def __len__(self) -> int:
        return self.steps_per_round

    def __iter__(self) -> Iterator[list[Draw]]:
        draws_per_round = self.steps_per_round * self.batch_size
        first = self.round * draws_per_round
        draws = self._draws(first)
        for _ in range(self.steps_per_round):
            yield list(islice(draws, self.batch_size))

    def _draws(self, position: int) -> Iterator[Draw]:
        epoch, place = divmod(position, self.people)
        while True:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.people)
            yield from (Draw(epoch, int(person)) for person in order[place:])
            epoch, place = epoch + 1, 0
