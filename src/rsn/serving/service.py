"""Models that are served: from the bytes of an image to people, for many requests at a time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from rsn.codecs.arrays import as_array
from rsn.errors import AnnotationError, UnknownNameError
from rsn.inference.box_checks import Boxes, check_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.inference.single_model import ImageCrops
from rsn.serving.batching import Batcher
from rsn.serving.limits import ConcurrencyLimiter, MemoryBudget, RequestError
from rsn.serving.metrics import Metrics
from rsn.serving.schemas import Heatmaps, ImageResult
from rsn.serving.settings import Limits
from rsn.serving.upload import check_size, decode

DECODERS = 2  # threads that decode images and detect people; more would slow down the network
IMAGES_IN_MEMORY = 4  # of the largest size; of smaller ones accordingly more


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model and its queue."""

    name: str
    estimator: PoseEstimator
    batcher: Batcher


class Service:
    """Loaded models, and the limits of their use.

    Args:
        estimators: by model name; the first is the default.
        limits: see `Limits`.

    Raises:
        RsnError: an invalid limit.
    """

    def __init__(self, estimators: Mapping[str, PoseEstimator], limits: Limits) -> None:
        limits.check()
        self.limits = limits
        self.limiter = ConcurrencyLimiter(limits.requests)
        self.metrics = Metrics(self.limiter)
        self.models = {
            name: Model(name, estimator, Batcher(estimator, self.metrics.batch_people.observe))
            for name, estimator in estimators.items()
        }
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="rsn-images")
        self._pixels = MemoryBudget(IMAGES_IN_MEMORY * limits.pixels)

    def model(self, name: str | None) -> Model:
        """A model by name, or the default one; raises RequestError 404 if it is not loaded."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise RequestError(404, str(UnknownNameError("loaded model", name, self.models)))
        return self.models[name]

    async def people(self, model: Model, data: bytes, boxes: Boxes | None) -> ImageResult:
        """The people of an image file.

        Raises:
            RequestError: an invalid image, invalid boxes, or no result in time.
        """
        async with self._crops(model, data, boxes) as crops:
            result = await model.batcher.predict(crops)
        return ImageResult.model_validate(result.to_dict())

    async def heatmaps(self, model: Model, data: bytes, boxes: Boxes | None) -> Heatmaps:
        """The heatmaps of one box of an image file, by default of the whole image.

        Raises:
            RequestError: as `people`; 422 for several boxes.
        """
        if boxes is not None and len(boxes[0]) != 1:
            raise RequestError(422, f"Invalid boxes: expected one box for heatmaps, got {len(boxes[0])}")
        estimator = model.estimator
        async with self._crops(model, data, boxes, detect=False) as crops:
            maps = await model.batcher.run(lambda: as_array(estimator.forward([crops]))[0].astype(np.float64))
        names = list(estimator.metadata.skeleton.keypoint_names)
        return Heatmaps.from_maps(model.name, crops.crops[0], crops.bboxes[0], names, maps)

    @asynccontextmanager
    async def _crops(
        self, model: Model, data: bytes, boxes: Boxes | None, *, detect: bool = True
    ) -> AsyncIterator[ImageCrops]:
        """Crops of the given boxes, else of the detector's, else of the whole image, within the limits."""
        width, height = check_size(data, self.limits)
        most, seconds = self.limits.people, self.limits.seconds

        def prepare() -> ImageCrops:
            image = decode(data)
            size = (image.shape[0], image.shape[1])
            detected = detect and boxes is None and model.estimator.detector is not None
            if detected:
                bboxes, scores = model.estimator.detect(image)
                found = bboxes[:most], scores[:most]  # sorted by score
            elif boxes is None:
                found = check_boxes("whole", None, None, size)
            else:
                found = check_boxes(*boxes, "xywh", size)
            return model.estimator.preprocess(image, *found, detected=detected, keep_image=False)

        try:
            async with asyncio.timeout(seconds), self._pixels.reserve(width * height):
                yield await asyncio.get_running_loop().run_in_executor(self._decoders, prepare)
        except AnnotationError as error:
            raise RequestError(422, str(error)) from error
        except TimeoutError as error:
            message = f"there was no result within {seconds:g} seconds; try again, or send fewer people"
            raise RequestError(503, message, retry_after=5) from error
