"""Recognize image files by name and header (read by Pillow), and rotate them upright."""

from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile

from rsn.errors import ImageError

SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff",
        ".gif", ".avif", ".avifs", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".ppm",
        ".pgm", ".pbm", ".pnm",
    }
)  # fmt: skip
# Formats that are not supported, among them cameras' raw files, whose first image is a thumbnail.
UNSUPPORTED_SUFFIXES = frozenset(
    {
        ".jxl", ".jxr", ".heics", ".heifs", ".hdp", ".wdp", ".dib", ".tga", ".pcx", ".psd", ".psb", ".xcf", ".exr",
        ".hdr", ".pfm", ".ico", ".icns", ".svg", ".eps", ".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw",
        ".sr2", ".srf", ".raf", ".orf", ".rw2", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".dcm", ".qoi", ".kra", ".bpg",
    }
)  # fmt: skip
WEB_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
READS_AVIF = find_spec("PIL.AvifImagePlugin") is not None  # from Pillow 11.3 on
_FORMATS = (*WEB_FORMATS, "TIFF", "JPEG2000", "PPM", *(["AVIF"] if READS_AVIF else []))  # Pillow's names
_HEIF_BRANDS = (b"hei", b"hev", b"mif", b"msf")
_HEIF_READERS = ("pi_heif", "pillow_heif")
_FLIPPED = frozenset({2, 4, 5, 7})  # EXIF orientations
_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}  # counterclockwise, before a horizontal flip

_opening = Lock()


def is_image_name(name: str) -> bool:
    """Whether a file in a folder is read as an image: by its suffix, unless it is hidden."""
    return _suffix(name) in SUFFIXES


def is_unsupported_image_name(name: str) -> bool:
    """Whether a file has the suffix of an image format that is not supported."""
    return _suffix(name) in UNSUPPORTED_SUFFIXES


def looks_like_image(path: Path) -> bool:
    """Whether a file without a supported suffix is an image, by its suffix or its content."""
    if is_unsupported_image_name(path.name):
        return True
    try:
        with open(path, "rb") as file:
            return _is_heif(file.read(12)) or _open(file, _FORMATS) is not None
    except OSError:
        return False


def open_image(data: bytes, name: str) -> ImageFile:
    """Read the header of an image file, which has its size; the pixels are decoded later.

    Raises:
        ImageError: not an image, or HEIF or AVIF without an installed reader.
    """
    formats: tuple[str, ...] = _FORMATS
    is_heif = _is_heif(data)
    reader = next(filter(find_spec, _HEIF_READERS), None) if is_heif else None
    if reader:
        import_module(reader).register_heif_opener()
        formats = ("HEIF", *formats)
    image = _open(BytesIO(data), formats)
    if image is not None:
        return image
    if is_heif and not reader:
        raise ImageError(
            f"{name} is a HEIF image (HEIC), for which no reader is installed; pip install 'rsn-pose[heif]', or convert"
            " it to JPEG or PNG"
        )
    if data[4:11] == b"ftypavi" and not READS_AVIF:
        raise ImageError(
            f"{name} is an AVIF image, which this version of Pillow does not read; pip install 'pillow>=11.3', or"
            " convert it to JPEG or PNG"
        )
    raise ImageError(f"{name} is not an image that can be read; convert it to JPEG or PNG")


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in the header of a JPEG, PNG, WebP, GIF or BMP file; None for anything else."""
    image = _open(BytesIO(data), WEB_FORMATS)
    return None if image is None else image.size


def orientation_of(data: bytes) -> int:
    """The EXIF orientation of an image file, 1 to 8; 1 if it has none.

    For HEIF it is the orientation that the reader has already applied to the pixels.
    """
    try:
        image = open_image(data, "")
    except ImageError:
        return 1
    return int(image.info.get("original_orientation") or exif_orientation(image))


def exif_orientation(image: Pillow.Image) -> int:
    """The EXIF orientation of an open image, 1 to 8; 1 if it has none."""
    try:
        value = image.getexif().get(Base.Orientation)
    except Exception:  # EXIF data may hold anything
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Rotate and flip (H, W, C) pixels as stored according to an EXIF orientation of 1 to 8."""
    rotated = np.rot90(pixels, _QUARTER_TURNS.get(orientation, 0))
    return np.ascontiguousarray(rotated[:, ::-1] if orientation in _FLIPPED else rotated)


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:11] in _HEIF_BRANDS


def _suffix(name: str) -> str:
    file = name.rpartition("/")[2]
    return file[file.rfind(".") :].lower() if not file.startswith(".") else ""


def _open(file: BinaryIO | BytesIO, formats: tuple[str, ...]) -> ImageFile | None:
    """Pillow's image with its header read, whatever size it declares; None if it is damaged or no image."""
    with _opening:  # Pillow's limit belongs to all threads
        limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            return Pillow.open(file, formats=formats)
        except Exception:  # Pillow's readers fail on damaged files with errors of many types
            return None
        finally:
            Pillow.MAX_IMAGE_PIXELS = limit
