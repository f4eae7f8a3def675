"""RT-DETR and D-FINE in the transformers library.

Zhao et al., *DETRs Beat YOLOs on Real-time Object Detection* (CVPR 2024); Peng et al., *D-FINE* (ICLR 2025).
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR
from os.path import isdir
from typing import Any

import cv2
import torch
from safetensors import SafetensorError
from torch import Tensor

from rsn.detection.postprocessing import BOX_THRESHOLD, Detections, filter_detections, to_corners
from rsn.errors import RsnWarning, WeightsError
from rsn.extras import require
from rsn.geometry import Image
from rsn.inference.devices import pick_device
from rsn.inference.processes import check_process

FAMILIES = ("rt_detr", "rt_detr_v2", "d_fine")  # `model_type` of their config.json


@dataclass(frozen=True)
class ImageProcessorConfig:
    """The settings of preprocessor_config.json that these families use.

    size: (height, width) that an image is resized to, whatever its aspect ratio. factor: multiplies the pixels. mean,
    std: RGB, of the multiplied pixels.
    """

    size: tuple[int, int]
    factor: float
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "ImageProcessorConfig":
        """Read the settings; raises KeyError or TypeError if they are of another kind."""
        size = (int(settings["size"]["height"]), int(settings["size"]["width"]))
        factor = float(settings["rescale_factor"]) if settings["do_rescale"] else 1.0
        if not settings["do_normalize"]:
            return cls(size, factor)
        return cls(size, factor, tuple(settings["image_mean"]), tuple(settings["image_std"]))

    def __call__(self, image: Image) -> Tensor:
        """(H, W, 3) uint8 RGB -> (1, 3, height, width) float32."""
        height, width = self.size
        shrinks = height * width < image.shape[0] * image.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = torch.from_numpy(cv2.resize(image, (width, height), interpolation=interpolation))
        normal = (pixels * self.factor - torch.tensor(self.mean)) / torch.tensor(self.std)
        return normal.permute(2, 0, 1)[None]


class DetrDetector:
    """Detects persons with a detection model of transformers.

    Args:
        name: OWNER/NAME on the Hugging Face hub, downloaded once by transformers into its own cache, or a folder with
            config.json, model.safetensors and preprocessor_config.json.
        device, box_threshold: as in `open_detector`.

    Raises:
        WeightsError: the model cannot be downloaded or read, is of another family, or has no class for persons.
        MissingDependencyError: transformers is not installed. DeviceError: the device is not available.
    """

    def __init__(self, name: str, *, device: str = "auto", box_threshold: float = BOX_THRESHOLD) -> None:
        check_process()
        require("transformers", extra="detect", feature=f"the detector {name}")
        from transformers import AutoConfig, AutoModelForObjectDetection, ImageProcessingMixin

        self.device = pick_device(device)
        self.box_threshold = box_threshold
        _warn_of_download(name)
        with _as_weights_error(name):
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        if config.model_type not in FAMILIES:
            raise WeightsError(f"{name}: expected a model of type {', '.join(FAMILIES)}, got {config.model_type}")
        self.person = _person_label(name, config.id2label)
        with _as_weights_error(name):
            # No pickles and no remote code: safetensors and transformers' own classes only.
            model = AutoModelForObjectDetection.from_pretrained(
                name, config=config, trust_remote_code=False, use_safetensors=True
            )
            settings, _ = ImageProcessingMixin.get_image_processor_dict(name)
            self.prepare = ImageProcessorConfig.from_dict(settings)
        self.model = model.eval().to(self.device)

    @torch.inference_mode()
    def __call__(self, image: Image) -> Detections:
        """(H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best first."""
        check_process()
        outputs = self.model(pixel_values=self.prepare(image).to(self.device))
        scores = outputs.logits[0, :, self.person].sigmoid().double().cpu().numpy()
        height, width = image.shape[:2]
        boxes = outputs.pred_boxes[0].double().cpu().numpy() * (width, height, width, height)
        corners = to_corners(boxes[:, :2], boxes[:, 2:])
        return filter_detections(corners, scores, (height, width), self.box_threshold)


def _person_label(name: str, labels: Mapping[int, str]) -> int:
    for number, label in labels.items():
        if label.lower() == "person":
            return int(number)
    raise WeightsError(f"{name}: has no label 'person' among its {len(labels)}, so it detects no persons")


def _warn_of_download(name: str) -> None:
    from huggingface_hub import try_to_load_from_cache

    if not isdir(name) and not isinstance(try_to_load_from_cache(name, "model.safetensors"), str):
        warnings.warn(f"{name}: is downloaded from the Hugging Face hub, once", RsnWarning, stacklevel=4)


@contextmanager
def _as_weights_error(name: str) -> Iterator[None]:
    """Turn the errors of transformers about a model into a WeightsError."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity(ERROR)  # it reports every attempt to reach the hub
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "in that folder" if isdir(name) else "on the Hugging Face hub or in its cache"
        raise WeightsError(f"{name}: there is no usable detector of that name {where} ({reason})") from error
    finally:
        hub_logging.set_verbosity(verbosity)
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]
