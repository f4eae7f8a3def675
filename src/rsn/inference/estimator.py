"""Image and boxes -> people: the predict road from end to end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rsn import heatmaps
from rsn.crops import Crop, Image
from rsn.errors import AnnotationError, DeviceError, ImageError, RsnError
from rsn.networks.card import Card
from rsn.networks.network import PoseNetwork
from rsn.networks.weights import load_model
from rsn.people import Person

# Finds people: (H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,).
Detector = Callable[[Image], tuple[NDArray[np.float64], NDArray[np.float64]]]

ENGINES = ("auto", "torch")  # one until there are others
Part = tuple[Image, NDArray[np.float64], float]  # one box of an image, and its score


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and where its people are.

    image: (H, W, 3) uint8 RGB. boxes: (N, 4) x, y, width, height in image pixels. box_scores: (N,), 1 by default.
    """

    image: Image
    boxes: NDArray[np.float64]
    box_scores: NDArray[np.float64]

    @classmethod
    def of(cls, image: Image, boxes: ArrayLike, box_scores: ArrayLike | None = None) -> "Scene":
        """Check and convert.

        Raises:
            ImageError: an image that is not (H, W, 3) uint8.
            AnnotationError: a box that is not four finite numbers, has no area, or lies outside the image; scores
                that do not match the boxes.
        """
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ImageError(f"an image is (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
        checked = np.asarray(boxes, np.float64)
        checked = checked.reshape(0, 4) if checked.size == 0 else np.atleast_2d(checked)
        scores = np.ones(len(checked)) if box_scores is None else np.asarray(box_scores, np.float64)
        if checked.shape[1:] != (4,):
            raise AnnotationError(f"boxes must be rows of x, y, width, height, not of shape {checked.shape}")
        if scores.shape != (len(checked),):
            raise AnnotationError(f"{len(checked)} boxes came with {scores.size} scores")
        height, width = image.shape[:2]
        for box in checked:
            _check_box(box, width, height)
        return cls(image, checked, scores)

    def parts(self) -> Iterator[Part]:
        """The boxes one by one."""
        for box, score in zip(self.boxes, self.box_scores, strict=True):
            yield self.image, box, float(score)


class PoseEstimator:
    """Finds the joints of people in images.

    Args:
        model: a weight's name (`rsn18.starter`), one of our weights files, or a network (then with `card`), which is
            put in eval mode.
        card: what belongs to a network that was passed in; with a name or a file the file's own card is used.
        detector: finds the boxes where none are given.
        engine: what runs the network; "torch", which "auto" picks, is the only one yet.
        device: "auto" (CUDA where there is one, else the CPU) or a PyTorch device.
        flip: also run each crop mirrored and average the heatmaps (flip test): twice the work, a little better.
        batch_size: crops in one run of the network.

    Raises:
        UnknownNameError, WeightsError: as `networks.weights.load_model`.
        DeviceError: the device or engine was asked for and is not there.
    """

    def __init__(
        self,
        model: str | Path | PoseNetwork = "rsn18.starter",
        *,
        card: Card | None = None,
        detector: Detector | None = None,
        engine: str = "auto",
        device: str = "auto",
        flip: bool = False,
        batch_size: int = 32,
    ) -> None:
        if engine not in ENGINES:
            raise DeviceError(f"there is no engine {engine!r}; there are {' and '.join(ENGINES)}")
        if batch_size < 1:
            raise RsnError(f"a batch has at least 1 crop, not {batch_size}")
        self.device = pick_device(device)
        if isinstance(model, PoseNetwork):
            if card is None:
                raise TypeError("a network needs its card: PoseEstimator(network, card=...)")
            self.network, self.card = model, card
        else:
            self.network, self.card = load_model(model)
        self.network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.detector = detector
        self.flip = flip
        self.batch_size = batch_size

    def __call__(
        self, image: Image, boxes: ArrayLike | None = None, box_scores: ArrayLike | None = None
    ) -> list[Person]:
        """People of one image, in the order of their boxes.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) x, y, width, height in image pixels; without them the detector finds them.
            box_scores: (N,), 1 by default.

        Raises:
            AnnotationError: boxes that cannot be (see `Scene.of`), or none given and no detector.
        """
        if boxes is None:
            if self.detector is None:
                raise AnnotationError("no boxes were given and this estimator has no detector; pass boxes")
            boxes, box_scores = self.detector(image)
        return next(self.estimate([Scene.of(image, boxes, box_scores)]))

    def estimate(self, scenes: Iterable[Scene]) -> Iterator[list[Person]]:
        """People of many images, crops batched across them; one list a scene, in order."""
        for group in _grouped(scenes, self.batch_size):
            parts = [part for scene in group for part in scene.parts()]
            found: list[Person] = []
            for start in range(0, len(parts), self.batch_size):
                found += self._people_of(parts[start : start + self.batch_size])
            for scene in group:
                yield found[: len(scene.boxes)]
                del found[: len(scene.boxes)]

    @torch.inference_mode()
    def heatmaps(self, inputs: Tensor) -> Tensor:
        """Crops (N, 3, H, W) uint8 RGB -> heatmaps (N, K, H/4, W/4), averaged with the mirrored run if `flip`."""
        crops = self.card.normalise(inputs.to(self.device)).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.network(crops)
        if self.flip:
            mirrored = self.network(crops.flip(-1))
            maps = (maps + heatmaps.mirror_back(mirrored, self.card.skeleton.mirror)) / 2
        return maps

    def _people_of(self, parts: Sequence[Part]) -> list[Person]:
        crops = [Crop.of_box(box, self.card.input_size, self.card.extension) for _, box, _ in parts]
        pixels = np.stack([crop.cut(image) for crop, (image, _, _) in zip(crops, parts, strict=True)])
        maps = self.heatmaps(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        keypoints, scores = (
            result.cpu().double().numpy() for result in heatmaps.decode(maps.float(), kernel=self.card.blur)
        )
        return [
            Person.from_joints(box, crop.to_image(points), joint_scores, box_score=score)
            for crop, (_, box, score), points, joint_scores in zip(
                crops, parts, keypoints, scores, strict=True
            )
        ]


def pick_device(name: str) -> torch.device:
    """A device by name: "auto" is CUDA where there is one, else the CPU; anything else is taken exactly.

    Raises:
        DeviceError: no such device here. It is never replaced by another.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def _check_box(box: NDArray[np.float64], image_width: int, image_height: int) -> None:
    text = ", ".join(f"{value:g}" for value in box)
    x, y, width, height = box
    if not np.isfinite(box).all():
        raise AnnotationError(f"box ({text}) holds a number that is not finite")
    if width <= 0 or height <= 0:
        raise AnnotationError(f"box ({text}) has no area; boxes are x, y, width, height in pixels")
    if x >= image_width or y >= image_height or x + width <= 0 or y + height <= 0:
        raise AnnotationError(f"box ({text}) lies outside the image of {image_width} x {image_height} pixels")


def _grouped(scenes: Iterable[Scene], size: int) -> Iterator[list[Scene]]:
    """Scenes in groups that end with so many boxes, or so many scenes with few boxes."""
    group: list[Scene] = []
    for scene in scenes:
        group.append(scene)
        if max(len(group), sum(len(member.boxes) for member in group)) >= size:
            yield group
            group = []
    if group:
        yield group
