"""From the bytes of an image to people, for many requests at a time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rsn.errors import AnnotationError, UnknownNameError
from rsn.inference.box_checks import Boxes, check_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.inference.single_model import ImageCrops
from rsn.serving.admission import ConcurrencyLimiter, MemoryBudget, RequestError
from rsn.serving.batching import Batcher
from rsn.serving.limits import Limits
from rsn.serving.metrics import Metrics
from rsn.serving.schemas import Heatmaps, ImageResult, PersonResult
from rsn.serving.upload import checked_size, unpacked

DECODERS = 2  # threads that decode images and find people; more would take the network's processor
IMAGES_IN_MEMORY = 4  # of the largest size; many more of usual ones


@dataclass(frozen=True, eq=False)
class Model:
    """A model that is loaded, and its queue."""

    name: str
    estimator: PoseEstimator
    batcher: Batcher


class Service:
    """Models, and the limits within which they are lent out.

    Args:
        estimators: by the name that requests choose them by; the first is taken where none is named.
        limits: see `Limits`.

    Raises:
        RsnError: a limit that cannot be.
    """

    def __init__(self, estimators: Mapping[str, PoseEstimator], limits: Limits) -> None:
        limits.check()
        self.limits = limits
        self.door = ConcurrencyLimiter(limits.requests)
        self.metrics = Metrics(self.door)
        self.models = {
            name: Model(name, estimator, Batcher(estimator, self.metrics.batch_people.observe))
            for name, estimator in estimators.items()
        }
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="rsn-images")
        self._pixels = MemoryBudget(IMAGES_IN_MEMORY * limits.pixels)

    def model(self, name: str | None) -> Model:
        """A model by name, or the first one.

        Raises:
            Refused: 404 where it is not loaded.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise RequestError(404, str(UnknownNameError("loaded model", name, self.models)))
        return self.models[name]

    async def people(self, model: Model, data: bytes, boxes: Boxes | None) -> ImageResult:
        """The people of an image file.

        Raises:
            Refused: an image or boxes that are invalid, or no answer in time.
        """
        async with self._crops(model, data, boxes) as crops:
            people = await model.batcher.people(crops)
        (height, width), skeleton = people.image_size, people.skeleton
        return ImageResult(
            model=model.name,
            width=width,
            height=height,
            keypoints=list(skeleton.keypoint_names),
            limbs=list(skeleton.limbs),
            people=[PersonResult(**person.to_dict()) for person in people],
        )

    async def heatmaps(self, model: Model, data: bytes, boxes: Boxes | None) -> Heatmaps:
        """The heatmaps of one box of an image file, by default of the whole image.

        Raises:
            Refused: as for `people`; 422 for several boxes.
        """
        if boxes is not None and len(boxes[0]) != 1:
            raise RequestError(422, f"heatmaps are of one box at a time, not of {len(boxes[0])}")
        estimator = model.estimator
        async with self._crops(model, data, boxes, detect=False) as crops:
            maps = await model.batcher.run(lambda: estimator.forward([crops])[0].cpu().double().numpy())
        return Heatmaps.of(
            model.name,
            crops.crops[0],
            crops.bboxes[0],
            list(estimator.metadata.skeleton.keypoint_names),
            maps,
        )

    @asynccontextmanager
    async def _crops(
        self, model: Model, data: bytes, boxes: Boxes | None, *, detect: bool = True
    ) -> AsyncIterator[ImageCrops]:
        """The boxes of an image file, cut out by a thread; memory and time are limited.

        The boxes are those that are given, else those of the detector, else the whole image.
        """
        width, height = checked_size(data, self.limits)
        most, seconds = self.limits.people, self.limits.seconds

        def cut() -> ImageCrops:
            image = unpacked(data)
            size = (image.shape[0], image.shape[1])
            detected = detect and boxes is None and model.estimator.detector is not None
            if detected:
                bboxes, scores = model.estimator.detect(image)
                found = bboxes[:most], scores[:most]  # the best come first
            elif boxes is None:
                found = check_boxes("whole", None, None, size)
            else:
                found = check_boxes(*boxes, "xywh", size)
            return model.estimator.preprocess(image, *found, detected=detected, keep_image=False)

        try:
            async with asyncio.timeout(seconds), self._pixels.lent(width * height):
                yield await asyncio.get_running_loop().run_in_executor(self._decoders, cut)
        except AnnotationError as error:
            raise RequestError(422, str(error)) from error
        except TimeoutError as late:
            message = f"there was no answer within {seconds:g} seconds; try again, or send fewer people"
            raise RequestError(503, message, retry_after=5) from late
