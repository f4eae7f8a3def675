"""A detector in an ONNX file, run by onnxruntime."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.detection.onnx_families import OnnxDetectorFormat, Outputs, detect_output_format
from rsn.detection.postprocessing import BOX_THRESHOLD, Detections, box_nms, filter_detections
from rsn.errors import DeviceError, WeightsError
from rsn.extras import require
from rsn.geometry import Image
from rsn.inference.devices import pick_device
from rsn.inference.processes import check_process

GRAY = 114  # around a letterboxed image, in YOLOX and RTMDet alike
USUAL_SIDE = 640  # of an input whose size the file leaves open
PIXELS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxDetector:
    """People, by a network of the YOLOX, RTMDet or RT-DETR families in an ONNX file; see `onnx_families`.

    Args:
        path: the file. device, box_threshold: as in `open_detector`.

    Raises:
        WeightsError: not an ONNX file that can be run, or of no known family.
        DeviceError: onnxruntime is not installed, or not for that device.
    """

    def __init__(self, path: Path, *, device: str = "auto", box_threshold: float = BOX_THRESHOLD) -> None:
        check_process()
        require("onnxruntime", extra="detect", feature=f"the detector {path}")
        self.path = path
        self.box_threshold = box_threshold
        self.session = _open_session(path, device)
        self.image, *others = self.session.get_inputs()
        self.size_input = others[0].name if others else None
        self.size = _input_size(path, self.image.shape)
        if self.image.type not in PIXELS or len(others) > 1:
            raise WeightsError(
                f"{path}: takes more, or something else, than an image of floating-point numbers"
            )
        plain = np.zeros((1, 3, *self.size), PIXELS[self.image.type])
        self.family = detect_output_format(path.name, self._answers(plain), self.size)

    def __call__(self, image: Image) -> Detections:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        check_process()
        fit_aspect, scale = _fit(image, self.size, letterboxed=self.family.letterboxed)
        corners, scores = self.family.read(self._answers(_pixels(fit_aspect, self.family)), self.size)
        found = filter_detections(corners / np.tile(scale, 2), scores, image.shape[:2], self.box_threshold)
        return (
            found if self.family.nms_iou_threshold is None else box_nms(found, self.family.nms_iou_threshold)
        )

    def _answers(self, pixels: NDArray[Any]) -> Outputs:
        """Outputs by name for (1, 3, height, width); boxes of any family then are in pixels of the input, or parts."""
        feed: dict[str, NDArray[Any]] = {self.image.name: pixels.astype(PIXELS[self.image.type])}
        if self.size_input is not None:
            feed[self.size_input] = np.array([self.size[::-1]], np.int64)
        try:
            values = self.session.run(None, feed)
        except Exception as error:  # onnxruntime's errors have no class in common
            raise WeightsError(f"{self.path}: cannot be run ({_first_line(error)})") from error
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, values, strict=True))


def _open_session(path: Path, device: str) -> Any:
    import onnxruntime  # type: ignore[import-untyped]

    wanted = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    kind = pick_device(device).type
    there = onnxruntime.get_available_providers()
    if device == "auto" and wanted.get(kind) not in there:
        kind = "cpu"
    if wanted.get(kind) not in there:
        raise DeviceError(
            f"{path}: the onnxruntime that is installed cannot run on {device!r}; take --device cpu"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=[wanted[kind]])
    except Exception as error:  # onnxruntime's errors have no class in common
        raise WeightsError(f"{path}: not an ONNX file that can be run ({_first_line(error)})") from error


def _input_size(path: Path, shape: list[int | str | None]) -> tuple[int, int]:
    """(height, width); what the file leaves open is taken as usual."""
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        raise WeightsError(f"{path}: its first input is {shape}; a detector's is (1, 3, height, width)")
    height, width = (side if isinstance(side, int) else USUAL_SIDE for side in shape[2:])
    return height, width


def _fit(image: Image, size: tuple[int, int], *, letterboxed: bool) -> tuple[Image, NDArray[np.float64]]:
    """The image at the network's size, and the scale (x, y) that it was brought there by."""
    scale = np.array([size[1] / image.shape[1], size[0] / image.shape[0]])
    if not letterboxed:
        return _resized(image, size[1], size[0]), scale
    scale[:] = scale.min()
    width, height = (
        max(round(side * factor), 1) for side, factor in zip(image.shape[1::-1], scale, strict=True)
    )
    fit_aspect = np.full((*size, 3), GRAY, np.uint8)
    fit_aspect[:height, :width] = _resized(image, width, height)
    return fit_aspect, scale


def _resized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _pixels(image: Image, family: OnnxDetectorFormat) -> NDArray[np.float32]:
    """(H, W, 3) uint8 RGB -> (1, 3, H, W) as the family's networks take it."""
    channels = image[..., ::-1] if family.bgr else image
    normal = (channels - np.array(family.mean)) / np.array(family.std)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
