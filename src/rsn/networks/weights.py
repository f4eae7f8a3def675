"""Weights in files: safetensors with a card of our own, checkpoints of the reference implementations."""

import pickle
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from rsn.errors import UnknownNameError, WeightsError
from rsn.files import write_atomically
from rsn.networks.card import Card
from rsn.networks.catalog import create_model, list_models
from rsn.networks.conversion import to_our_layout
from rsn.networks.network import PoseNetwork

StateDict = Mapping[str, Tensor]

SHIPPED = ("rsn18.starter",)  # names of weights inside the package
_NAMED_AT_MOST = 10  # keys that an error spells out


def load_weights(model: nn.Module, source: str | Path | Mapping[str, Any]) -> None:
    """Fill a network with weights; their layout is recognised by itself.

    Known are our own files, and checkpoints of the RSN repository and of MMPose 0.x and 1.x, with or without
    their wrappers. The network takes RGB afterwards: weights trained on BGR (the RSN repository's) get the input
    channels of their first convolution reversed. Convolution biases are folded into the batch norm behind them.

    Args:
        model: from `create_model`.
        source: a weight's name, a file (.safetensors, or a PyTorch checkpoint of plain tensors) or a state dict.

    Raises:
        WeightsError: the file cannot be read, wants to run code, or does not fit; the first keys are named.
    """
    tensors = _unwrap(source) if isinstance(source, Mapping) else read_tensors(weights_path(source))
    state = to_our_layout(tensors)
    _check_fit(model, state, "the weights" if isinstance(source, Mapping) else str(source))
    model.load_state_dict(state, strict=False)


def load_model(source: str | Path) -> tuple[PoseNetwork, Card]:
    """A network with its weights, in eval mode, and their card: by name (`rsn18.starter`) or from our own file.

    Raises:
        UnknownNameError: no weights of that name. WeightsError: the file cannot be read or has no card.
    """
    path = weights_path(source)
    try:
        card = read_card(path)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    model = create_model(card.model, num_joints=len(card.skeleton))
    load_weights(model, path)
    return model.eval(), card


def save_weights(path: Path, model: nn.Module, card: Card, *, half: bool = False) -> None:
    """Write a network and its card as safetensors; `half` stores float16, which is for shipping."""
    state = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    write_atomically(path, save(state, card.to_metadata()))


def weights_path(source: str | Path) -> Path:
    """Where a weight's name or a file points.

    Raises:
        UnknownNameError: neither a file nor a known name.
    """
    path = Path(source)
    if path.is_file():
        return path
    if path.suffix in (".safetensors", ".pth", ".pt", ".ckpt") or len(path.parts) > 1:
        raise WeightsError(f"{source}: there is no such weights file")
    if str(source) in list_models():
        raise WeightsError(
            f"{source} names a network without weights; known weights: {', '.join(SHIPPED)}, or give a file"
        )
    if str(source) not in SHIPPED:
        raise UnknownNameError("model with weights", str(source), SHIPPED)
    return Path(str(resources.files("rsn") / "weights" / f"{source}.safetensors"))


def read_card(path: Path) -> Card:
    """The card in one of our files; WeightsError where there is none."""
    try:
        with safe_open(path, framework="pt") as file:
            return Card.from_metadata(file.metadata())
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"not a weights file of ours ({error})") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a weights file by key; PyTorch files are read without running any code in them."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}
        return _unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read as weights ({_first_line(error)})") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors, and reading that could run code; convert it to safetensors"
            " where you trust it"
        ) from error


def _unwrap(checkpoint: Any) -> dict[str, Tensor]:
    for wrapper in ("state_dict", "model"):
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(wrapper), Mapping):
            checkpoint = checkpoint[wrapper]
    if not isinstance(checkpoint, Mapping):
        raise WeightsError("the checkpoint is not a dictionary of tensors")
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def _check_fit(model: nn.Module, state: StateDict, source: str) -> None:
    expected = {
        key: tuple(value.shape)
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    problems = [f"{key} is missing" for key in expected if key not in state]
    problems += [f"{key} is not part of the network" for key in state if key not in expected]
    problems += [
        f"{key} is {tuple(value.shape)}, the network's is {expected[key]}"
        for key, value in state.items()
        if key in expected and tuple(value.shape) != expected[key]
    ]
    if problems:
        named = "; ".join(problems[:_NAMED_AT_MOST])
        raise WeightsError(f"{source}: {len(problems)} tensors do not fit this network: {named}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
