"""A detector in an ONNX file, run by onnxruntime."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsn.detection.onnx_families import OnnxDetectorFormat, Outputs, detect_output_format
from rsn.detection.postprocessing import BOX_THRESHOLD, Detections, filter_detections, nms
from rsn.errors import DeviceError, WeightsError
from rsn.extras import require
from rsn.geometry import Image
from rsn.inference.devices import pick_device
from rsn.inference.processes import check_process

GRAY = 114  # around a letterboxed image, in YOLOX and RTMDet
DEFAULT_SIDE = 640  # of an input without a fixed size
PIXELS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxDetector:
    """Detects persons with a network of the YOLOX, RTMDet or RT-DETR families in an ONNX file, see `onnx_families`.

    Args:
        path: the file. device, box_threshold: as in `open_detector`.

    Raises:
        WeightsError: not an ONNX file that can be run, or of another format.
        MissingDependencyError: onnxruntime is not installed. DeviceError: it does not support the device.
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
            raise WeightsError(f"{path}: takes more, or something else, than an image of floating-point numbers")
        plain = np.zeros((1, 3, *self.size), PIXELS[self.image.type])
        self.format = detect_output_format(path.name, self._outputs(plain), self.size)

    def __call__(self, image: Image) -> Detections:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        check_process()
        resized, scale = _fit(image, self.size, letterboxed=self.format.letterboxed)
        corners, scores = self.format.read(self._outputs(_pixels(resized, self.format)), self.size)
        detections = filter_detections(corners / np.tile(scale, 2), scores, image.shape[:2], self.box_threshold)
        iou_threshold = self.format.nms_iou_threshold
        return detections if iou_threshold is None else nms(detections, iou_threshold)

    def _outputs(self, pixels: NDArray[Any]) -> Outputs:
        """Outputs by name for pixels (1, 3, height, width)."""
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
    available = onnxruntime.get_available_providers()
    if device == "auto" and wanted.get(kind) not in available:
        kind = "cpu"
    if wanted.get(kind) not in available:
        raise DeviceError(f"{path}: the onnxruntime that is installed cannot run on {device!r}; take --device cpu")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=[wanted[kind]])
    except Exception as error:  # onnxruntime's errors have no class in common
        raise WeightsError(f"{path}: not an ONNX file that can be run ({_first_line(error)})") from error


def _input_size(path: Path, shape: list[int | str | None]) -> tuple[int, int]:
    """(height, width); sides that are not fixed have the default size."""
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        raise WeightsError(f"{path}: its first input is {shape}; a detector's is (1, 3, height, width)")
    height, width = (side if isinstance(side, int) else DEFAULT_SIDE for side in shape[2:])
    return height, width


def _fit(image: Image, size: tuple[int, int], *, letterboxed: bool) -> tuple[Image, NDArray[np.float64]]:
    """The image in the network's input size, and the scale (x, y) from image to input."""
    scale = np.array([size[1] / image.shape[1], size[0] / image.shape[0]])
    if not letterboxed:
        return _resized(image, size[1], size[0]), scale
    scale[:] = scale.min()
    width, height = (max(round(side * factor), 1) for side, factor in zip(image.shape[1::-1], scale, strict=True))
    padded = np.full((*size, 3), GRAY, np.uint8)
    padded[:height, :width] = _resized(image, width, height)
    return padded, scale


def _resized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _pixels(image: Image, format: OnnxDetectorFormat) -> NDArray[np.float32]:
    """(H, W, 3) uint8 RGB -> (1, 3, H, W) as networks of this format take it."""
    channels = image[..., ::-1] if format.bgr else image
    normalized = (channels - np.array(format.mean)) / np.array(format.std)
    return np.ascontiguousarray(normalized.transpose(2, 0, 1)[None], np.float32)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
