"""Read and write images, and convert arrays of pixels to RGB."""

import os
import warnings
from collections.abc import Sequence
from os.path import isdir, isfile
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from rsn.errors import ImageError, RsnWarning
from rsn.geometry import Image
from rsn.io.files import atomic_write
from rsn.io.image_formats import exif_orientation, is_image_name, looks_like_image, open_image, upright

MIN_SIDE = 8  # pixels
MAX_PIXELS = 180_000_000  # a small file may declare more pixels than fit into memory

Downscale = Literal[1, 2, 4, 8]  # factors by which a JPEG can be decoded to a smaller image
DOWNSCALES: tuple[Downscale, ...] = get_args(Downscale)

_MAX_LISTED = 10  # names of files in one message
_JPEG_END = b"\xff\xd9"
_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_QUALITY = {
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 92),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 92),
    ".png": (),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 92),
}
_MAX_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # pixels, limits of the formats


def read_image(path: str | Path, *, downscale: Downscale = 1) -> Image:
    """Read an image file as (H, W, 3) uint8 RGB, see `decode_image`.

    Raises:
        ImageError: no such file, or as `decode_image`.
    """
    return decode_image(_read_bytes(Path(path)), str(path), downscale=downscale)


def decode_image(data: bytes, name: str, *, downscale: Downscale = 1) -> Image:
    """Decode the bytes of an image file to (H, W, 3) uint8 RGB, rotated upright by its EXIF orientation.

    Gray, palette and CMYK images become RGB, 16 bits become 8, transparent pixels are put on white. Of an animation
    the first frame is returned.

    name: what an error calls the image. downscale: factor by which width and height are reduced, rounded up. It makes
    decoding a JPEG at least twice as fast.

    Raises:
        ImageError: not an image, truncated, a side below 8 pixels, more than 180 megapixels, or HEIF without an
            installed reader.
    """
    if not data:
        raise ImageError(f"{name} is an empty file, not an image; copy or download it again")
    image = open_image(data, name)
    _check_size(name, image.size)
    try:
        if image.format in ("JPEG", "MPO"):
            return _decode_jpeg(data, image, downscale)
        if image.format == "PNG":
            open_image(data, name).verify()  # otherwise Pillow accepts a truncated file
        return downscale_image(upright(_to_rgb(image), exif_orientation(image)), downscale)
    except Exception as error:  # Pillow's decoders fail on damaged files with errors of many types
        raise ImageError(f"{name} is truncated or damaged; copy it again") from error


def from_pillow(image: Pillow.Image) -> Image:
    """A PIL image as (H, W, 3) uint8 RGB, as `decode_image` does it.

    Raises:
        ImageError: fractions (mode F), a file that is damaged, or an image too small or too large.
    """
    _check_size("the PIL image", image.size)
    try:
        return upright(_to_rgb(image), exif_orientation(image))
    except Exception as error:  # a file is decoded only now
        raise ImageError(
            f"the PIL image of mode {image.mode} cannot be decoded ({error}); convert it to RGB"
        ) from error


