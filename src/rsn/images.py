"""Pictures on disk or in memory -> RGB pixels, and back."""

import os
import re
import struct
import threading
import warnings
from collections.abc import Iterator, Sequence
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.crops import Image, Shrink
from rsn.errors import ImageError, RsnWarning
from rsn.files import write_atomically
from rsn.image_arrays import on_white
from rsn.image_formats import (
    decode_heif,
    is_heif,
    is_image_name,
    looks_like_image,
    orientation_of,
    upright,
)

SMALLEST_SIDE = 8  # pixels; nobody can be seen in less
MOST_PIXELS = 180_000_000  # beyond it a small file unpacks to more memory than a machine may have

NAMED_AT_MOST = 10  # files that were left out

_READING = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_ENCODING = {
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 92),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 92),
    ".png": (),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 92),
}


def read_image(path: Path, *, shrink: Shrink = 1) -> Image:
    """The picture in a file as (H, W, 3) uint8 RGB, see `decode_image`.

    Raises:
        ImageError: no such file, or what `decode_image` raises.
    """
    return decode_image(_read_bytes(path), str(path), shrink=shrink)


def decode_image(data: bytes, name: str, *, shrink: Shrink = 1) -> Image:
    """The bytes of a picture file as (H, W, 3) uint8 RGB, turned upright as the file says.

    The orientation is that of the EXIF data, of AVIF and HEIF that of the container.

    Grey, palette and CMYK pictures become RGB, 16 bits become 8, transparent parts lie on white. Of an
    animation it is the first frame. `name` is what an error calls the picture.

    shrink: how many times narrower and lower it shall be, sides rounded up. A JPEG is then not even decoded in full,
    which takes half the time or less.

    Raises:
        ImageError: no bytes, not a picture, cut short, a side below 8 pixels, above 180 megapixels; HEIF, for which
            no reader is installed.
    """
    if not data:
        raise ImageError(f"{name} is an empty file, not an image; copy or download it again")
    if _is_cut_short(data):
        raise ImageError(f"{name} ends in the middle of the picture; copy or download it again")
    _check_size(name, declared_size(data))
    at_once = _shrinks_exactly(data, shrink)
    with _silent_opencv:
        pixels = _decode(data, name, shrink if at_once else 1)
    if pixels is None:
        raise ImageError(f"{name} is not a picture that can be read; convert it to JPEG or PNG")
    if not at_once:
        _check_size(name, (pixels.shape[1], pixels.shape[0]))
        pixels = shrunk(pixels, shrink)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def shrunk(pixels: Image, times: Shrink) -> Image:
    """(H, W, 3) -> means of `times` x `times` pixels, of which those beyond the edge repeat it; sides rounded up."""
    if times == 1:
        return pixels
    height, width = pixels.shape[:2]
    whole = cv2.copyMakeBorder(pixels, 0, -height % times, 0, -width % times, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // times, whole.shape[0] // times)
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


def find_images(sources: Sequence[Path]) -> list[Path]:
    """The pictures meant by `sources`: files as they are named, folders as the pictures directly in them.

    A folder's pictures are sorted by name, hidden files left out; a file that is meant twice comes once. A named file
    that does not exist is passed on: `read_image` reports it, and the others still get done.

    Raises:
        ImageError: a folder without pictures, or one that may not be read.
    """
    found = (image for source in sources for image in (_images_in(source) if isdir(source) else [source]))
    once: dict[str, Path] = {}
    for image in found:
        once.setdefault(os.path.abspath(image), image)
    return list(once.values())


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB as the JPEG, PNG or WebP file that the suffix of `path` asks for.

    Raises:
        ImageError: another suffix, or a picture too large for the format.
        RsnError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in _ENCODING:
        raise ImageError(f"cannot write {path}: its name must end in one of {', '.join(sorted(_ENCODING))}")
    with _silent_opencv:
        data = _encode(image, suffix)
    if data is None:
        size = f"{image.shape[1]} x {image.shape[0]} pixels"
        raise ImageError(f"cannot write {path}: {size} are too many for {suffix}; write a .png")
    write_atomically(path, data)


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
        unread = f", but {left_out(others)}" if others else ""
        raise ImageError(f"there is no image directly in {folder} that can be read{unread}")
    if others:
        warnings.warn(f"{folder}: {left_out(others)}", RsnWarning, stacklevel=3)
    return images


def left_out(names: Sequence[str]) -> str:
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


def _check_size(name: str, size: tuple[int, int] | None) -> None:
    """Refuse a (width, height) that is too small or too large; None, not known yet, passes."""
    if size is None:
        return
    width, height = size
    if min(size) < SMALLEST_SIDE:
        limit = f"{SMALLEST_SIDE} x {SMALLEST_SIDE}"
        raise ImageError(f"{name} has only {width} x {height} pixels; give an image of at least {limit}")
    if width * height > MOST_PIXELS:
        limit = f"{MOST_PIXELS // 10**6} megapixels"
        raise ImageError(f"{name} has {width} x {height} pixels; scale it down to at most {limit}")


def _decode(data: bytes, name: str, shrink: Shrink) -> NDArray[np.uint8] | None:
    """(H, W, 3) BGR, or None for what cannot be read. Only of a JPEG may it be anything but whole."""
    if is_heif(data):
        pixels = decode_heif(data, name)
        return None if pixels is None else on_white(pixels[..., [2, 1, 0, 3]])
    try:
        if data.startswith((_JPEG, *_TIFF)):  # which OpenCV turns upright in any case
            return _decoded(data, _READING[shrink])
        stored = _decoded(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if stored is None or not _may_be_turned(data):
        return stored
    return upright(stored, orientation_of(data))


def _decoded(data: bytes, reading: int) -> NDArray[np.uint8] | None:
    """(H, W, 3) BGR, what is transparent on white."""
    buffer = np.frombuffer(data, np.uint8)
    if _may_be_transparent(data):
        stored = cv2.imdecode(
            buffer, cv2.IMREAD_UNCHANGED
        )  # alone keeps the alpha channel, and turns no PNG or WebP
        if stored is not None and stored.shape[2:] == (4,) and stored.dtype in (np.uint8, np.uint16):
            return on_white(np.asarray(stored))
    pixels = cv2.imdecode(buffer, reading)
    return np.asarray(pixels) if pixels is not None and pixels.dtype == np.uint8 else None


def _may_be_turned(data: bytes) -> bool:
    """Whether a PNG or WebP has EXIF data; only then is it looked at by Pillow, which may have to decode it."""
    if data.startswith(_PNG):
        return b"eXIf" in data or b"Raw profile type" in data
    return _is_webp(data) and b"EXIF" in data


def _shrinks_exactly(data: bytes, times: Shrink) -> bool:
    """Whether a picture is a JPEG that can be shrunk while it is decoded, without pixels that are left over.

    Those lie at the right and at the bottom, or on other sides once the picture is turned upright.
    """
    if times == 1 or not data.startswith(_JPEG):
        return False
    size = declared_size(data)
    return size is not None and not any(side % times for side in size)


def _encode(image: Image, suffix: str) -> bytes | None:
    """The bytes of a file, or None for what the format cannot hold."""
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _ENCODING[suffix])
    except cv2.error:
        return None
    return data.tobytes() if done else None


class _SilentOpenCV:
    """Keep OpenCV's warnings off stderr: what is wrong with a picture is told once, by an ImageError.

    The level is one for all threads: the first that enters lowers it, the last that leaves restores it.
    """

    def __init__(self) -> None:
        self._logging: Any = getattr(cv2.utils, "logging", cv2)  # moved during OpenCV 4
        self._lock = threading.Lock()
        self._inside = 0
        self._level = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._level = self._logging.getLogLevel()
                self._logging.setLogLevel(0)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._logging.setLogLevel(self._level)


_silent_opencv = _SilentOpenCV()


# What a file tells before it is decoded. Some decoders fill what is missing of a file that was cut short with
# grey and say nothing, and they allocate whatever size a file claims.

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_GIF = b"GIF8"
_TIFF = (b"II*\0", b"MM\0*")
_BMP = b"BM"
_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (40, 52, 56, 108, 124))
_JPEG_MARKER = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")  # within the pixels FF is followed by 00 or D0 ... D7
_JPEG_END = 0xD9
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _is_cut_short(data: bytes) -> bool:
    if data.startswith(_JPEG):
        return all(marker != _JPEG_END for marker, _ in _jpeg_segments(data))
    if data.startswith(_PNG):
        return not _png_ends(data)
    return _is_webp(data) and len(data) < 8 + int.from_bytes(data[4:8], "little")


