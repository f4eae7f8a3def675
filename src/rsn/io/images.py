"""Images on disk or in memory -> RGB pixels, and back."""

import os
import warnings
from collections.abc import Sequence
from os.path import isdir, isfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from rsn.errors import ImageError, RsnWarning
from rsn.geometry import Downscale, Image
from rsn.io.files import write_atomically
from rsn.io.image_arrays import on_white
from rsn.io.image_formats import exif_orientation, is_image_name, looks_like_image, open_image, upright

SMALLEST_SIDE = 8  # pixels; nobody can be seen in less
MOST_PIXELS = 180_000_000  # beyond it a small file unpacks to more memory than a machine may have

NAMED_AT_MOST = 10  # files that were left out

_JPEG_END = b"\xff\xd9"
_REDUCED = {
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
_LONGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # pixels, by the formats


def read_image(path: Path, *, downscale: Downscale = 1) -> Image:
    """The image in a file as (H, W, 3) uint8 RGB, see `decode_image`.

    Raises:
        ImageError: no such file, or what `decode_image` raises.
    """
    return decode_image(_read_bytes(path), str(path), downscale=downscale)


def decode_image(data: bytes, name: str, *, downscale: Downscale = 1) -> Image:
    """The bytes of an image file as (H, W, 3) uint8 RGB, turned upright as the file says.

    The orientation is that of the EXIF data, of AVIF and HEIF that of the container.

    Gray, palette and CMYK images become RGB, 16 bits become 8, transparent parts lie on white. Of an
    animation it is the first frame. `name` is what an error calls the image.

    shrink: how many times narrower and lower it shall be, sides rounded up. A JPEG is then not even decoded in full,
    which takes half the time or less.

    Raises:
        ImageError: no bytes, not an image, cut short, a side below 8 pixels, above 180 megapixels; HEIF, for which
            no reader is installed.
    """
    if not data:
        raise ImageError(f"{name} is an empty file, not an image; copy or download it again")
    image = open_image(data, name)
    _check_size(name, image.size)
    try:
        if image.format in ("JPEG", "MPO"):
            return _decode_jpeg(data, image, downscale)
        if image.format == "PNG":
            open_image(data, name).verify()  # without which Pillow reads one that lacks its end
        return downscale_image(upright(_to_rgb(image), exif_orientation(image)), downscale)
    except Exception as error:  # damaged files fail in Pillow's decoders in many ways
        raise ImageError(f"{name} ends in the middle of the image or is damaged; copy it again") from error


def downscale_image(pixels: Image, times: Downscale) -> Image:
    """(H, W, 3) -> means of `times` x `times` pixels, of which those beyond the edge repeat it; sides rounded up."""
    if times == 1:
        return pixels
    height, width = pixels.shape[:2]
    whole = cv2.copyMakeBorder(pixels, 0, -height % times, 0, -width % times, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // times, whole.shape[0] // times)
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


def find_images(sources: Sequence[Path]) -> list[Path]:
    """The images meant by `sources`: files as they are named, folders as the images directly in them.

    A folder's images are sorted by name, hidden files left out; a file that is meant twice comes once. A named file
    that does not exist is passed on: `read_image` reports it, and the others still get done.

    Raises:
        ImageError: a folder without images, or one that may not be read.
    """
    found = (image for source in sources for image in (_images_in(source) if isdir(source) else [source]))
    once: dict[str, Path] = {}
    for image in found:
        once.setdefault(os.path.abspath(image), image)
    return list(once.values())


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB as the JPEG, PNG or WebP file that the suffix of `path` asks for.

    Raises:
        ImageError: another suffix, or an image too large for the format.
        RsnError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in _QUALITY:
        raise ImageError(f"cannot write {path}: its name must end in one of {', '.join(sorted(_QUALITY))}")
    if max(image.shape) > _LONGEST_SIDE.get(suffix, max(image.shape)):
        size = f"{image.shape[1]} x {image.shape[0]} pixels"
        raise ImageError(f"cannot write {path}: {size} are too many for {suffix}; write a .png")
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY[suffix])
    write_atomically(path, data.tobytes())


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ValueError) as error:  # the second: a null character in the name
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
        unread = f", but {skipped(others)}" if others else ""
        raise ImageError(f"there is no image directly in {folder} that can be read{unread}")
    if others:
        warnings.warn(f"{folder}: {skipped(others)}", RsnWarning, stacklevel=3)
    return images


def skipped(names: Sequence[str]) -> str:
    """Half a sentence about files that look like images and are not read: how many, and the first of them."""
    what = (
        "1 file that looks like an image is"
        if len(names) == 1
        else f"{len(names)} files that look like images are"
    )
    more = ", ..." if len(names) > NAMED_AT_MOST else ""
    listed = ", ".join(names[:NAMED_AT_MOST])
    return (
        f"{what} left out: {listed}{more}; convert to JPEG or PNG what is another format, and rename the rest"
    )


def _check_size(name: str, size: tuple[int, int]) -> None:
    """Refuse a (width, height) that is too small or too large."""
    width, height = size
    if min(size) < SMALLEST_SIDE:
        limit = f"{SMALLEST_SIDE} x {SMALLEST_SIDE}"
        raise ImageError(f"{name} has only {width} x {height} pixels; give an image of at least {limit}")
    if width * height > MOST_PIXELS:
        limit = f"{MOST_PIXELS // 10**6} megapixels"
        raise ImageError(f"{name} has {width} x {height} pixels; scale it down to at most {limit}")


def _decode_jpeg(data: bytes, image: ImageFile, downscale: Downscale) -> Image:
    """A JPEG, upright. OpenCV decodes it, in 30 to 70 % of the time that Pillow takes, but fills what is missing."""
    assert image.fp is not None
    if data.find(_JPEG_END, image.fp.tell()) < 0:  # after the headers, one of which may hold a thumbnail
        raise ValueError("no end of the image")
    at_once = not any(side % downscale for side in image.size)  # without pixels that are left over
    flags = _REDUCED[downscale if at_once else 1]
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if stored is None:
        raise ValueError("damaged")
    pixels = np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8)
    return pixels if at_once else downscale_image(pixels, downscale)


def _to_rgb(image: Pillow.Image) -> Image:
    """Decode an open image to (H, W, 3) as stored; 16 bits become 8, what is transparent lies on white."""
    if image.mode.startswith("I"):  # 16 bits of gray, which Pillow would clip
        gray = (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("fractions, of which no range is known")
    if image.has_transparency_data:
        return on_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))  # a copy, which may be written to
