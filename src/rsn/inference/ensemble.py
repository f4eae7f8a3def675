"""The models of an estimator: one, or several whose heatmaps are averaged on the crops of the first.

Models of an ensemble may differ in all but the body: in input size, channel order, normalisation, box extension. What
they have in common is the image, so a cell of one model's heatmap is found in another's by way of the image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from rsn.crops import Crop
from rsn.errors import RsnError, WeightsError
from rsn.heatmaps import CELL_MIDDLE, decode, mirror_back
from rsn.heatmaps.boxes import PERSON_BOX
from rsn.inference.engines import Engine, build_engine
from rsn.inference.exported import is_exported, open_exported
from rsn.networks.card import Card, Decoder
from rsn.networks.network import STRIDE, PoseNetwork
from rsn.networks.weights import load_model
from rsn.people import Person

if TYPE_CHECKING:
    from rsn.inference.estimator import Scene, View

Source = str | Path | PoseNetwork


# Joint scores that count for a person's score: all in the authors' code, those above 0.2 in MMPose's.
SCORED_ABOVE: dict[Decoder, float | None] = {"rsn": None, "mmpose": 0.2, "unbiased": None}


@dataclass(frozen=True, eq=False)
class Model:
    """One model: a scene -> crops (`preprocess`) -> heatmaps (`forward`) -> people (`postprocess`).

    open: gives the engine that runs it; where models are held one at a time it is built anew for every run.
    """

    open: Callable[[], Engine]
    card: Card

    def preprocess(self, scene: "Scene") -> "list[View]":
        """The boxes of a scene, cut out for the model."""
        return scene.views([self.card])

    def forward(self, views: "Sequence[View]", *, flip: bool, batch_size: int) -> Tensor:
        """Heatmaps (N, K, H/4, W/4) of N views, at least one."""
        engine = self.open()
        batches = [views[start : start + batch_size] for start in range(0, len(views), batch_size)]
        with torch.inference_mode():
            return torch.cat(
                [heatmaps_of(engine, self.card, _pixels_of(batch), flip=flip) for batch in batches]
            )

    def postprocess(self, views: "Sequence[View]", heatmaps: Tensor) -> list[Person]:
        """Heatmaps (N, K, H/4, W/4) of N views -> people in image pixels."""
        decoded = decode(heatmaps, kernel=self.card.blur, decoder=self.card.decoder)
        keypoints, scores = (answer.cpu().double().numpy() for answer in decoded)
        above = SCORED_ABOVE[self.card.decoder]
        return [
            Person.from_joints(
                view.box, view.crops[0].to_image(points), raw, box_score=view.score, above=above
            )
            for view, points, raw in zip(views, keypoints, scores, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Several models, whose heatmaps are averaged on the crops of the first, which also decodes them.

    shares: of the average, one for each model; 1 in sum.
    """

    models: Sequence[Model]
    shares: Sequence[float]

    @property
    def card(self) -> Card:
        """Of the first model."""
        return self.models[0].card

    def preprocess(self, scene: "Scene") -> "list[View]":
        """The boxes of a scene, cut out for every model."""
        return scene.views([model.card for model in self.models])

    def forward(self, views: "Sequence[View]", *, flip: bool, batch_size: int) -> Tensor:
        """The average of all models' heatmaps, (N, K, H/4, W/4), of N views, at least one."""
        ours = [view.crops[0] for view in views]
        average = torch.zeros(())
        for number, (model, share) in enumerate(zip(self.models, self.shares, strict=True)):
            own = [view.of_model(number) for view in views]
            heatmaps = model.forward(own, flip=flip, batch_size=batch_size)
            theirs = [view.crops[0] for view in own]
            decoders = (model.card.decoder, self.card.decoder)
            average = average + share * on_crops(heatmaps, theirs, ours, decoders=decoders)
        return average

    def postprocess(self, views: "Sequence[View]", heatmaps: Tensor) -> list[Person]:
        """As that of the first model."""
        return self.models[0].postprocess(views, heatmaps)


