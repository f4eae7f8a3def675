"""Images that are decoded once and stay on the device that trains; crops are cut there.

The same crops are drawn as from files, from the same seed; where they are cut is all that differs. COCO's 64,115
training images with people take about 59 GB this way.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsn.data.detection import in_quarters
from rsn.data.loading import Batch
from rsn.errors import ImageError
from rsn.geometry import DOWNSCALES, Image
from rsn.io.images import downscale_image, read_image


class DeviceImages:
    """The images of a data set, decoded, one behind the other in one buffer on a device.

    `numbers` has the place of each file that could be read. With `levels` above 1 there follow copies of the image,
    each half as wide and high as the one before: for crops that show much of it.
    """

    def __init__(self, paths: Sequence[Path], device: torch.device, *, levels: int = 1) -> None:
        unique = list(dict.fromkeys(paths))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            decoded = list(threads.map(_decoded, unique))
        readable = [path for path, image in zip(unique, decoded, strict=True) if image is not None]
        if not readable:
            raise ImageError("none of the images to train on can be read; check the folder of images")
        self.numbers = {path: levels * number for number, path in enumerate(readable)}
        whole = [image for image in decoded if image is not None]
        images = [downscale_image(image, times) for image in whole for times in DOWNSCALES[:levels]]
        sizes = torch.tensor([image.shape[:2] for image in images])
        lengths = sizes.prod(1)
        self.heights, self.widths = sizes.to(device).unbind(1)
        self.starts = (lengths.cumsum(0) - lengths).to(device)
        self.pixels = torch.empty(int(lengths.sum()), 3, dtype=torch.uint8, device=device)
        for start, image in zip(self.starts.tolist(), images, strict=True):
            rows = torch.from_numpy(image.reshape(-1, 3))
            self.pixels[start : start + len(rows)] = rows

    def __deepcopy__(self, memo: object) -> "DeviceImages":
        return self  # a copy of a module shares its images, which may fill half of the device

    def images(self, plans: Batch, size: tuple[int, int]) -> Tensor:
        """Cut and color the crops of a batch, on the device: (N, 3, *size) uint8 RGB.

        plans: image (N,), number of the image; matrix (N, 2, 3), its pixels -> input pixels; colors (N, 4), see
            `sample_color_factors`.
        """
        pixels = self.cut(plans["image"], plans["matrix"], size)
        colors = plans["colors"].to(pixels)[:, :, None, None]
        gains, lift = colors[:, :3], colors[:, 3:]
        return (pixels * gains + lift).clamp(0, 255).to(torch.uint8)

    def cut(self, images: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
        """(N,) image numbers, (N, 2, 3) maps from image to input pixels -> (N, 3, *size) whole numbers as float32.

        Bilinear, black outside the image, as `Crop.cut`.
        """
        x, y = _places(matrices, size)
        left, top = x.floor(), y.floor()
        right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
        upper, lower = (
            torch.lerp(self._at(images, left, row), self._at(images, left + 1, row), right_share)
            for row in (top, top + 1)
        )
        return torch.lerp(upper, lower, lower_share).round().permute(0, 3, 1, 2)

    def _at(self, images: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The pixels (N, H, W, 3) at whole positions (N, H, W) of the images (N,), as float32; 0 outside."""
        widths, heights = self.widths[images, None, None], self.heights[images, None, None]
        inside = (x >= 0) & (y >= 0) & (x < widths) & (y < heights)
        index = self.starts[images, None, None] + y.long() * widths + x.long()
        return self.pixels[torch.where(inside, index, 0)] * inside[..., None].float()


def cut_quarters(images: DeviceImages, plans: Batch, size: tuple[int, int]) -> Tensor:
    """The crops of a batch of a detector, whose plans are (N, 4, ...), as (N, 3, *size) uint8 RGB."""
    flat = {name: plans[name].flatten(0, 1) for name in ("image", "matrix", "colors")}
    quadrants = images.images(flat, (size[0] // 2, size[1] // 2))
    return in_quarters(quadrants.view(-1, 4, *quadrants.shape[1:]).unbind(1))


def _decoded(path: Path) -> Image | None:
    try:
        return np.ascontiguousarray(read_image(path))
    except ImageError:
        return None


def _places(matrices: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where each input pixel lies in the image: x and y, (N, H, W) float32."""
    (a, b, right), (c, d, down) = (row.unbind(1) for row in matrices.double()[..., None, None].unbind(1))
    columns = torch.arange(size[1], device=matrices.device) - right
    rows = torch.arange(size[0], device=matrices.device)[:, None] - down
    area = a * d - b * c
    return ((d * columns - b * rows) / area).float(), ((a * rows - c * columns) / area).float()
