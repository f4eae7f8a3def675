"""From the bytes of an image to people, for many requests at a time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from rsn.detection.postprocessing import Detector
from rsn.errors import AnnotationError, UnknownNameError
from rsn.inference.box_sources import Boxes, whole_image_boxes
from rsn.inference.estimator import ImageWithBoxes, PersonCrop, PoseEstimator
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
        detector = model.estimator.detector if boxes is None else None
        async with self._views(model, data, boxes, detector) as ((width, height), views):
            people = await model.batcher.people(views)
        people = model.estimator.select(people, detection_boxes=detector is not None)
        skeleton = model.estimator.metadata.skeleton
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
        async with self._views(model, data, boxes) as (_, (view,)):
            inputs = torch.from_numpy(view.pixels[0]).permute(2, 0, 1)[None]
            maps = await model.batcher.run(lambda: estimator.heatmaps(inputs)[0].cpu().double().numpy())
        return Heatmaps.of(
            model.name, view.crops[0], view.box, list(estimator.metadata.skeleton.keypoint_names), maps
        )

    @asynccontextmanager
    async def _views(
        self, model: Model, data: bytes, boxes: Boxes | None, detector: Detector | None = None
    ) -> AsyncIterator[tuple[tuple[int, int], list[PersonCrop]]]:
        """(width, height) of the upright image, and its boxes cut out by a thread; memory and time are limited.

        The boxes are those that are given, else those of a detector, else the whole image.
        """
        width, height = checked_size(data, self.limits)
        most, seconds = self.limits.people, self.limits.seconds

        def cut() -> tuple[tuple[int, int], list[PersonCrop]]:
            image = unpacked(data)
            if boxes is None and detector is not None:
                image_with_boxes, _ = ImageWithBoxes.within(image, *detector(image))
                image_with_boxes = ImageWithBoxes(
                    image, image_with_boxes.boxes[:most], image_with_boxes.box_scores[:most]
                )  # the best come first
            else:
                image_with_boxes = ImageWithBoxes.of(image, *(boxes or whole_image_boxes(Path(), image)))
            return (image.shape[1], image.shape[0]), model.estimator.preprocess(image_with_boxes)

        try:
            async with asyncio.timeout(seconds), self._pixels.lent(width * height):
                yield await asyncio.get_running_loop().run_in_executor(self._decoders, cut)
        except AnnotationError as error:
            raise RequestError(422, str(error)) from error
        except TimeoutError as late:
            message = f"there was no answer within {seconds:g} seconds; try again, or send fewer people"
            raise RequestError(503, message, retry_after=5) from late
