"""Metadata for third-party weights, which come without: the network from the tensors, its use from their format."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from rsn.codecs import MegviiCodec, MMPoseCodec
from rsn.errors import WeightsError
from rsn.models.catalog import ARCHITECTURES
from rsn.models.prm import Refine
from rsn.models.residual_steps import residual_steps, wide_residual_steps
from rsn.models.stages import NUM_LEVELS, STEM_CHANNELS
from rsn.skeletons import COCO_17, MPII_16, Skeleton
from rsn.weights.conversion import CheckpointFormat, convert_state_dict, detect_format
from rsn.weights.metadata import ModelMetadata

_SKELETONS = {len(skeleton): skeleton for skeleton in (COCO_17, MPII_16)}  # of public weights

# How weights are used by the project that they come from, for MPII's skeleton or another.
_COCO = ModelMetadata("", bbox_padding=(1.09, 1.135), notes="weights of the authors' repositories")
_MPII = replace(_COCO, input_size=(256, 256), bbox_padding=(1.25, 1.25), codec=MegviiCodec(blur_kernel_size=9))
_MMPOSE = ModelMetadata("", bbox_padding=(1.25, 1.25), codec=MMPoseCodec(), notes="weights of MMPose")
_USES: dict[tuple[CheckpointFormat, bool], ModelMetadata] = {
    ("authors", False): _COCO,
    ("authors", True): _MPII,
    ("mmpose", False): _MMPOSE,
    ("mmpose", True): replace(_MMPOSE, input_size=(256, 256)),
    ("rsn", False): replace(_COCO, notes="weights of rsn"),
    ("rsn", True): replace(_MPII, notes="weights of rsn"),
}


def infer_metadata(
    tensors: Mapping[str, Tensor],
    *,
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
) -> ModelMetadata:
    """Metadata for weights without, as the project that they come from used its weights.

    The tensors say which network they belong to, their format which codec and bbox_padding. They say neither which
    skeleton their 17 or 16 keypoints belong to nor for which input size they were trained.

    Args:
        tensors: in any format that `rsn.load_weights` knows.
        skeleton: the skeleton; by default COCO's for 17 keypoints and MPII's for 16.
        input_size: (height, width); by default 256x192, for MPII's skeleton 256x256.

    Raises:
        WeightsError: no network of the catalog, or a skeleton that is missing or has another number of keypoints.
    """
    source_format = detect_format(tensors)
    if source_format is None:
        raise WeightsError(f"the format of these weights is unknown; the first tensor is {next(iter(tensors))}")
    if source_format == "torchvision":
        raise WeightsError("a ResNet-50 alone finds no keypoints; train an MSPN with it as pretrained weights")
    model, num_keypoints, refine = detect_architecture(convert_state_dict(tensors))
    skeleton = skeleton or _SKELETONS.get(num_keypoints)
    if skeleton is None:
        raise WeightsError(
            f"these weights have heatmaps of {num_keypoints} keypoints, which is neither COCO's nor MPII's skeleton;"
            " name the skeleton"
        )
    if len(skeleton) != num_keypoints:
        raise WeightsError(
            f"these weights have heatmaps of {num_keypoints} keypoints, {skeleton.name} has {len(skeleton)}"
        )
    options = {} if refine == "none" else {"refine": refine}
    metadata = replace(_USES[source_format, skeleton == MPII_16], model=model, options=options, skeleton=skeleton)
    return replace(metadata, input_size=input_size) if input_size else metadata


def detect_architecture(state: Mapping[str, Tensor]) -> tuple[str, int, Refine]:
    """The name in the catalog, the number of keypoints and the PRMs of a state dict in our format.

    Raises:
        WeightsError: no network of the catalog is built like this.
    """
    try:
        shape = _shape(state)
        num_keypoints = len(state["stages.0.heads.0.predict.conv.weight"])
    except KeyError as error:
        raise WeightsError(f"no network of the catalog lacks the tensor {error}") from error
    except (IndexError, TypeError) as error:
        raise WeightsError("no network of the catalog has tensors of these shapes") from error
    for name, built in ARCHITECTURES.items():
        steps = built.block in (residual_steps, wide_residual_steps)
        if shape == (steps, built.expansion, built.blocks_per_layer, built.num_stages):
            return name, num_keypoints, _refine(state)
    raise WeightsError("no network of the catalog has the blocks and stages of these tensors")


def _shape(state: Mapping[str, Tensor]) -> tuple[bool, int, tuple[int, ...], int]:
    """Residual steps or not, the blocks' expansion, the blocks in each layer, the number of stages."""
    down = [  # layer, block, names inside it
        key.split(".")[4:] for key in state if key.startswith("stages.0.down.layers.") and key.count(".") > 5
    ]
    blocks = {(layer, block) for layer, block, *_ in down}
    blocks_per_layer = tuple(sum(number == str(layer) for number, _ in blocks) for layer in range(NUM_LEVELS))
    finest = state[f"stages.0.up.{NUM_LEVELS - 1}.lateral.conv.weight"]
    num_stages = len({key.split(".")[1] for key in state if key.startswith("stages.")})
    steps = any("steps" in names for names in down)
    return steps, finest.shape[1] // STEM_CHANNELS, blocks_per_layer, num_stages


def _refine(state: Mapping[str, Tensor]) -> Refine:
    if not any(".refine." in key for key in state):
        return "none"
    return "all" if any(key.startswith("stages.0.heads.0.refine.") for key in state) else "last"
