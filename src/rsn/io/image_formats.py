"""What image files are, by their names and by their headers, which Pillow reads, and how they are to be turned."""

import warnings
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
# Images that are not read: other formats, and cameras' raw ones, whose first image is a thumbnail.
UNREAD_SUFFIXES = frozenset(
    {
        ".jxl", ".jxr", ".heics", ".heifs", ".hdp", ".wdp", ".dib", ".tga", ".pcx", ".psd", ".psb", ".xcf", ".exr",
        ".hdr", ".pfm", ".ico", ".icns", ".svg", ".eps", ".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw",
        ".sr2", ".srf", ".raf", ".orf", ".rw2", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".dcm", ".qoi", ".kra", ".bpg",
    }
)  # fmt: skip
WEB_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_FORMATS = (*WEB_FORMATS, "TIFF", "AVIF", "JPEG2000", "PPM")  # Pillow's names
_HEIF_BRANDS = (b"hei", b"hev", b"mif", b"msf")
_HEIF_READER = "pillow_heif"
_FLIPPED = frozenset({2, 4, 5, 7})  # EXIF orientations
_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}  # counterclockwise, before a horizontal flip

warnings.filterwarnings("ignore", module=r"PIL\.")  # of files that are odd in a way that does no harm
_opening = Lock()


def is_image_name(name: str) -> bool:
    """Whether a file is read as an image where it lies in a folder: by its suffix, unless it is hidden."""
    return _suffix(name) in SUFFIXES


def is_unread_image_name(name: str) -> bool:
    """Whether a file is by its suffix an image of a kind that is not read."""
    return _suffix(name) in UNREAD_SUFFIXES


def looks_like_image(path: Path) -> bool:
    """Whether a file that is not read as an image is one, by its suffix or by its content."""
    if is_unread_image_name(path.name):
        return True
    try:
        with open(path, "rb") as file:
            return _is_heif(file.read(12)) or _open(file, _FORMATS) is not None
    except OSError:
        return False


def open_image(data: bytes, name: str) -> ImageFile:
    """An image file of which the header is read; the pixels are decoded later, so that their number is known before.

    Raises:
        ImageError: not an image; HEIF, for which no reader is installed.
    """
    formats: tuple[str, ...] = _FORMATS
    is_heif = _is_heif(data)
    if is_heif and find_spec(_HEIF_READER):
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ("HEIF", *formats)
    image = _open(BytesIO(data), formats)
    if image is not None:
        return image
    if is_heif and find_spec(_HEIF_READER) is None:
        raise ImageError(
            f"{name} is a HEIF image (HEIC), for which no reader is installed; pip install pillow-heif, or convert it"
            " to JPEG or PNG"
        )
    raise ImageError(f"{name} is not an image that can be read; convert it to JPEG or PNG")


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) as a JPEG, PNG, WebP, GIF or BMP file claims, before it is decoded; None for anything else."""
    image = _open(BytesIO(data), WEB_FORMATS)
    return None if image is None else image.size


def orientation_of(data: bytes) -> int:
    """How an image file's pixels are to be turned, 1 to 8 as in EXIF; 1, not at all, where it does not say.

    Of HEIF it is what was already done to the pixels that are read.
    """
    try:
        image = open_image(data, "")
    except ImageError:
        return 1
    done: object = image.info.get("original_orientation")  # by pillow-heif
    return done if isinstance(done, int) else exif_orientation(image)


def exif_orientation(image: Pillow.Image) -> int:
    """How the pixels of an open image are to be turned, 1 to 8; 1 where it does not say."""
    try:
        value = image.getexif().get(Base.Orientation)
    except Exception:  # EXIF data may hold anything
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, C) as stored -> upright, as an EXIF orientation of 1 to 8 says."""
    turned = np.rot90(pixels, _QUARTER_TURNS.get(orientation, 0))
    return np.ascontiguousarray(turned[:, ::-1] if orientation in _FLIPPED else turned)


def _is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:11] in _HEIF_BRANDS


def _suffix(name: str) -> str:
    file = name.rpartition("/")[2]
    return file[file.rfind(".") :].lower() if not file.startswith(".") else ""


def _open(file: BinaryIO | BytesIO, formats: tuple[str, ...]) -> ImageFile | None:
    """Pillow's image of which the header is read, however many pixels it claims; None for what is damaged."""
    with _opening:  # the limit is one for all threads
        limit, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            return Pillow.open(file, formats=formats)
        except Exception:  # damaged files fail in Pillow's readers in many ways
            return None
        finally:
            Pillow.MAX_IMAGE_PIXELS = limit
