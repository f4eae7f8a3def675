"""Images that are decoded once and stay on the training device, where crops are cut from them.

The crops are the same as those cut from files with the same seed, up to rounding. COCO's 64,115 training images with
people take about 59 GB.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsn.data.detection import join_quadrants
from rsn.data.loading import Batch
from rsn.errors import ImageError
from rsn.geometry import Image
from rsn.io.images import DOWNSCALES, downscale_image, read_image


class DeviceImages:
    """The decoded images of a dataset, concatenated in one buffer on a device.

    indices: of every image file that could be read. levels: if above 1, every image is followed by smaller copies,
    each half as wide and high as the one before, for crops that show much of the image.

    Raises:
        ImageError: none of the images can be read.
    """

    def __init__(self, paths: Sequence[Path], device: torch.device, *, levels: int = 1) -> None:
        unique = list(dict.fromkeys(paths))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            decoded = zip(unique, threads.map(_decode, unique), strict=True)
            readable = {path: image for path, image in decoded if image is not None}
        if not readable:
            raise ImageError("none of the images to train on can be read; check the folder of images")
        self.indices = {path: levels * number for number, path in enumerate(readable)}
        images = [downscale_image(one, factor) for one in readable.values() for factor in DOWNSCALES[:levels]]
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

    def crop(self, params: Batch, size: tuple[int, int]) -> Tensor:
        """Cut the crops of a batch and change their colors, on the device: (N, 3, *size) uint8 RGB.

        params: image (N,), index of the image; matrix (N, 2, 3), image pixels -> input pixels; colors (N, 4), see
            `sample_color_factors`; cutout (N, 5), see `sample_cutout`, or none.
        """
        pixels = self.warp(params["image"], params["matrix"], size)
        colors = params["colors"].to(pixels)[:, :, None, None]
        changed = (pixels * colors[:, :3] + colors[:, 3:]).clamp(0, 255).to(torch.uint8)
        return _cut_out(changed, params["cutout"]) if "cutout" in params else changed

    def warp(self, images: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
        """(N,) image indices, (N, 2, 3) maps from image to input pixels -> (N, 3, *size) whole numbers as float32.

        Bilinear between positions rounded to 1/32 pixel, black outside the image, as `Crop.warp`.
        """
        x, y = _image_positions(matrices, size)
        left, top = x.floor(), y.floor()
        upper, lower = (
            torch.lerp(
                self._pixels_at(images, left, row),
                self._pixels_at(images, left + 1, row),
                (x - left)[..., None],
            )
            for row in (top, top + 1)
        )
        return torch.lerp(upper, lower, (y - top)[..., None]).round().permute(0, 3, 1, 2)

    def _pixels_at(self, images: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The pixels at whole positions (N, H, W) of images (N,): (N, H, W, 3) float32, 0 outside the image."""
        widths, heights = self.widths[images, None, None], self.heights[images, None, None]
        inside = (x >= 0) & (y >= 0) & (x < widths) & (y < heights)
        index = self.starts[images, None, None] + y.long() * widths + x.long()
        return self.pixels[torch.where(inside, index, 0)] * inside[..., None].float()


def _cut_out(pixels: Tensor, cutouts: Tensor) -> Tensor:
    """Cover what `sample_cutout` returned, (N, 5), in (N, 3, H, W) uint8."""
    left, top, right, bottom, gray = cutouts[..., None, None].unbind(1)
    x = torch.arange(pixels.shape[3], device=pixels.device)
    y = torch.arange(pixels.shape[2], device=pixels.device)[:, None]
    covered = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return torch.where(covered[:, None], gray[:, None].to(torch.uint8), pixels)


def warp_quadrants(images: DeviceImages, params: Batch, size: tuple[int, int]) -> Tensor:
    """Cut the crops of a batch of a detector, with params (N, 4, ...) of quadrants: (N, 3, *size) uint8 RGB."""
    flat = {name: params[name].flatten(0, 1) for name in ("image", "matrix", "colors")}
    quadrants = images.crop(flat, (size[0] // 2, size[1] // 2))
    return join_quadrants(quadrants.view(-1, 4, *quadrants.shape[1:]).unbind(1))


def _decode(path: Path) -> Image | None:
    try:
        return np.ascontiguousarray(read_image(path))
    except ImageError:
        return None


def _image_positions(matrices: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The image position of every input pixel, rounded to 1/32 pixel: x and y, (N, H, W) float32."""
    (a, b, right), (c, d, down) = (row.unbind(1) for row in matrices.double()[..., None, None].unbind(1))
    columns = torch.arange(size[1], device=matrices.device) - right
    rows = torch.arange(size[0], device=matrices.device)[:, None] - down
    area = a * d - b * c
    x, y = (d * columns - b * rows) / area, (a * rows - c * columns) / area
    return (x * 32).round().div(32).float(), (y * 32).round().div(32).float()
