"""Pictures that are decoded once and stay on the device that trains; crops are cut there.

The same crops are drawn as from files, from the same seed; where they are cut is all that differs. COCO's 64,115
training photos with people take about 59 GB this way.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from rsn.crops import Image
from rsn.datasets.augment import Augmentation
from rsn.datasets.labelled import PoseDataset
from rsn.datasets.loading import CropBatch, Draw, DrawnCrops
from rsn.errors import ImageError
from rsn.images import read_image


class PlanBatch(TypedDict):
    """Crops that are not cut yet.

    picture (N,): number in `ResidentPictures`. matrix (N, 2, 3): image pixels -> input pixels. colours (N, 4): see
    `augment.draw_colours`. The rest is as in `CropBatch`.
    """

    picture: Tensor
    matrix: Tensor
    colours: Tensor
    keypoints: Tensor
    visibility: Tensor
    unreadable: Tensor


class ResidentPictures:
    """The pictures of a data set, decoded, one behind the other in one buffer on a device.

    `numbers` has the place of each file that could be read.
    """

    def __init__(self, paths: Sequence[Path], device: torch.device) -> None:
        unique = list(dict.fromkeys(paths))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            decoded = list(threads.map(_decoded, unique))
        readable = [(path, image) for path, image in zip(unique, decoded, strict=True) if image is not None]
        if not readable:
            raise ImageError("none of the pictures to train on can be read; check the folder of images")
        self.numbers = {path: number for number, (path, _) in enumerate(readable)}
        sizes = torch.tensor([image.shape[:2] for _, image in readable])
        lengths = sizes.prod(1)
        self.heights, self.widths = sizes.to(device).unbind(1)
        self.starts = (lengths.cumsum(0) - lengths).to(device)
        self.pixels = torch.empty(int(lengths.sum()), 3, dtype=torch.uint8, device=device)
        for start, (_, image) in zip(self.starts.tolist(), readable, strict=True):
            rows = torch.from_numpy(image.reshape(-1, 3))
            self.pixels[start : start + len(rows)] = rows

    def crops(self, plans: PlanBatch, size: tuple[int, int]) -> CropBatch:
        """Cut the crops of a batch, on the device."""
        pixels = self.cut(plans["picture"], plans["matrix"], size)
        colours = plans["colours"].to(pixels)[:, :, None, None]
        gains, lift = colours[:, :3], colours[:, 3:]
        recoloured = (pixels * gains + lift).clamp(0, 255)
        return CropBatch(
            image=recoloured.to(torch.uint8),
            keypoints=plans["keypoints"],
            visibility=plans["visibility"],
            unreadable=plans["unreadable"],
        )

    def cut(self, pictures: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
        """(N,) picture numbers, (N, 2, 3) maps from image to input pixels -> (N, 3, *size) whole numbers as float32.

        Bilinear, black outside the picture, as `Crop.cut`.
        """
        x, y = _places(matrices, size)
        left, top = x.floor(), y.floor()
        right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
        upper, lower = (
            torch.lerp(self._at(pictures, left, row), self._at(pictures, left + 1, row), right_share)
            for row in (top, top + 1)
        )
        return torch.lerp(upper, lower, lower_share).round().permute(0, 3, 1, 2)

    def _at(self, pictures: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The pixels (N, H, W, 3) at whole positions (N, H, W) of the pictures (N,), as float32; 0 outside."""
        widths, heights = self.widths[pictures, None, None], self.heights[pictures, None, None]
        inside = (x >= 0) & (y >= 0) & (x < widths) & (y < heights)
        index = self.starts[pictures, None, None] + y.long() * widths + x.long()
        return self.pixels[torch.where(inside, index, 0)] * inside[..., None].float()


class CropPlans(DrawnCrops[PlanBatch]):
    """The crops of `TrainingCrops`, not cut; of people in pictures that could be read."""

    def __init__(
        self,
        people: PoseDataset,
        size: tuple[int, int],
        augmentation: Augmentation,
        numbers: dict[Path, int],
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(people, size, augmentation, seed=seed)
        self.numbers = numbers

    def _crop(self, draw: Draw, *, unreadable: int) -> PlanBatch:
        path = self.people.people[draw.person].image.path
        if path not in self.numbers:
            raise ImageError(f"{path} could not be read")
        drawn, colours = self._drawn(draw)
        return PlanBatch(
            picture=torch.tensor(self.numbers[path]),
            matrix=torch.from_numpy(drawn.crop.matrix),
            colours=torch.from_numpy(colours),
            keypoints=torch.from_numpy(drawn.keypoints),
            visibility=torch.from_numpy(drawn.visibility),
            unreadable=torch.tensor(unreadable),
        )


def _decoded(path: Path) -> Image | None:
    try:
        return np.ascontiguousarray(read_image(path))
    except ImageError:
        return None


def _places(matrices: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where each input pixel lies in the image: x and y, (N, H, W) float32."""
    inverse = torch.linalg.inv(matrices[:, :, :2].double())
    shift = -inverse @ matrices[:, :, 2:].double()
    rows, columns = (torch.arange(side, device=matrices.device).double() for side in size)
    across = inverse[:, :, :1, None] * columns  # (N, 2, 1, W)
    down = inverse[:, :, 1:, None] * rows[:, None]  # (N, 2, H, 1)
    x, y = (across + down + shift[..., None]).float().unbind(1)
    return x, y
