"""From the bytes of a picture to people, for many requests at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from rsn.crops import Image
from rsn.errors import AnnotationError, UnknownNameError
from rsn.inference.boxes import Boxes, whole_image
from rsn.inference.estimator import PoseEstimator, Scene, View
from rsn.serving.admission import Budget, Doorkeeper, Refused
from rsn.serving.answers import FoundPeople, FoundPerson, Heatmaps
from rsn.serving.batching import Batcher
from rsn.serving.limits import Limits
from rsn.serving.metrics import Metrics
from rsn.serving.pictures import checked_size, unpacked

T = TypeVar("T")

DECODERS = (
    2  # pictures that are unpacked and searched for people at a time; more would take the network's processor
)
PICTURES_IN_MEMORY = 4  # of the largest size; many more of usual ones


@dataclass(frozen=True, eq=False)
class Model:
    """A model that is loaded, and its queue."""

    name: str
    estimator: PoseEstimator
    batcher: Batcher

    def boxes_in(self, image: Image, most: int) -> Boxes:
        """Where people are when nobody said it: what the detector finds; without one the picture is one person."""
        if self.estimator.detector is None:
            return whole_image(Path(), image)
        scene, _ = Scene.within(image, *self.estimator.detector(image))
        return scene.boxes[:most], scene.box_scores[:most]  # the best come first


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
        self.door = Doorkeeper(limits.requests)
        self.metrics = Metrics(self.door)
        self.models = {
            name: Model(name, estimator, Batcher(estimator, self.metrics.batch_people.observe))
            for name, estimator in estimators.items()
        }
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="rsn-pictures")
        self._pixels = Budget(PICTURES_IN_MEMORY * limits.pixels)

    def model(self, name: str | None) -> Model:
        """A model by name, or the first one.

        Raises:
            Refused: 404 where it is not loaded.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise Refused(404, str(UnknownNameError("loaded model", name, self.models)))
        return self.models[name]

    async def people(self, model: Model, data: bytes, boxes: Boxes | None) -> FoundPeople:
        """The people of a picture file.

        Raises:
            Refused: a picture or boxes that cannot be, or no answer in time.
        """
        width, height = checked_size(data, self.limits)
        async with self._in_time(), self._pixels.lent(width * height):
            size, views = await self._decoded(data, partial(self._views, model, boxes))
            people = await model.batcher.people(views)
        if boxes is None and model.estimator.detector is not None:
            people = model.estimator.select(people)
        skeleton = model.estimator.card.skeleton
        return FoundPeople(
            model=model.name,
            width=size[0],
            height=size[1],
            joints=list(skeleton.joints),
            limbs=list(skeleton.limbs),
            people=[FoundPerson(**person.to_dict()) for person in people],
        )

    async def heatmaps(self, model: Model, data: bytes, boxes: Boxes | None) -> Heatmaps:
        """The heatmaps of one box of a picture file, by default of the whole picture.

        Raises:
            Refused: as for `people`; 422 for several boxes.
        """
        width, height = checked_size(data, self.limits)
        if boxes is not None and len(boxes[0]) != 1:
            raise Refused(422, f"heatmaps are of one box at a time, not of {len(boxes[0])}")
        async with self._in_time(), self._pixels.lent(width * height):
            _, (view,) = await self._decoded(data, partial(self._views, model, boxes, whole=True))
            inputs = torch.from_numpy(view.pixels[0]).permute(2, 0, 1)[None]
            maps = await model.batcher.run(lambda: model.estimator.heatmaps(inputs)[0].cpu().double().numpy())
        return Heatmaps.of(
            model.name, view.crops[0], view.box, list(model.estimator.card.skeleton.joints), maps
        )

    def _views(self, model: Model, boxes: Boxes | None, image: Image, *, whole: bool = False) -> list[View]:
        """Who is looked at in a picture, cut out of it: the given boxes, the whole, or whom the model finds."""
        if boxes is None:
            boxes = whole_image(Path(), image) if whole else model.boxes_in(image, self.limits.people)
        try:
            return model.estimator.look(Scene.of(image, *boxes))
        except AnnotationError as error:
            raise Refused(422, str(error)) from error

    async def _decoded(self, data: bytes, work: Callable[[Image], T]) -> tuple[tuple[int, int], T]:
        """(width, height) of the upright picture, and what `work` makes of it, both by a thread for pictures."""

        def decode() -> tuple[tuple[int, int], T]:
            image = unpacked(data)
            return (image.shape[1], image.shape[0]), work(image)

        return await asyncio.get_running_loop().run_in_executor(self._decoders, decode)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """A span after which the request is told to come back."""
        seconds = self.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as late:
            message = f"there was no answer within {seconds:g} seconds; try again, or send fewer people"
            raise Refused(503, message, retry_after=5) from late
