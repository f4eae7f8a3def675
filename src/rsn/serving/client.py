"""A client of `rsn serve` with the results of an estimator."""

import json
from dataclasses import replace
from http.client import HTTPException
from os import PathLike
from os.path import exists
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import cv2
import numpy as np

from rsn.errors import AnnotationError, ImageError, RsnError
from rsn.geometry import Image
from rsn.inference.box_checks import BoxFormat, check_boxes
from rsn.inference.sources import ColorOrder, is_collection, load_image
from rsn.results import PoseResult

JPEG = b"\xff\xd8\xff"  # the first bytes of a file


class Client:
    """Sends images to a service, and returns what a `PoseEstimator` returns.

        client = rsn.serving.Client("http://127.0.0.1:8000")
        result = client("image.jpg")

    Args:
        url: of the service. model: name of one of its models; its first model by default.
        timeout: seconds to wait for a response.
        allow_urls: also accept URLs of images, as `PoseEstimator` does; the client downloads them.
    """

    def __init__(self, url: str, *, model: str | None = None, timeout: float = 60.0, allow_urls: bool = False) -> None:
        self.url = url.rstrip("/")
        self.model = model
        self.timeout = timeout
        self.allow_urls = allow_urls

    def __call__(
        self,
        source: Any,
        boxes: Any = None,
        *,
        box_format: BoxFormat | None = None,
        box_scores: Any = None,
        color_order: ColorOrder = "RGB",
        keep_image: bool = True,
    ) -> PoseResult:
        """The persons of one image; arguments as those of `PoseEstimator`.

        Raises:
            ImageError, AnnotationError: as `PoseEstimator`; several images.
            RsnError: the service cannot be reached, or refuses the request.
        """
        if is_collection(source):
            raise ImageError(f"Invalid source: expected one image, got a {type(source).__name__}; send one at a time")
        image = load_image(source, color_order=color_order, allow_urls=self.allow_urls)
        query = {} if self.model is None else {"model": self.model}
        if boxes is not None:
            rows = check_boxes(boxes, box_scores, box_format, image.shape[:2])
            query["boxes"] = json.dumps(np.column_stack(rows).tolist())
        url = f"{self.url}/api/people?{urlencode(query)}"
        data = _to_file(source, image)
        try:
            request = Request(url, data, {"Content-Type": "application/octet-stream"})
            with urlopen(request, timeout=self.timeout) as response:
                result = PoseResult.from_dict(json.load(response))
        except HTTPError as error:
            raise RsnError(f"{self.url}: {_reason(error)}") from error
        except (URLError, OSError, ValueError, HTTPException, AnnotationError) as error:
            # The service closes the connection of a file that is too large, often before it is sent.
            closed = isinstance(getattr(error, "reason", error), BrokenPipeError | ConnectionResetError)
            size = f"is a file of {len(data) / 1e6:.1f} MB above its --limits.megabytes?"
            hint = size if closed else "is it running?"
            raise RsnError(f"{self.url}: there is no response of rsn serve ({error}); {hint}") from error
        return replace(result, image=image if keep_image else None)


def _to_file(source: Any, image: Image) -> bytes:
    """The image file that is sent: a JPEG file as it is, since it is much smaller; any other source as PNG."""
    if isinstance(source, str | PathLike) and exists(source):
        with open(source, "rb") as file:
            source = file.read()
    if isinstance(source, bytes) and source.startswith(JPEG):
        return source
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def _reason(error: HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return str(error)
