"""Weights by name or in a file -> networks that are ready to use, and back."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from os.path import isfile
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from rsn.errors import RsnWarning, UnknownNameError, WeightsError
from rsn.files import write_atomically
from rsn.networks.card import Card
from rsn.networks.catalog import create_model, list_models
from rsn.networks.checkpoints import has_card, read_card, read_tensors, unwrapped
from rsn.networks.conversion import for_every_stage, layout_of, to_our_layout
from rsn.networks.network import PoseNetwork
from rsn.networks.recognition import card_of, network_of
from rsn.networks.refine import PoseRefine, Refine
from rsn.networks.zoo import ZOO, fetch
from rsn.skeletons import Skeleton

SHIPPED = (
    "rsn18.starter",
    "rsn18.people",
)  # names of weights inside the package: joints, and boxes of people
_COUNT = "num_batches_tracked"  # of batch norms; not needed to use weights
_NAMED_AT_MOST = 10  # keys that an error spells out


def load_weights(model: nn.Module, source: str | Path | Mapping[str, Any]) -> None:
    """Fill a network with weights; their layout is recognised by itself.

    Known are our own files, checkpoints of the RSN and MSPN repositories and of MMPose 0.x and 1.x, and torchvision's
    ResNet-50, which fills the stem and every stage's way down of an MSPN and leaves the rest as it is. They are found
    in any nesting of dictionaries (`state_dict`, `model_ema`, ...) and under any prefix (`module.`, `_orig_mod.`, ...);
    of several networks in a file it is the first that fits, averaged weights (EMA) before others. The network takes
    RGB afterwards: weights trained on BGR (the repositories') get the input channels of their first convolution
    reversed. Convolution biases are folded into the batch norm behind them, and Pose Refine Machines are wired as the
    weights have them (the authors' or MMPose's way).

    Args:
        model: from `create_model`.
        source: a weight's name, a file (.safetensors, or a PyTorch checkpoint of plain tensors) or a state dict.

    Raises:
        WeightsError: the file cannot be read, wants to run code, does not fit, or holds numbers that are not finite;
            the first keys are named. The network is then as it was.
    """

    def fits(tensors: Mapping[str, Tensor]) -> bool:
        return not _misfits(model, _state_for(model, tensors))

    if isinstance(source, Mapping):
        _fill(model, unwrapped(source, "the weights", fits), "the weights")
    else:
        _fill(model, read_tensors(weights_path(source), fits), str(source))


def load_model(source: str | Path) -> tuple[PoseNetwork, Card]:
    """A network with its weights, in eval mode, and their card: by name (`rsn18.starter`) or from a file.

    A checkpoint of others says neither its body nor its input size; what is assumed is told in an `RsnWarning`.

    Raises:
        UnknownNameError: no weights of that name. WeightsError: the file cannot be read, or holds no such network.
    """
    path = weights_path(source)
    tensors = read_tensors(path)
    card = _card(source, path, tensors)
    return _network(card, tensors, source).eval(), card


def load_card(source: str | Path) -> Card:
    """The card alone, as `load_model` has it; whether the tensors are of its network is not checked."""
    path = weights_path(source)
    return _card(source, path, {} if has_card(path) else read_tensors(path))


def save_weights(path: Path, model: nn.Module, card: Card, *, half: bool = False) -> None:
    """Write a network and its card as safetensors; `half` stores float16, which is for shipping."""
    state = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in model.state_dict().items()
        if not key.endswith(_COUNT)
    }
    write_atomically(path, save(state, card.to_metadata()))


def convert_weights(
    source: str | Path,
    output: Path,
    *,
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
    half: bool = False,
) -> Card:
    """Write weights in any layout that `load_weights` knows as a safetensors file with a card, which is returned.

    skeleton, input_size: what the tensors of a checkpoint without a card cannot tell, see `recognition.card_of`.
    half: store float16.

    Raises:
        WeightsError: weights that cannot be read or are no network of ours, or another body or size than theirs.
    """
    if output.suffix != ".safetensors":
        raise WeightsError(f"{output}: converted weights are named OUT.safetensors")
    path = weights_path(source)
    tensors = read_tensors(path)
    card = read_card(path) if has_card(path) else _card_of(source, tensors, skeleton, input_size)
    save_weights(output, _network(card, tensors, source), card, half=half)
    return card


def weights_path(source: str | Path) -> Path:
    """Where a weight's name or a file points; published weights of others are fetched where they are not yet here.

    Raises:
        UnknownNameError: neither a file nor a known name. WeightsError: fetching failed.
    """
    path, name = Path(source), str(source)
    if isfile(path):
        return path
    if name in SHIPPED:
        return Path(str(resources.files("rsn") / "weights" / f"{name}.safetensors"))
    if name in ZOO:
        return fetch(ZOO[name])
    if path.suffix in (".safetensors", ".pth", ".pt", ".ckpt") or len(path.parts) > 1:
        raise WeightsError(f"{source}: there is no such weights file")
    known = known_weights()
    if name in list_models():
        of_it = [weights for weights in known if weights.split(".")[0] == name]
        raise WeightsError(
            f"{name} names a network without weights; known weights of it: {', '.join(of_it) or 'none'}, or give a file"
        )
    raise UnknownNameError("model with weights", name, known)


def known_weights() -> list[str]:
    """The names that `load_model` knows: weights in the package, then published ones of others."""
    return [*SHIPPED, *ZOO]


def _card(source: str | Path, path: Path, tensors: Mapping[str, Tensor]) -> Card:
    """The card in a file, or one for weights without; an `RsnWarning` says what is assumed then."""
    if has_card(path):
        return read_card(path)
    card = _card_of(source, tensors)
    if str(source) not in ZOO:
        warnings.warn(
            f"{source}: has no model card; taken as {card.notes}: {card.summary()}; where that is wrong, say so with"
            " rsn models convert",
            RsnWarning,
            stacklevel=3,
        )
    return card


def _card_of(
    source: str | Path,
    tensors: Mapping[str, Tensor],
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
) -> Card:
    try:
        card = card_of(tensors, skeleton=skeleton, input_size=input_size)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    return ZOO[str(source)].complete(card) if str(source) in ZOO else card


def _network(card: Card, tensors: Mapping[str, Tensor], source: str | Path) -> PoseNetwork:
    network = create_model(card.model, num_joints=len(card.skeleton), refine=card.refine)
    _fill(network, tensors, str(source))
    return network


def _told(model: str, num_joints: int, refine: Refine) -> str:
    machines = "" if refine == "none" else f" and refine machines ({refine})"
    return f"{model} with {num_joints} joints{machines}"


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    state = _state_for(model, tensors)
    _refuse_broken(state, name)
    rewired = _wire_like(model, state)
    if layout_of(tensors) == "torchvision" and isinstance(
        stages := getattr(model, "stages", None), nn.ModuleList
    ):
        state = for_every_stage(state, len(stages))
        problems = _misfits(model, state, lambda key: key.startswith("stem.") or ".down." in key)
    else:
        problems = _misfits(model, state)
    if problems:
        for machine in rewired:
            machine.set_one_map(not machine.one_map)
        raise WeightsError(
            f"{name}: {len(problems)} tensors do not fit this network{_what_it_is(state)}: {_first(problems)}"
        )
    model.load_state_dict(state, strict=False)


def _state_for(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names that the network has: as they are if the names are its own, else in our layout."""
    state = {key: value for key, value in tensors.items() if not key.endswith(_COUNT)}
    return state if state.keys() == _wanted(model).keys() else to_our_layout(tensors)


def _refuse_broken(state: Mapping[str, Tensor], name: str) -> None:
    broken = [key for key, value in state.items() if not value.isfinite().all()]
    if broken:
        raise WeightsError(
            f"{name}: {len(broken)} tensors hold numbers that are not finite, as after a training that diverged:"
            f" {_first(broken)}"
        )


def _what_it_is(state: Mapping[str, Tensor]) -> str:
    """Which network the tensors are of, where they are one's."""
    try:
        return f", they are of {_told(*network_of(state))}"
    except WeightsError:
        return ""


def _first(named: Sequence[str]) -> str:
    more = "; ..." if len(named) > _NAMED_AT_MOST else ""
    return "; ".join(named[:_NAMED_AT_MOST]) + more


def _wire_like(model: nn.Module, state: Mapping[str, Tensor]) -> list[PoseRefine]:
    """Give Pose Refine Machines the wiring that the weights have; returns those that changed."""
    changed = []
    for name, machine in model.named_modules():
        spatial = f"{name}.spatial" if name else "spatial"
        if isinstance(machine, PoseRefine) and f"{spatial}.0.conv.weight" in state:
            one_map = f"{spatial}.2.conv.weight" in state
            if one_map != machine.one_map:
                machine.set_one_map(one_map)
                changed.append(machine)
    return changed


def _wanted(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that weights must have, by key."""
    return {key: tuple(value.shape) for key, value in model.state_dict().items() if not key.endswith(_COUNT)}


def _misfits(
    model: nn.Module, state: Mapping[str, Tensor], is_wanted: Callable[[str], bool] = lambda key: True
) -> list[str]:
    wanted = {key: shape for key, shape in _wanted(model).items() if is_wanted(key)}
    problems = [f"{key} is missing" for key in wanted if key not in state]
    problems += [f"{key} is not part of the network" for key in state if key not in wanted]
    problems += [
        f"{key} is {tuple(value.shape)}, the network's is {wanted[key]}"
        for key, value in state.items()
        if key in wanted and tuple(value.shape) != wanted[key]
    ]
    return problems
