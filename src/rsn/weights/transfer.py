"""New networks, and the transfer of weights that were trained for one skeleton to a network for another.

Whatever fits is taken. What belongs to single keypoints (heads, Pose Refine Machines) is matched by keypoint name.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsn.errors import WeightsError
from rsn.models.catalog import build_model
from rsn.models.prm import Refine
from rsn.models.stages import HeatmapHead
from rsn.skeletons import Skeleton, name_nearest
from rsn.weights.checkpoints import read_tensors
from rsn.weights.conversion import detect_format
from rsn.weights.loading import fill_network, load_weights, network_from_tensors
from rsn.weights.metadata import ModelMetadata, WeightsMetadata
from rsn.weights.sources import weights_path

# Of the tensors that belong to no keypoint; with fewer the weights are of another architecture.
MIN_SHARE = 0.8
_COUNT = "num_batches_tracked"  # of batch norms, which training does not need

# Keypoints for which data sets have different names, in the spelling of `Skeleton.normalized_names`.
ALIASES: tuple[frozenset[str], ...] = (
    frozenset({"head_top", "top_head", "head"}),
    frozenset({"neck", "upper_neck", "thorax"}),
    frozenset({"pelvis", "root", "mid_hip"}),
    frozenset({"left_hand", "left_wrist"}),
    frozenset({"right_hand", "right_wrist"}),
    frozenset({"left_foot", "left_ankle"}),
    frozenset({"right_foot", "right_ankle"}),
)


@dataclass(frozen=True)
class Transfer:
    """What a network took from other weights.

    source: name or file of the weights.
    matched: (keypoint of the network, keypoint of the weights).
    unmatched: keypoints of the network that match none; shown with the nearest of the weights' `keypoint_names`.
    loaded: number of tensors that were taken. missing: names of the tensors that the weights do not have.
    """

    source: str
    matched: tuple[tuple[str, str], ...]
    unmatched: tuple[str, ...]
    keypoint_names: tuple[str, ...]
    loaded: int
    missing: tuple[str, ...]

    def summary(self) -> str:
        """A few lines: what was taken, and what is initialized."""
        lines = [f"pretrained {self.loaded} tensors of {self.source}"]
        if self.matched:
            taken = (name if name == other else f"{name} (from {other})" for name, other in self.matched)
            lines.append(f"           heads taken for {', '.join(taken)}")
        if self.unmatched:
            new = ", ".join(name_nearest(self.unmatched, self.keypoint_names))
            lines.append(f"           heads initialized for {new}, which have no counterpart there")
        if self.missing:
            parts = sorted({re.sub(r"\d+", "*", ".".join(name.split(".")[:3])) for name in self.missing})
            more = f" and {len(parts) - 6} more" if len(parts) > 6 else ""
            lines.append(f"           initialized, because the weights have none: {', '.join(parts[:6])}{more}")
        return "\n".join(lines)


def create_model(
    name: str,
    *,
    skeleton: Skeleton | None = None,
    num_keypoints: int = 17,
    refine: Refine = "none",
    pretrained: str | Path | None = None,
    **options: Any,
) -> nn.Module:
    """A network by name, in training mode.

    Args:
        name: one of `list_models()`.
        skeleton: gives the number of keypoints.
        num_keypoints: K, the number of heatmaps, where no skeleton is given.
        refine: "last" adds a Pose Refine Machine after the last output, as RSN's paper draws it; "all" after every
            output, as in MMPose (and connected as there).
        pretrained: a weight's name or a file; without, the network is randomly initialized. With a `skeleton` heads
            are matched by keypoint name (see `transfer_weights`; the input size is that of the weights), without one
            all has to fit (see `load_weights`).
        options: more options of a registered model's builder.

    Returns:
        The `torch.nn.Module` that the builder returns; a `PoseNetwork` for models of this package.

    Raises:
        UnknownNameError: no model of that name; the message has the nearest ones. RsnError: an unknown option.
        WeightsError: pretrained weights that do not fit.
    """
    if refine != "none":
        options["refine"] = refine
    network = build_model(name, num_keypoints if skeleton is None else len(skeleton), **options)
    if pretrained is not None and skeleton is None:
        load_weights(network, pretrained)
    elif pretrained is not None and skeleton is not None:
        _transfer(network, ModelMetadata(name, options=options, skeleton=skeleton), pretrained, rescale=False)
    return network


def transfer_weights(network: nn.Module, metadata: WeightsMetadata, source: str | Path) -> Transfer:
    """Fill a network with all that fits of weights for another skeleton, number of stages or input size.

    Tensors of the same name and shape are taken; a stage that the weights lack takes those of their last stage. Heads
    and Pose Refine Machines are taken keypoint by keypoint (see `match_keypoints`); a keypoint without a counterpart
    gets an initialized filter, and the mean gain and bias of the heads that were taken. If no keypoint has one, heads
    are initialized but for the mean gain and bias of all.

    A keypoint's peak has the same height and width in cells at every input size, so in a map of twice the side its
    variance is a quarter: the gains and biases of the last batch norms are multiplied by the side of the old input over
    that of the new one. Of torchvision's ResNet-50 all is taken that `load_weights` takes.

    Args:
        network: as built by the model's builder.
        metadata: of the network: model, options, skeleton (if it is no detector) and input size.
        source: a weight's name or a file.

    Raises:
        UnknownNameError, WeightsError: the weights cannot be read, or are of another architecture.
    """
    return _transfer(network, metadata, source, rescale=True)


def _transfer(network: nn.Module, metadata: WeightsMetadata, source: str | Path, *, rescale: bool) -> Transfer:
    skeleton = getattr(metadata, "skeleton", None)
    names = skeleton.keypoint_names if skeleton else ()
    path = weights_path(source)
    tensors = read_tensors(path)
    if detect_format(tensors) == "torchvision":
        fill_network(network, tensors, str(source))
        return Transfer(str(source), (), names, (), len(tensors), ())
    other, their_metadata = network_from_tensors(tensors, source, path)
    their_skeleton = getattr(their_metadata, "skeleton", None)
    matches: dict[int, int] = {}
    if skeleton and their_skeleton:
        matches = match_keypoints(skeleton, their_skeleton)
    elif not skeleton and not their_skeleton:
        matches = {index: index for index in range(metadata.num_outputs)}  # from detector to detector
    dimensions = keypoint_dimensions(metadata)
    taken = _fitting(network.state_dict(), other.state_dict(), dimensions, matches)
    _check_architecture(source, metadata, their_metadata, taken)
    missing = tuple(key for key in dimensions if key not in taken and not key.endswith(_COUNT))
    if skeleton and their_skeleton and not matches:
        # New filters on trained features begin with so much noise that training silences the features: all heatmaps
        # become empty. New features below them do not end like that.
        taken = {key: value for key, value in taken.items() if ".heads." not in key or dimensions[key]}
    network.load_state_dict(taken, strict=False)
    if rescale and skeleton and their_skeleton:
        rescale_heads(network, their_metadata.input_size, metadata.input_size)
    known = their_skeleton.keypoint_names if their_skeleton else ()
    return Transfer(
        str(source),
        tuple((names[index], known[place]) for index, place in matches.items() if names),
        tuple(name for index, name in enumerate(names) if index not in matches),
        known,
        len(taken),
        missing,
    )


def _check_architecture(
    source: str | Path, metadata: WeightsMetadata, other: WeightsMetadata, taken: Mapping[str, Tensor]
) -> None:
    """Raise WeightsError if the network takes too few of its tensors, or leaves too many of the weights."""
    wanted = _shared_tensors(metadata)
    # A deeper network has all tensors of one that is less deep.
    offered = [key for key in _shared_tensors(other) if not re.match(r"stages\.[1-9]", key)]
    for keys in (wanted, offered):
        found = sum(key in taken for key in keys)
        if found < MIN_SHARE * len(keys):
            raise WeightsError(
                f"{source}: only {found} of {len(keys)} tensors fit {metadata.model}; the weights are of"
                f" {other.model}, so train model: {other.model}, or choose weights of {metadata.model}"
            )


def _shared_tensors(metadata: WeightsMetadata) -> list[str]:
    return [key for key, own in keypoint_dimensions(metadata).items() if not own and not key.endswith(_COUNT)]


def match_keypoints(skeleton: Skeleton, other: Skeleton) -> dict[int, int]:
    """For each keypoint of a skeleton the index of the keypoint of another one whose head it can take.

    That of the same name in any spelling, else of a common alias (`ALIASES`), else the same of its flip partner; a
    keypoint without a side takes that of the left. Keypoints that match nothing are left out.
    """
    places = {name: place for place, name in enumerate(other.normalized_names)}

    def find(name: str) -> int | None:
        aliases = next((names for names in ALIASES if name in names), frozenset())
        return next((places[one] for one in (name, *sorted(aliases)) if one in places), None)

    found = {}
    for index, name in enumerate(skeleton.normalized_names):
        partner = skeleton.normalized_names[skeleton.flip_indices[index]]
        candidates = [find(one) for one in (name, partner, f"left_{name}")]
        place = next((place for place in candidates if place is not None), None)
        if place is not None:
            found[index] = place
    return found


def keypoint_dimensions(metadata: WeightsMetadata) -> dict[str, tuple[int, ...]]:
    """For each tensor of a model its dimensions of one entry per keypoint: those that grow with one keypoint more."""
    count = metadata.num_outputs
    with torch.device("meta"):
        smaller, larger = (
            build_model(metadata.model, number, **metadata.options).state_dict() for number in (count, count + 1)
        )
    return {
        key: tuple(
            dimension for dimension, (a, b) in enumerate(zip(tensor.shape, larger[key].shape, strict=True)) if a != b
        )
        for key, tensor in smaller.items()
    }


def _fitting(
    own: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    dimensions: Mapping[str, tuple[int, ...]],
    matches: Mapping[int, int],
) -> dict[str, Tensor]:
    """The tensors that a network takes, by their names in it."""
    taken: dict[str, Tensor] = {}
    stages = [int(match[1]) for key in theirs if (match := re.match(r"stages\.(\d+)\.", key))]
    last = f"stages.{max(stages, default=0)}."
    for key, tensor in own.items():
        source = theirs.get(key, theirs.get(re.sub(r"^stages\.\d+\.", last, key)))
        if source is None or key.endswith(_COUNT):
            continue
        if dimensions[key]:
            source = _by_keypoint(tensor, source, dimensions[key], matches)
        if source is not None and source.shape == tensor.shape:
            taken[key] = source
    return taken


def _by_keypoint(own: Tensor, theirs: Tensor, dimensions: tuple[int, ...], matches: Mapping[int, int]) -> Tensor | None:
    """A tensor whose entries of matched keypoints are those of the weights; None where the shapes do not allow it."""
    others = [dimension for dimension in range(own.ndim) if dimension not in dimensions]
    if own.ndim != theirs.ndim or any(own.shape[one] != theirs.shape[one] for one in others):
        return None
    here, there = torch.tensor(list(matches)), torch.tensor(list(matches.values()))
    if matches and any(theirs.shape[dimension] <= int(there.max()) for dimension in dimensions):
        return None
    part = theirs
    for dimension in dimensions if matches else ():
        part = part.index_select(dimension, there)
    # Gains, biases and statistics of new keypoints begin at the mean of those that were taken, or of all if none was.
    result = part.mean().expand_as(own).clone() if own.ndim == 1 else own.clone()
    if not matches:
        return result
    index: list[Tensor | slice] = [slice(None)] * own.ndim
    for position, dimension in enumerate(dimensions):
        shape = [1] * len(dimensions)
        shape[position] = -1
        index[dimension] = here.view(shape)
    result[tuple(index)] = part
    return result


def rescale_heads(network: nn.Module, old: tuple[int, int], new: tuple[int, int]) -> None:
    """Adapt the gains and biases of the last batch norms to another input size (height, width), see `transfer_weights`.

    Without this the maps are too high by 2 after a doubling of the sides, and thousands of steps go into that.
    """
    factor = math.sqrt((old[0] * old[1]) / (new[0] * new[1]))
    with torch.no_grad():
        for head in (module for module in network.modules() if isinstance(module, HeatmapHead)):
            head.predict.norm.weight.mul_(factor)
            head.predict.norm.bias.mul_(factor)
