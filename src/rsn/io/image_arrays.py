"""Arrays of pixels as callers have them -> (H, W, 3) uint8 RGB."""

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.errors import ImageError
from rsn.geometry import Image


def as_rgb(image: object) -> Image:
    """An image in memory as (H, W, 3) uint8 RGB; gray becomes RGB, what is transparent lies on white.

    Args:
        image: uint8, (H, W, 3) RGB, (H, W, 4) RGBA, or gray as (H, W) or (H, W, 1).

    Raises:
        ImageError: anything else: None, a path, an image of another library, another type or shape, no pixels.
    """
    if not isinstance(image, np.ndarray):
        raise ImageError(f"Invalid image: expected an array (H, W, 3) uint8 RGB, got {_told(image)}")
    if image.ndim == 2:
        image = image[..., None]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        hint = ""
        if image.ndim == 3 and image.shape[0] in (1, 3, 4):
            hint = "; move the channels to the end: image.transpose(1, 2, 0)"
        elif image.dtype != np.uint8:
            hint = "; scale it to 0 ... 255 and convert it with .astype('uint8')"
        raise ImageError(
            f"Invalid image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}{hint}"
        )
    if image.size == 0:
        raise ImageError(f"Invalid image: expected pixels, got an empty array of shape {image.shape}")
    if image.shape[2] == 4:
        image = on_white(image)
    elif image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image)


def on_white(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 4) uint8 or uint16, the last channel alpha -> (H, W, 3) uint8."""
    eight_bits = (pixels >> 8 if pixels.dtype == np.uint16 else pixels).astype(np.uint16)
    color, alpha = eight_bits[..., :3], eight_bits[..., 3:]
    return np.asarray((color * alpha + 255 * (255 - alpha) + 127) // 255, np.uint8)


def _told(image: object) -> str:
    """What was given instead of an array, and what to do."""
    if image is None:
        return "None, which cv2.imread answers for a file that it cannot read; check the path"
    if isinstance(image, str | bytes | PathLike):
        return f"{image!r:.80}; read the file with rsn.io.images.read_image"
    if isinstance(image, list | tuple):
        return f"a {type(image).__name__}; give one image at a time, as a NumPy array"
    kind = f"{type(image).__module__}.{type(image).__qualname__}"
    return f"{kind}; convert it: numpy.asarray of an RGB PIL image, or of a tensor (H, W, 3) on the CPU"