def downscale_image(pixels: Image, factor: Downscale) -> Image:
    """Average blocks of `factor` x `factor` pixels of (H, W, 3); the last rows and columns are repeated if needed."""
    if factor == 1:
        return pixels
    height, width = pixels.shape[:2]
    padded = cv2.copyMakeBorder(pixels, 0, -height % factor, 0, -width % factor, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // factor, padded.shape[0] // factor)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.uint8)


def choose_downscale(scale: float) -> Downscale:
    """The largest factor for a crop of `scale` that leaves two image pixels for each pixel of the input."""
    return next((factor for factor in reversed(DOWNSCALES) if factor * scale <= 0.5), 1)


def find_images(sources: Sequence[Path]) -> list[Path]:
    """List the images of `sources`: files as they are named, and the images directly in folders.

    A folder's images are sorted by name, without hidden files; a file that is named repeatedly is listed once. A
    named file that does not exist is listed too: `read_image` reports it, and the other images are still processed.

    Raises:
        ImageError: a folder has no images or cannot be read.
    """
    found = (image for source in sources for image in (_images_in(source) if isdir(source) else [source]))
    unique: dict[str, Path] = {}
    for image in found:
        unique.setdefault(os.path.abspath(image), image)
    return list(unique.values())


def write_image(path: str | Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG, PNG or WebP file, chosen by the suffix of `path`.

    Raises:
        ImageError: another suffix, or an image too large for the format.
        RsnError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _QUALITY:
        raise ImageError(f"cannot write {path}: its name must end in one of {', '.join(sorted(_QUALITY))}")
    if max(image.shape) > _MAX_SIDE.get(suffix, max(image.shape)):
        size = f"{image.shape[1]} x {image.shape[0]} pixels"
        raise ImageError(f"cannot write {path}: {size} are too many for {suffix}; write a .png")
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY[suffix])
    atomic_write(path, data.tobytes())


def on_white(pixels: NDArray[np.uint8]) -> Image:
    """(H, W, 4) uint8 RGBA -> (H, W, 3) RGB on a white background."""
    color, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
    return np.asarray((color * alpha + 255 * (255 - alpha) + 127) // 255, np.uint8)


def describe_skipped(names: Sequence[str]) -> str:
    """Part of a sentence about files that look like images but are skipped: how many, and the first names."""
    what = "1 file that looks like an image is" if len(names) == 1 else f"{len(names)} files that look like images are"
    listed = ", ".join(names[:_MAX_LISTED]) + (", ..." if len(names) > _MAX_LISTED else "")
    return f"{what} skipped: {listed}; convert other formats to JPEG or PNG, and rename files with a wrong suffix"


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(f"there is no image at {path}; check the path") from error
    except OSError as error:
        if isdir(path):
            raise ImageError(f"{path} is a folder, not an image; name an image in it") from error
        raise ImageError(f"cannot read {path}: {error.strerror or error}; check its permissions") from error


def _images_in(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if isfile(file) and file.name[0] != ".")
    except OSError as error:
        raise ImageError(f"cannot read {folder}: {error.strerror or error}; check its permissions") from error
    images = [file for file in files if is_image_name(file.name)]
    others = [file.name for file in files if not is_image_name(file.name) and looks_like_image(file)]
    if not images:
        skipped = f"; {describe_skipped(others)}" if others else ""
        raise ImageError(f"there is no image directly in {folder} that can be read{skipped}")
    if others:
        warnings.warn(f"{folder}: {describe_skipped(others)}", RsnWarning, stacklevel=3)
    return images


def _check_size(name: str, size: tuple[int, int]) -> None:
    """Raise an ImageError if (width, height) is too small or too large."""
    width, height = size
    if min(size) < MIN_SIDE:
        limit = f"{MIN_SIDE} x {MIN_SIDE}"
        raise ImageError(f"{name} has only {width} x {height} pixels; give an image of at least {limit}")
    if width * height > MAX_PIXELS:
        limit = f"{MAX_PIXELS // 10**6} megapixels"
        raise ImageError(f"{name} has {width} x {height} pixels; scale it down to at most {limit}")


def _decode_jpeg(data: bytes, image: ImageFile, downscale: Downscale) -> Image:
    """Decode a JPEG upright by OpenCV, which takes 30 to 70 % of Pillow's time, but accepts truncated files."""
    assert image.fp is not None
    if data.find(_JPEG_END, image.fp.tell()) < 0:  # after the headers, which may contain a thumbnail
        raise ValueError("no end of the image")
    divisible = not any(side % downscale for side in image.size)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _JPEG_FLAGS[downscale if divisible else 1])
    if pixels is None:
        raise ValueError("damaged")
    rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    return rgb if divisible else downscale_image(rgb, downscale)


def _to_rgb(image: Pillow.Image) -> Image:
    """Decode an open image to (H, W, 3) as stored; 16 bits become 8, transparent pixels are put on white."""
    if image.mode.startswith("I"):  # 16-bit gray, which Pillow would clip
        gray = (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("floating-point pixels of unknown range")
    if image.has_transparency_data:
        return on_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))  # a writable copy