def open_models(
    sources: Sequence[Source],
    cards: Sequence[Card],
    weights: Sequence[float] | None,
    *,
    engine: str,
    device: torch.device,
    keep: bool,
) -> Model | Ensemble:
    """A model, or an ensemble of several, checked against each other.

    Args:
        sources: names, files, or networks. cards: of the networks among them, in their order.
        weights: shares of the average, one a model, in any unit; equal by default.
        engine, device: what runs them, and where, as `engines.choose` answers.
        keep: build every engine once and keep it, instead of reading the network anew for every run.

    Raises:
        RsnError: no model, weights that do not fit, or models of different bodies.
        WeightsError: those of a detector.
        UnknownNameError, WeightsError: as `networks.weights.load_model` and `exported.open_exported`.
        DeviceError: as `engines.build_engine`.
    """
    if not sources:
        raise RsnError("an estimator needs at least one model")
    shares = [1.0] * len(sources) if weights is None else [float(weight) for weight in weights]
    if len(shares) != len(sources) or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise RsnError(f"{len(sources)} models need as many weights, none of them negative, not {shares}")
    given = iter(cards)
    models = [_open_model(source, given, engine, device, keep=keep) for source in sources]
    _check_same_body(sources, models)
    if models[0].card.skeleton == PERSON_BOX:
        raise WeightsError(
            "these weights find people, not their joints; they are a --detector (open_detector in Python)"
        )
    return models[0] if len(models) == 1 else Ensemble(models, [share / sum(shares) for share in shares])


def _open_model(
    source: Source, cards: Iterator[Card], name: str, device: torch.device, *, keep: bool
) -> Model:
    if is_exported(source):
        engine, export = open_exported(Path(source), name, device)
        if not keep:
            return Model(lambda: open_exported(Path(source), name, device)[0], export.card)
        return Model(lambda: engine, export.card)
    if isinstance(source, PoseNetwork):
        card = next(cards, None)
        if card is None:
            raise TypeError("a network needs its card: PoseEstimator(network, card=...)")
        network = source
    else:
        network, card = load_model(source)
        if not keep:
            return Model(lambda: build_engine(name, *load_model(source), device), card)
    engine = build_engine(name, network, card, device)
    return Model(lambda: engine, card)


def _check_same_body(sources: Sequence[Source], models: Sequence[Model]) -> None:
    first = models[0].card.skeleton
    for source, model in zip(sources, models, strict=True):
        body = model.card.skeleton
        if body.joints != first.joints:
            other = "a network" if isinstance(source, PoseNetwork) else source
            raise RsnError(
                f"models are averaged only where they find the same joints: the first finds the {len(first)} of"
                f" {first.name}, {other} the {len(body)} of {body.name}"
            )


def heatmaps_of(engine: Engine, card: Card, crops: Tensor, *, flip: bool) -> Tensor:
    """Crops (N, 3, H, W) uint8 RGB -> heatmaps (N, K, H/4, W/4) float32.

    With `flip` the mirrored crops go through the network in the same batch, and both answers are averaged.
    """
    if not flip:
        return engine(crops)
    straight, mirrored = engine(torch.cat([crops, crops.flip(-1)])).chunk(2)
    return (straight + mirror_back(mirrored, card.skeleton.mirror)) / 2


def on_crops(
    maps: Tensor, theirs: Sequence[Crop], ours: Sequence[Crop], *, decoders: tuple[Decoder, Decoder]
) -> Tensor:
    """Heatmaps on other crops of the same people -> the heatmaps that lie on ours.

    (N, K, h, w) -> (N, K, H/4, W/4) of our crops' size; bilinear, empty outside of what the others saw. Where the
    crops are the same nothing is computed.

    decoders: theirs and ours, which say where in the input a cell lies.
    """
    their_middle, our_middle = (CELL_MIDDLE[decoder] for decoder in decoders)
    if their_middle == our_middle and all(_same(*pair) for pair in zip(theirs, ours, strict=True)):
        return maps
    height, width = (side // STRIDE for side in ours[0].size)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inputs = torch.stack([columns, rows], dim=-1).double().numpy() * STRIDE + our_middle
    places = [
        (their.to_input(our.to_image(inputs)) - their_middle) / STRIDE
        for their, our in zip(theirs, ours, strict=True)
    ]
    last = np.array([maps.shape[-1] - 1, maps.shape[-2] - 1])
    grid = torch.from_numpy(np.stack(places) / last * 2 - 1).to(maps)
    return grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _same(a: Crop, b: Crop) -> bool:
    return a.size == b.size and np.array_equal(a.matrix, b.matrix)


def _pixels_of(views: "Sequence[View]") -> Tensor:
    """The crops of the first model, (N, 3, H, W) uint8 RGB."""
    return torch.from_numpy(np.stack([view.pixels[0] for view in views])).permute(0, 3, 1, 2)
