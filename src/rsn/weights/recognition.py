"""Which network a set of tensors is, and how whoever trained it used it: a metadata for weights that came without one."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from rsn.codecs import MegviiCodec, MMPoseCodec
from rsn.errors import WeightsError
from rsn.models.catalog import MODELS
from rsn.models.prm import Refine
from rsn.models.residual_steps import residual_steps, wide_residual_steps
from rsn.models.stages import NUM_LEVELS, STEM_CHANNELS
from rsn.skeletons import COCO_17, MPII_16, Skeleton
from rsn.weights.conversion import CheckpointFormat, convert_state_dict, detect_format
from rsn.weights.metadata import ModelMetadata

_SKELETONS = {
    len(resolved): resolved for resolved in (COCO_17, MPII_16)
}  # of public weights, by number of keypoints

# How weights are used where they come from, for MPII's skeleton or another.
_COCO = ModelMetadata("", bbox_padding=(1.09, 1.135), notes="weights of the authors' repositories")
_MPII = replace(
    _COCO, input_size=(256, 256), bbox_padding=(1.25, 1.25), codec=MegviiCodec(blur_kernel_size=9)
)
_MMPOSE = ModelMetadata("", bbox_padding=(1.25, 1.25), codec=MMPoseCodec(), notes="weights of MMPose")
_USES: dict[tuple[CheckpointFormat, bool], ModelMetadata] = {
    ("authors", False): _COCO,
    ("authors", True): _MPII,
    ("mmpose", False): _MMPOSE,
    ("mmpose", True): replace(_MMPOSE, input_size=(256, 256)),
    ("ours", False): replace(_COCO, notes="weights of rsn"),
    ("ours", True): replace(_MPII, notes="weights of rsn"),
}


def infer_metadata(
    tensors: Mapping[str, Tensor],
    *,
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
) -> ModelMetadata:
    """A metadata for weights without one, as the project that they come from used its weights.

    The network follows from the tensors, the codec and the bbox_padding from the project that they come from. The tensors do not
    say which skeleton 17 or 16 keypoints are of, nor for which input they were trained.

    Args:
        tensors: in any layout that `rsn.load_weights` knows.
        skeleton: the skeleton; by default COCO's for 17 keypoints and MPII's for 16.
        input_size: (height, width); by default 256x192, for MPII's skeleton 256x256.

    Raises:
        WeightsError: no network of the catalog, a skeleton of another number of keypoints, a skeleton that must be named.
    """
    layout = detect_format(tensors)
    if layout is None:
        raise WeightsError(
            f"these are no weights of a network of ours; the first tensor is {next(iter(tensors))}"
        )
    if layout == "torchvision":
        raise WeightsError("a ResNet-50 finds no keypoints by itself; train an MSPN that starts from it")
    model, num_keypoints, refine = detect_architecture(convert_state_dict(tensors))
    resolved = skeleton or _SKELETONS.get(num_keypoints)
    if resolved is None:
        raise WeightsError(
            f"heatmaps of {num_keypoints} keypoints are neither COCO's nor MPII's skeleton; say which it is"
        )
    if len(resolved) != num_keypoints:
        raise WeightsError(
            f"these weights have heatmaps of {num_keypoints} keypoints, {resolved.name} has {len(resolved)}"
        )
    metadata = replace(_USES[layout, resolved == MPII_16], model=model, refine=refine, skeleton=resolved)
    return replace(metadata, input_size=input_size) if input_size else metadata


def detect_architecture(state: Mapping[str, Tensor]) -> tuple[str, int, Refine]:
    """Name in the catalog, number of keypoints and refine machines of a state dict in our layout.

    Raises:
        WeightsError: no network of the catalog is built like this.
    """
    try:
        shape = _shape(state)
        num_keypoints = len(state["stages.0.heads.0.predict.conv.weight"])
    except KeyError as error:
        raise WeightsError(f"a network of ours has a tensor that is missing here: {error}") from error
    except (IndexError, TypeError) as error:
        raise WeightsError("no network of ours has tensors of these shapes") from error
    for name, model in MODELS.items():
        steps = model.keywords["block"] in (residual_steps, wide_residual_steps)
        numbers = model.keywords
        if shape == (steps, numbers.get("expansion", 1), numbers["blocks_per_layer"], numbers["num_stages"]):
            return name, num_keypoints, _refine(state)
    raise WeightsError("no network of the catalog is built like the one that these tensors are of")


def _shape(state: Mapping[str, Tensor]) -> tuple[bool, int, tuple[int, ...], int]:
    """Residual steps or not, the blocks' expansion, the blocks in each layer, the number of stages."""
    down = [  # layer, block, what
        key.split(".")[4:] for key in state if key.startswith("stages.0.down.layers.") and key.count(".") > 5
    ]
    blocks = {(layer, block) for layer, block, *_ in down}
    blocks_per_layer = tuple(sum(at == str(layer) for at, _ in blocks) for layer in range(NUM_LEVELS))
    finest = state[f"stages.0.up.{NUM_LEVELS - 1}.lateral.conv.weight"]
    num_stages = len({key.split(".")[1] for key in state if key.startswith("stages.")})
    steps = any("steps" in what for what in down)
    return steps, finest.shape[1] // STEM_CHANNELS, blocks_per_layer, num_stages


def _refine(state: Mapping[str, Tensor]) -> Refine:
    if not any(".refine." in key for key in state):
        return "none"
    return "all" if any(key.startswith("stages.0.heads.0.refine.") for key in state) else "last"
