"""Weights by name or from a file -> networks that are ready to use, and back."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from rsn.codecs import Codec
from rsn.errors import RsnError, UnknownNameError, WeightsError
from rsn.io.files import atomic_write
from rsn.models.catalog import build_model
from rsn.models.prm import PoseRefineMachine
from rsn.skeletons import Skeleton
from rsn.weights.checkpoints import read_tensors, select_network
from rsn.weights.conversion import convert_state_dict, copy_to_all_stages, detect_format
from rsn.weights.files import has_metadata
from rsn.weights.metadata import Metadata, ModelMetadata, WeightsMetadata
from rsn.weights.recognition import detect_architecture
from rsn.weights.sources import inferred_metadata, metadata_of, pose_metadata, stored_metadata, weights_path

_COUNT = "num_batches_tracked"  # of batch norms; not needed to use weights
_NAMED_AT_MOST = 10  # keys that an error lists


class PoseModel(nn.Module):
    """A trained pose network with its metadata, in eval mode.

    forward: crops (N, 3, H, W), normalized by `metadata.normalize` -> what `codec` decodes.
    """

    def __init__(self, network: nn.Module, metadata: ModelMetadata) -> None:
        super().__init__()
        self.network = network
        self.metadata = metadata
        self.eval()

    @property
    def codec(self) -> Codec:
        """How its outputs are decoded."""
        return self.metadata.codec

    def forward(self, crops: Tensor) -> Tensor:
        outputs: Tensor = self.network(crops)
        return outputs


def load_weights(model: nn.Module, source: str | Path | Mapping[str, Any]) -> None:
    """Fill a network with weights, whose format is detected.

    Known are files of this package, checkpoints of the RSN and MSPN repositories and of MMPose 0.x and 1.x, and
    torchvision's ResNet-50, which fills the stem and every stage's downsampling path of an MSPN and leaves the rest
    unchanged. They are found in any nesting of dictionaries (`state_dict`, `model_ema`, ...) and under any prefix
    (`module.`, `_orig_mod.`, ...); of several networks in a file the first that fits is used, averaged weights (EMA)
    before others. The network takes RGB afterwards: weights trained on BGR (the repositories') get the input channels
    of their first convolution reversed. Convolution biases are folded into the batch norm behind them, and Pose Refine
    Machines get the spatial attention that the weights have (the authors' or MMPose's).

    Args:
        model: any module, or a `PoseModel`.
        source: a weight's name, a file (.safetensors, or a PyTorch checkpoint of plain tensors) or a state dict.

    Raises:
        WeightsError: the file cannot be read, contains code, does not fit, or has numbers that are not finite. The
            network is unchanged then.
    """
    model = model.network if isinstance(model, PoseModel) else model

    def fits(tensors: Mapping[str, Tensor]) -> bool:
        return not _misfits(model, _state_for(model, tensors))

    if isinstance(source, Mapping):
        fill_network(model, select_network(source, "the weights", fits), "the weights")
    else:
        fill_network(model, read_tensors(weights_path(source), fits), str(source))


def load_model(source: str | Path) -> PoseModel:
    """A trained pose network, in eval mode: by name (`rsn18.starter`) or from a file.

    A third-party checkpoint says neither its skeleton nor its input size; an `RsnWarning` says what is assumed.

    Raises:
        UnknownNameError: no weights of that name. WeightsError: the file cannot be read, belongs to a model that is not
            registered or to a detector, or does not fit the model.
    """
    network, metadata = load_network(source)
    return PoseModel(network, pose_metadata(metadata, source))


def load_network(source: str | Path) -> tuple[nn.Module, Metadata]:
    """A pose network or a detector with its weights, in eval mode, and the metadata; raises as `load_model`."""
    path = weights_path(source)
    return network_from_tensors(read_tensors(path), source, path)


def network_from_tensors(tensors: Mapping[str, Tensor], source: str | Path, path: Path) -> tuple[nn.Module, Metadata]:
    """As `load_network`, for the tensors that `read_tensors` read from the file of `source`."""
    metadata = metadata_of(source, path, tensors)
    return _network(metadata, tensors, source).eval(), metadata


def build_network(source: str | Path, metadata: Metadata) -> nn.Module:
    """The network of weights whose metadata is known, in eval mode; raises as `load_model`."""
    return _network(metadata, read_tensors(weights_path(source)), source).eval()


def save_weights(path: str | Path, network: nn.Module, metadata: WeightsMetadata, *, half: bool = False) -> None:
    """Write a network (or a `PoseModel`) and its metadata as safetensors; `half` stores float16."""
    network = network.network if isinstance(network, PoseModel) else network
    state = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in network.state_dict().items()
        if not key.endswith(_COUNT)
    }
    atomic_write(Path(path), save(state, metadata.to_metadata()))


def convert_weights(
    source: str | Path,
    output: Path,
    *,
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
    half: bool = False,
) -> Metadata:
    """Write weights in any format that `load_weights` knows as safetensors with metadata, which is returned.

    skeleton, input_size: of a checkpoint without metadata, see `recognition.infer_metadata`.
    half: store float16.

    Raises:
        WeightsError: weights that cannot be read or belong to no network of the catalog, or that do not have this
            skeleton.
    """
    if output.suffix != ".safetensors":
        raise WeightsError(f"{output}: converted weights are named OUT.safetensors")
    path = weights_path(source)
    tensors = read_tensors(path)
    metadata = (
        stored_metadata(source, path)
        if has_metadata(path)
        else inferred_metadata(source, tensors, skeleton, input_size)
    )
    save_weights(output, _network(metadata, tensors, source), metadata, half=half)
    return metadata


def _network(metadata: Metadata, tensors: Mapping[str, Tensor], source: str | Path) -> nn.Module:
    try:
        network = build_model(metadata.model, metadata.num_outputs, **metadata.options)
    except UnknownNameError as error:
        raise WeightsError(
            f"{source}: {error}; weights of a model of your own need rsn.register_model(name, builder) first"
        ) from error
    except RsnError as error:
        raise WeightsError(f"{source}: {error}") from error
    fill_network(network, tensors, str(source))
    return network


def fill_network(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """As `load_weights`, with the tensors of one network; name: of the weights, for messages."""
    state = _state_for(model, tensors)
    _refuse_broken(state, name)
    changed = _match_spatial_attention(model, state)
    if detect_format(tensors) == "torchvision" and isinstance(stages := getattr(model, "stages", None), nn.ModuleList):
        state = copy_to_all_stages(state, len(stages))
        problems = _misfits(model, state, lambda key: key.startswith("stem.") or ".down." in key)
    else:
        problems = _misfits(model, state)
    if problems:
        for machine in changed:
            machine.set_shared_spatial_attention(not machine.shared_spatial_attention)
        raise WeightsError(
            f"{name}: {len(problems)} tensors do not fit this network{_what_it_is(state)}: {_first(problems)}"
        )
    model.load_state_dict(state, strict=False)


def _state_for(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names of the network: unchanged if they have these names, else converted."""
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
    """Which network of the catalog the tensors belong to, for an error message."""
    try:
        model, num_keypoints, refine = detect_architecture(state)
    except WeightsError:
        return ""
    prm = "" if refine == "none" else f" and refine {refine}"
    return f", they are of {model} with {num_keypoints} keypoints{prm}"


def _first(named: Sequence[str]) -> str:
    more = "; ..." if len(named) > _NAMED_AT_MOST else ""
    return "; ".join(named[:_NAMED_AT_MOST]) + more


def _match_spatial_attention(model: nn.Module, state: Mapping[str, Tensor]) -> list[PoseRefineMachine]:
    """Give Pose Refine Machines the spatial attention that the weights have; returns those that changed."""
    changed = []
    for name, machine in model.named_modules():
        spatial = f"{name}.spatial" if name else "spatial"
        if isinstance(machine, PoseRefineMachine) and f"{spatial}.0.conv.weight" in state:
            shared = f"{spatial}.2.conv.weight" in state
            if shared != machine.shared_spatial_attention:
                machine.set_shared_spatial_attention(shared)
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
