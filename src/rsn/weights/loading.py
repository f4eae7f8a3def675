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
from rsn.io.files import atomic_write
from rsn.models.catalog import create_model, list_models
from rsn.models.network import PoseNetwork
from rsn.models.prm import PoseRefineMachine, Refine
from rsn.skeletons import Skeleton
from rsn.weights.checkpoints import has_metadata, read_metadata, read_tensors, unwrapped
from rsn.weights.conversion import convert_state_dict, copy_to_all_stages, detect_format
from rsn.weights.metadata import ModelMetadata
from rsn.weights.pretrained import PRETRAINED, fetch
from rsn.weights.recognition import detect_architecture, infer_metadata

BUNDLED = (
    "rsn18.starter",
    "rsn18.people",
)  # names of weights inside the package: keypoints, and boxes of people
_COUNT = "num_batches_tracked"  # of batch norms; not needed to use weights
_NAMED_AT_MOST = 10  # keys that an error spells out


def load_weights(model: nn.Module, source: str | Path | Mapping[str, Any]) -> None:
    """Fill a network with weights; their layout is recognized by itself.

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


def load_model(source: str | Path) -> tuple[PoseNetwork, ModelMetadata]:
    """A network with its weights, in eval mode, and their metadata: by name (`rsn18.starter`) or from a file.

    A checkpoint of others says neither its skeleton nor its input size; what is assumed is told in an `RsnWarning`.

    Raises:
        UnknownNameError: no weights of that name. WeightsError: the file cannot be read, or holds no such network.
    """
    path = weights_path(source)
    tensors = read_tensors(path)
    metadata = _metadata_of(source, path, tensors)
    return _network(metadata, tensors, source).eval(), metadata


def load_metadata(source: str | Path) -> ModelMetadata:
    """The metadata alone, as `load_model` has it; whether the tensors are of its network is not checked."""
    path = weights_path(source)
    return _metadata_of(source, path, {} if has_metadata(path) else read_tensors(path))


def save_weights(path: Path, model: nn.Module, metadata: ModelMetadata, *, half: bool = False) -> None:
    """Write a network and its metadata as safetensors; `half` stores float16, which is for shipping."""
    state = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in model.state_dict().items()
        if not key.endswith(_COUNT)
    }
    atomic_write(path, save(state, metadata.to_metadata()))


def convert_weights(
    source: str | Path,
    output: Path,
    *,
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
    half: bool = False,
) -> ModelMetadata:
    """Write weights in any layout that `load_weights` knows as a safetensors file with a metadata, which is returned.

    skeleton, input_size: what the tensors of a checkpoint without a metadata cannot tell, see `recognition.infer_metadata`.
    half: store float16.

    Raises:
        WeightsError: weights that cannot be read or are no network of ours, or another skeleton or size than theirs.
    """
    if output.suffix != ".safetensors":
        raise WeightsError(f"{output}: converted weights are named OUT.safetensors")
    path = weights_path(source)
    tensors = read_tensors(path)
    metadata = (
        read_metadata(path)
        if has_metadata(path)
        else _inferred_metadata(source, tensors, skeleton, input_size)
    )
    save_weights(output, _network(metadata, tensors, source), metadata, half=half)
    return metadata


def weights_path(source: str | Path) -> Path:
    """Where a weight's name or a file points; published weights of others are fetched where they are not yet here.

    Raises:
        UnknownNameError: neither a file nor a known name. WeightsError: fetching failed.
    """
    path, name = Path(source), str(source)
    if isfile(path):
        return path
    if name in BUNDLED:
        return Path(str(resources.files("rsn") / "weights" / f"{name}.safetensors"))
    if name in PRETRAINED:
        return fetch(PRETRAINED[name])
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
    return [*BUNDLED, *PRETRAINED]


def _metadata_of(source: str | Path, path: Path, tensors: Mapping[str, Tensor]) -> ModelMetadata:
    """The metadata in a file, or one for weights without; an `RsnWarning` says what is assumed then."""
    if has_metadata(path):
        return read_metadata(path)
    metadata = _inferred_metadata(source, tensors)
    if str(source) not in PRETRAINED:
        warnings.warn(
            f"{source}: has no model metadata; taken as {metadata.notes}: {metadata.summary()}; where that is wrong, say so with"
            " rsn models convert",
            RsnWarning,
            stacklevel=3,
        )
    return metadata


def _inferred_metadata(
    source: str | Path,
    tensors: Mapping[str, Tensor],
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
) -> ModelMetadata:
    try:
        metadata = infer_metadata(tensors, skeleton=skeleton, input_size=input_size)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    return PRETRAINED[str(source)].complete(metadata) if str(source) in PRETRAINED else metadata


def _network(metadata: ModelMetadata, tensors: Mapping[str, Tensor], source: str | Path) -> PoseNetwork:
    network = create_model(metadata.model, num_keypoints=len(metadata.skeleton), refine=metadata.refine)
    _fill(network, tensors, str(source))
    return network


def _told(model: str, num_keypoints: int, refine: Refine) -> str:
    machines = "" if refine == "none" else f" and refine machines ({refine})"
    return f"{model} with {num_keypoints} keypoints{machines}"


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    state = _state_for(model, tensors)
    _refuse_broken(state, name)
    rewired = _wire_like(model, state)
    if detect_format(tensors) == "torchvision" and isinstance(
        stages := getattr(model, "stages", None), nn.ModuleList
    ):
        state = copy_to_all_stages(state, len(stages))
        problems = _misfits(model, state, lambda key: key.startswith("stem.") or ".down." in key)
    else:
        problems = _misfits(model, state)
    if problems:
        for machine in rewired:
            machine.set_shared_spatial_attention(not machine.shared_spatial_attention)
        raise WeightsError(
            f"{name}: {len(problems)} tensors do not fit this network{_what_it_is(state)}: {_first(problems)}"
        )
    model.load_state_dict(state, strict=False)


def _state_for(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names that the network has: as they are if the names are its own, else in our layout."""
    state = {key: value for key, value in tensors.items() if not key.endswith(_COUNT)}
    return state if state.keys() == _wanted(model).keys() else convert_state_dict(tensors)


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
        return f", they are of {_told(*detect_architecture(state))}"
    except WeightsError:
        return ""


def _first(named: Sequence[str]) -> str:
    more = "; ..." if len(named) > _NAMED_AT_MOST else ""
    return "; ".join(named[:_NAMED_AT_MOST]) + more


def _wire_like(model: nn.Module, state: Mapping[str, Tensor]) -> list[PoseRefineMachine]:
    """Give Pose Refine Machines the wiring that the weights have; returns those that changed."""
    changed = []
    for name, machine in model.named_modules():
        spatial = f"{name}.spatial" if name else "spatial"
        if isinstance(machine, PoseRefineMachine) and f"{spatial}.0.conv.weight" in state:
            shared_spatial_attention = f"{spatial}.2.conv.weight" in state
            if shared_spatial_attention != machine.shared_spatial_attention:
                machine.set_shared_spatial_attention(shared_spatial_attention)
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
