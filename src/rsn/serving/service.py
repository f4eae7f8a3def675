"""Models that are served: from the bytes of an image to people, for many requests at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from rsn.codecs.arrays import as_array
from rsn.detection.postprocessing import Detector, NetworkDetector
from rsn.errors import AnnotationError, UnknownNameError
from rsn.geometry import Image
from rsn.inference.box_checks import Boxes, check_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.inference.pipeline import TOGETHER
from rsn.inference.single_model import ImageCrops
from rsn.results import PoseResult
from rsn.serving.batching import Batcher
from rsn.serving.limits import ConcurrencyLimiter, MemoryBudget, RequestError
from rsn.serving.metrics import Metrics
from rsn.serving.schemas import Heatmaps, ImageResult
from rsn.serving.settings import Limits
from rsn.serving.upload import check_size, decode

T = TypeVar("T")

DECODERS = 2  # threads that decode images and cut out crops; more would slow down the networks
LARGEST_IN_MEMORY = 4  # decoded images of the largest size at a time
IMAGES_IN_MEMORY = 2 * TOGETHER  # decoded images of any size: those in the detector, and those that are next


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model and its queue, and that of its detector if it is a `NetworkDetector`."""

    name: str
    estimator: PoseEstimator
    poses: Batcher[ImageCrops, PoseResult]
    detections: Batcher[Any, Any] | None


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
        self._networks = ThreadPoolExecutor(1, thread_name_prefix="rsn-network")
        self._turn = asyncio.Lock()
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="rsn-images")
        detections = {id(one.detector): self._detections(one.detector) for one in estimators.values()}
        self.models = {
            name: Model(name, estimator, self._poses(estimator), detections[id(estimator.detector)])
            for name, estimator in estimators.items()
        }
        self._pixels = MemoryBudget(LARGEST_IN_MEMORY * limits.pixels)

    def _poses(self, estimator: PoseEstimator) -> Batcher[ImageCrops, PoseResult]:
        return Batcher(
            estimator.predict,
            self._networks,
            self._turn,
            batch_size=estimator.batch_size,
            size_of=len,
            on_batch=self.metrics.batch_people.observe,
        )

    def _detections(self, detector: Detector | None) -> Batcher[Any, Any] | None:
        """The queue of a detector, which all models share that have it."""
        if not isinstance(detector, NetworkDetector):
            return None
        return Batcher(
            detector.forward,
            self._networks,
            self._turn,
            batch_size=TOGETHER,
            on_batch=self.metrics.batch_images.observe,
        )

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
        async with self._answered_in_time():
            result = await model.poses.run(await self._crops(model, data, boxes))
        return ImageResult.model_validate(result.to_dict())

    async def heatmaps(self, model: Model, data: bytes, boxes: Boxes | None) -> Heatmaps:
        """The heatmaps of one box of an image file, by default of the whole image.

        Raises:
            RequestError: as `people`; 422 for several boxes.
        """
        if boxes is not None and len(boxes[0]) != 1:
            raise RequestError(422, f"Invalid boxes: expected one box for heatmaps, got {len(boxes[0])}")
        estimator = model.estimator
        async with self._answered_in_time():
            crops = await self._crops(model, data, boxes, detect=False)
            heatmaps = await _in_thread(self._networks, lambda: as_array(estimator.forward([crops])))
        names = list(estimator.metadata.skeleton.keypoint_names)
        return Heatmaps.from_maps(model.name, crops.crops[0], crops.bboxes[0], names, heatmaps[0].astype(np.float64))

    async def _crops(self, model: Model, data: bytes, boxes: Boxes | None, *, detect: bool = True) -> ImageCrops:
        """Crops of the given boxes, else of the detector's, else of the whole image."""
        width, height = check_size(data, self.limits)
        least = LARGEST_IN_MEMORY * self.limits.pixels // IMAGES_IN_MEMORY
        async with self._pixels.reserve(max(width * height, least)):
            image = await _in_thread(self._decoders, lambda: decode(data))
            if boxes is None and detect and model.estimator.detector is not None:
                return await self._detect(model, image)
            return await _in_thread(self._decoders, lambda: _given_crops(model, image, boxes))

    @asynccontextmanager
    async def _answered_in_time(self) -> AsyncIterator[None]:
        """Raise RequestError for boxes that do not fit an image, and where the block takes longer than the limit."""
        seconds = self.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except AnnotationError as error:
            raise RequestError(422, str(error)) from error
        except TimeoutError as error:
            message = f"there was no result within {seconds:g} seconds; try again, or send fewer people"
            raise RequestError(503, message, retry_after=5) from error

    async def _detect(self, model: Model, image: Image) -> ImageCrops:
        """Crops of the people that the detector finds; of too many the best ones."""
        estimator, most = model.estimator, self.limits.people
        detector: Any = estimator.detector
        if model.detections is None:
            found = await _in_thread(self._decoders, lambda: estimator.detect(image))
        else:
            inputs = await _in_thread(self._decoders, lambda: detector.preprocess(image))
            outputs = await model.detections.run(inputs)
            found = await _in_thread(
                self._decoders,
                lambda: estimator.check_detections(detector.postprocess(inputs, outputs), image.shape[:2]),
            )
        bboxes, scores = found  # sorted by score
        return await _in_thread(
            self._decoders,
            lambda: estimator.preprocess(image, bboxes[:most], scores[:most], detected=True, keep_image=False),
        )


def _given_crops(model: Model, image: Image, boxes: Boxes | None) -> ImageCrops:
    """Crops of the boxes in a request, or of the whole image."""
    size = (image.shape[0], image.shape[1])
    found = check_boxes("whole", None, None, size) if boxes is None else check_boxes(*boxes, "xywh", size)
    return model.estimator.preprocess(image, *found, keep_image=False)


async def _in_thread(pool: Executor, function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, function)
