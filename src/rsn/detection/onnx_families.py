"""The formats of detectors in ONNX files, recognized by their outputs.

A file does not describe its input, but its outputs show which exporter wrote it:

- one output (1, cells, 5 + classes), a row per cell of strides 8, 16, 32 (and 64): YOLOX's own exporter; boxes may be
  relative to their cells or absolute
- `dets` (1, N, 5) and `labels` (1, N): mmdeploy, for RTMDet and for YOLOX
- `labels`, `boxes`, `scores`, and a second input for the image's size: the exporters of RT-DETR and D-FINE
- `logits` (1, N, classes) and `pred_boxes` (1, N, 4): RT-DETR and D-FINE of transformers

In all of them persons are class 0, as in COCO.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.detection.postprocessing import to_corners
from rsn.errors import WeightsError
from rsn.geometry import FloatArray

Outputs = Mapping[str, NDArray[Any]]
# Outputs and the input's (height, width) -> left, top, right, bottom (N, 4) in input pixels, and scores (N,).
Reader = Callable[[Outputs, tuple[int, int]], tuple[FloatArray, FloatArray]]

PERSON = 0
STRIDES = (8, 16, 32, 64)  # of YOLOX; the last for its largest models only


@dataclass(frozen=True)
class OnnxDetectorFormat:
    """The inputs and outputs of one kind of detector.

    letterboxed: the image keeps its aspect ratio, in the top left corner on gray; otherwise it is stretched. bgr: order
    of the channels. mean, std: in that order, of pixels in [0, 255]. nms_iou_threshold: for networks without NMS.
    """

    read: Reader
    letterboxed: bool
    bgr: bool
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    nms_iou_threshold: float | None = None


def detect_output_format(name: str, outputs: Outputs, size: tuple[int, int]) -> OnnxDetectorFormat:
    """The format of a file, by its outputs for an image of one color.

    Raises:
        WeightsError: other outputs; or those of mmdeploy, and a file name without rtmdet or yolox.
    """
    shapes = {output: value.shape for output, value in outputs.items()}
    if set(shapes) == {"dets", "labels"} and shapes["dets"][2:] == (5,):
        return _by_mmdeploy(name)
    if set(shapes) >= {"labels", "boxes", "scores"} and shapes["boxes"][2:] == (4,):
        return DETR_DEPLOYED
    if {"logits", "pred_boxes"} <= set(shapes) and shapes["pred_boxes"][2:] == (4,):
        return DETR_QUERIES
    only = next(iter(shapes.values()))
    if len(shapes) == 1 and len(only) == 3 and only[1] in _cell_counts(size) and only[2] > 5:
        return YOLOX
    told = ", ".join(f"{output} {shape}" for output, shape in shapes.items())
    raise WeightsError(
        f"{name}: its outputs ({told}) are those of no family of detectors that is known here: YOLOX, RTMDet, RT-DETR"
    )


def _by_mmdeploy(name: str) -> OnnxDetectorFormat:
    families = [family for word, family in MMDEPLOY.items() if word in name.lower()]
    if len(families) != 1:
        raise WeightsError(
            f"{name}: mmdeploy writes RTMDet and YOLOX alike, but they want different pixels; let the file's name"
            " have rtmdet or yolox in it"
        )
    return families[0]


def _read_yolox(outputs: Outputs, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    (rows,) = (np.asarray(output[0], np.float64) for output in outputs.values())
    centers, extents = rows[:, :2], rows[:, 2:4]
    if centers.max() < max(size) / 2:  # relative to the cells: no center lies in the far half of the image
        corners, strides = _cells(size, len(rows))
        centers = (centers + corners) * strides
        extents = np.exp(extents) * strides
    return to_corners(centers, extents), rows[:, 4] * rows[:, 5 + PERSON]


def _read_mmdeploy(outputs: Outputs, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    rows = np.asarray(outputs["dets"][0], np.float64)[outputs["labels"][0] == PERSON]
    return rows[:, :4], rows[:, 4]


def _read_deployed(outputs: Outputs, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    people = outputs["labels"][0] == PERSON
    boxes, scores = (np.asarray(outputs[name][0], np.float64)[people] for name in ("boxes", "scores"))
    return boxes, scores


def _read_queries(outputs: Outputs, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    height, width = size
    boxes = np.asarray(outputs["pred_boxes"][0], np.float64) * (width, height, width, height)
    logits = np.asarray(outputs["logits"][0], np.float64)[:, PERSON]
    return to_corners(boxes[:, :2], boxes[:, 2:]), 1 / (1 + np.exp(-logits))


def _cell_counts(size: tuple[int, int]) -> list[int]:
    """The number of rows of YOLOX's output, with three and with four strides."""
    counts = np.cumsum([(size[0] // stride) * (size[1] // stride) for stride in STRIDES])
    return [int(count) for count in counts[2:]]


def _cells(size: tuple[int, int], rows: int) -> tuple[FloatArray, FloatArray]:
    """The cell (x, y) of each row in units of its stride, (rows, 2), and the stride, (rows, 1)."""
    places, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride].reshape(2, -1)
        places.append(np.column_stack([x, y]).astype(np.float64))
        strides.append(np.full((len(x), 1), float(stride)))
    return np.concatenate(places)[:rows], np.concatenate(strides)[:rows]


YOLOX = OnnxDetectorFormat(_read_yolox, letterboxed=True, bgr=True, nms_iou_threshold=0.5)
DETR_DEPLOYED = OnnxDetectorFormat(_read_deployed, letterboxed=False, bgr=False, std=(255.0, 255.0, 255.0))
DETR_QUERIES = OnnxDetectorFormat(_read_queries, letterboxed=False, bgr=False, std=(255.0, 255.0, 255.0))
MMDEPLOY = {
    "yolox": OnnxDetectorFormat(_read_mmdeploy, letterboxed=True, bgr=True),
    "rtmdet": OnnxDetectorFormat(
        _read_mmdeploy,
        letterboxed=True,
        bgr=True,
        mean=(103.53, 116.28, 123.675),
        std=(57.375, 57.12, 58.395),
    ),
}