def _png_ends(data: bytes) -> bool:
    """Whether all chunks of a PNG are there; for one that claims gigabytes, OpenCV takes that memory at once."""
    position = len(_PNG)
    while position + 8 <= len(data):
        if data.startswith(_PNG_END, position):
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) as a JPEG, PNG, WebP, GIF or BMP file claims, before it is decoded; None for anything else."""
    if data.startswith(_JPEG):
        frames = (content for marker, content in _jpeg_segments(data) if marker in _JPEG_FRAMES)
        frame = next(frames, b"")
        height, width = frame[1:3], frame[3:5]
        return (int.from_bytes(width, "big"), int.from_bytes(height, "big")) if width else None
    if data.startswith(_PNG):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(_GIF):
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data.startswith(_BMP) and data[14:18] in _BMP_HEADERS:
        width, height = struct.unpack_from("<ii", data.ljust(26, b"\0"), 18)
        return abs(width), abs(height)  # a negative height: the rows run from top to bottom
    return _webp_size(data) if _is_webp(data) else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Each of the format's three kinds has the size at another place, in other bits."""
    match data[12:16]:
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            bits = int.from_bytes(data[26:30], "little")
            return bits & 0x3FFF, bits >> 16 & 0x3FFF
    return None


def _may_be_transparent(data: bytes) -> bool:
    if data.startswith(_PNG):
        has_alpha_channel = data[25:26] in (b"\4", b"\6")
        return has_alpha_channel or data.find(b"tRNS", 0, data.find(b"IDAT")) >= 0
    if _is_webp(data):
        return data[12:16] != b"VP8 "  # the simple lossy kind
    return not data.startswith(_JPEG)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of the picture itself; a thumbnail within the EXIF segment is skipped with it."""
    position = 2
    while found := _JPEG_MARKER.search(data, position):
        start, marker = found.end(), data[found.end() - 1]
        position = start + int.from_bytes(data[start : start + 2], "big")
        yield marker, data[start + 2 : position]
        if marker == _JPEG_END:
            return
