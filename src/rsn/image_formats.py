"""What image files are: by their names, by their first bytes, and how their content is to be turned.

OpenCV decodes most formats; Pillow reads the orientation of all of them, and decodes AVIF, and HEIF where the package
pillow-heif is installed.
"""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.ExifTags import Base

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
_BEGINNINGS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"\xffO\xffQ", b"\xff\x0a",
    b"\0\0\0\x0cJXL ", b"8BPS", b"qoif",
)  # fmt: skip
_AVIF = frozenset({b"avif", b"avis"})
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_HEIF_READER = "pillow_heif"
_MIRRORED = frozenset({2, 4, 5, 7})  # EXIF orientations
_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}  # counterclockwise, before a horizontal flip


def is_image_name(name: str) -> bool:
    """Whether a file is read as an image where it lies in a folder: by its suffix, unless it is hidden."""
    return _suffix(name) in SUFFIXES


def is_unread_image_name(name: str) -> bool:
    """Whether a file is by its suffix an image of a kind that is not read."""
    return _suffix(name) in UNREAD_SUFFIXES


def looks_like_image(path: Path) -> bool:
    """Whether a file that is not read as an image is one, by its suffix or by its first bytes."""
    if is_unread_image_name(path.name):
        return True
    try:
        with open(path, "rb") as file:
            beginning = file.read(64)
    except OSError:
        return False
    is_webp = beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP"
    return beginning.startswith(_BEGINNINGS) or is_webp or is_heif(beginning)


def is_heif(data: bytes) -> bool:
    """Whether bytes are an AVIF or HEIF file, which have one container."""
    return bool(_brands(data) & (_AVIF | _HEIF))


def decode_heif(data: bytes, name: str) -> NDArray[np.uint8] | None:
    """The bytes of an AVIF or HEIF file as (H, W, 4) uint8 RGBA, upright; None where they are damaged.

    Its orientation is the container's (irot, imir); EXIF data in it do not count, as in browsers.

    Raises:
        ImageError: HEIF, and no reader for it is installed; more pixels than Pillow decodes.
    """
    if not _brands(data) & _AVIF and find_spec(_HEIF_READER) is None:
        raise ImageError(
            f"{name} is a HEIF image (HEIC), for which no reader is installed; pip install pillow-heif, or convert it"
            " to JPEG or PNG"
        )
    try:
        image = _opened(data)
    except Pillow.DecompressionBombError as error:
        raise ImageError(f"{name} has too many pixels ({error}); scale it down") from error
    if image is None:
        return None
    try:
        turned = upright(np.asarray(image.convert("RGBA"), np.uint8), _orientation(image))
    except Exception:  # damaged files fail in Pillow's decoders in many ways
        return None
    return turned


def orientation_of(data: bytes) -> int:
    """How an image file's pixels are to be turned, 1 to 8 as in EXIF; 1, not at all, where it does not say.

    Of HEIF it is what was already done to the pixels that are read.
    """
    try:
        image = _opened(data)
    except Pillow.DecompressionBombError:
        return 1
    if image is None:
        return 1
    done: object = image.info.get("original_orientation")  # by pillow-heif
    return done if isinstance(done, int) else _orientation(image)


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, C) as stored -> upright, as an EXIF orientation of 1 to 8 says."""
    turned = np.rot90(pixels, _QUARTER_TURNS.get(orientation, 0))
    return np.ascontiguousarray(turned[:, ::-1] if orientation in _MIRRORED else turned)


def _suffix(name: str) -> str:
    file = name.rpartition("/")[2]
    return file[file.rfind(".") :].lower() if not file.startswith(".") else ""


def _brands(data: bytes) -> frozenset[bytes]:
    """What the container of AVIF, HEIF, MP4 and others says that it is compatible with."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    return frozenset({data[8:12], *(data[start : start + 4] for start in range(16, end, 4))})


def _opened(data: bytes) -> Pillow.Image | None:
    """An image whose header Pillow has read, of the formats that have an orientation; None for any other.

    Raises:
        PIL.Image.DecompressionBombError: it has more pixels than Pillow decodes.
    """
    formats = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]
    if is_heif(data) and not _brands(data) & _AVIF:
        if find_spec(_HEIF_READER) is None:
            return None
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ["HEIF"]
    try:
        return Pillow.open(BytesIO(data), formats=formats)
    except Pillow.DecompressionBombError:
        raise
    except Exception:  # damaged files fail in Pillow's readers in many ways
        return None


def _orientation(image: Pillow.Image) -> int:
    try:
        value = image.getexif().get(Base.Orientation)
    except Exception:  # EXIF data may hold anything
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
