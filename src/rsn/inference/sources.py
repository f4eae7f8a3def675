"""Images as callers have them -> (H, W, 3) uint8 RGB."""

import sys
from collections.abc import Iterator
from glob import has_magic
from os import PathLike, fspath
from os.path import exists, isdir
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from rsn.errors import ImageError
from rsn.geometry import Image
from rsn.io.downloads import fetch
from rsn.io.images import decode_image, from_pillow, on_white, read_image
from rsn.io.video_names import camera_name, has_video_suffix, is_url

ColorOrder = Literal["RGB", "BGR"]  # of arrays and tensors
if TYPE_CHECKING:
    import torch

    Source = str | PathLike[str] | bytes | Pillow.Image | NDArray[Any] | torch.Tensor
else:
    Source = Any

MAX_URL_BYTES = 100_000_000  # of an image that is downloaded
EXPECTED = "Invalid source: expected a path, bytes, a PIL image, an array (H, W, 3) or a tensor (3, H, W), got"


def is_collection(source: object) -> bool:
    """Whether a source is several images: a list or tuple, or an iterator such as a generator; not an open file."""
    return isinstance(source, list | tuple | Iterator) and not hasattr(source, "read")


def load_image(source: object, *, color_order: ColorOrder = "RGB", allow_urls: bool = False) -> Image:
    """One image as (H, W, 3) uint8 RGB; gray becomes RGB, transparent parts lie on white.

    Args:
        source: the path of an image file, its bytes or an open file, a PIL image, a uint8 array (H, W, 3), (H, W, 4),
            (H, W, 1) or (H, W), or a uint8 tensor (3, H, W). Files and PIL images are turned upright as their EXIF data
            says.
        color_order: of arrays and tensors of 3 or 4 channels; BGR is what OpenCV reads.
        allow_urls: also accept http and https URLs, of at most 100 MB.

    Raises:
        ImageError: anything else, a file that is not an image, or a folder, pattern, URL or video.
        DownloadError: a URL that cannot be downloaded.
    """
    if isinstance(source, str | PathLike):
        return _read(fspath(source), allow_urls)
    read = getattr(source, "read", None)
    if callable(read):  # an open file, or io.BytesIO
        source = read()
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(bytes(source), "the image in the given bytes")
    if isinstance(source, Pillow.Image):
        return from_pillow(source)
    if _is_tensor(source):
        source = _array_of(source)
    if isinstance(source, np.ndarray):
        return _from_array(source, color_order)
    raise ImageError(_other_type(source))


def _is_tensor(source: object) -> "TypeGuard[torch.Tensor]":
    """Whether a source is a tensor of PyTorch, which is imported if there is one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _read(path: str | bytes, allow_urls: bool) -> Image:
    name = path if isinstance(path, str) else path.decode(errors="replace")
    if is_url(name) and allow_urls:
        return decode_image(fetch(name, max_bytes=MAX_URL_BYTES), name)
    if not exists(name) and (camera_name(name) is not None or (is_url(name) and not name.lower().startswith("http"))):
        raise ImageError(f"Invalid source: expected an image, got the camera or stream {name}; run rsn predict {name}")
    if is_url(name):
        raise ImageError(
            f"Invalid source: expected a file, got the URL {name}; to download it, create the estimator or client"
            " with allow_urls=True"
        )
    if isdir(name):
        raise ImageError(
            f"Invalid source: expected an image, got the folder {name}; pass a list of its images, or run"
            f" rsn predict {name}"
        )
    if has_video_suffix(name):
        raise ImageError(f"Invalid source: expected an image, got the video {name}; run rsn predict {name}")
    if has_magic(name) and not exists(name):
        raise ImageError(
            f"Invalid source: expected an image, got the pattern {name}; pass a list of files, sorted(glob({name!r}))"
        )
    return read_image(Path(name))


def _array_of(tensor: "torch.Tensor") -> NDArray[Any]:
    """(3, H, W) -> an array (H, W, 3)."""
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = "; pass a list of images for a batch" if tensor.ndim == 4 else ""
        raise ImageError(f"Invalid tensor: expected (3, H, W) uint8, got {tuple(tensor.shape)} {tensor.dtype}{hint}")
    return np.asarray(tensor.detach().cpu().permute(1, 2, 0).numpy())


def _from_array(array: NDArray[Any], color_order: ColorOrder) -> Image:
    image = array[..., None] if array.ndim == 2 else array
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        hint = ""
        if image.ndim == 4:
            hint = "; pass a list of images for a batch"
        elif image.ndim == 3 and image.shape[0] in (1, 3, 4) and image.shape[2] not in (1, 3, 4):
            hint = "; move the channels to the end: image.transpose(1, 2, 0)"
        elif image.dtype.kind in "OSU":
            hint = "; pass a list of paths or images: list(array)"
        elif image.dtype != np.uint8:
            hint = "; scale it to 0 ... 255 and convert it with .astype('uint8')"
        raise ImageError(f"Invalid array: expected (H, W, 3) uint8, got {array.shape} {array.dtype}{hint}")
    if image.size == 0:
        raise ImageError(f"Invalid array: expected pixels, got an empty array of shape {array.shape}")
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if color_order == "BGR":
        image = image[..., [2, 1, 0, 3][: image.shape[2]]]
    if image.shape[2] == 4:
        image = on_white(image)
    return np.ascontiguousarray(image)


def _other_type(source: object) -> str:
    if source is None:
        return f"{EXPECTED} None, which cv2.imread returns for a file that it cannot read; check the path"
    if isinstance(source, list | tuple):
        return f"{EXPECTED} a {type(source).__name__} within a list; pass a flat list of images"
    return f"{EXPECTED} {type(source).__module__}.{type(source).__qualname__}"
