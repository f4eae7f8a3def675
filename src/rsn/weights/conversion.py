"""Convert state dicts of other implementations into the format of this package.

The authors' repositories and MMPose name the same tensors differently; the rules below rename both, in their order.
Only the blocks of RSN and MSPN need separate rules. torchvision's ResNet-50, the pretrained weights of MSPN, has the
tensors of a stem and of one stage's downsampling path.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from rsn.models.stages import NUM_LEVELS

# Which implementation named the tensors of a file.
CheckpointFormat = Literal["rsn", "authors", "mmpose", "torchvision"]
Rewrite = str | Callable[[re.Match[str]], str]


def _below(pattern: str) -> Callable[[re.Match[str]], str]:
    """Replace by `pattern`, with the numbers of the match counted from 0 instead of 1."""
    return lambda match: pattern.format(*(int(number) - 1 for number in match.groups()))


def _bottleneck_part(ending: str) -> Callable[[re.Match[str]], str]:
    """Replace by the first, second or third layer of a bottleneck, according to the number of the match."""
    return lambda match: f".{('reduce', 'middle', 'expand')[int(match[1]) - 1]}.{ending}"


def _mmpose_head(match: re.Match[str]) -> str:
    stage, level = divmod(int(match[1]), NUM_LEVELS)
    return f"stages.{stage}.heads.{level}."


_RULES: tuple[tuple[str, Rewrite], ...] = (
    # prefixes of all names
    (r"^(?:module|network)\.", ""),
    (r"^keypoint_head\.", "head."),
    # the stem and the stages
    (r"^(?:backbone\.top\.top\.0|top\.conv)\.", "stem.reduce."),
    (r"^(?:backbone\.multi_stage_\w+?\.|stage)(\d)\.", r"stages.\1."),
    # the downsampling path
    (r"\.downsample\.layer(\d)\.", _below(".down.layers.{}.")),
    (r"\.downsample\.(conv|bn)\.", r".shortcut.\1."),
    # the upsampling path, the cross-stage features, the heads
    (r"\.upsample\.up4\.cross_conv\.", ".start_next."),
    (r"\.upsample\.up(\d)\.(?:u_skip|in_skip)\.", _below(".up.{}.lateral.")),
    (r"\.upsample\.up(\d)\.up_conv\.", _below(".up.{}.from_coarser.")),
    (r"\.upsample\.up(\d)\.(?:out_)?skip1\.", _below(".skips.{}.from_down.")),
    (r"\.upsample\.up(\d)\.(?:out_)?skip2\.", _below(".skips.{}.from_up.")),
    (r"\.upsample\.up(\d)\.res_conv1\.", _below(".heads.{}.mix.")),
    (r"\.upsample\.up(\d)\.res_conv2\.", _below(".heads.{}.predict.")),
    (r"^head\.predict_layers\.(\d+)\.", _mmpose_head),
    (r"\.conv_layers\.0\.", ".mix."),
    (r"\.conv_layers\.1\.", ".predict."),
    # the pose refine machine: the authors' numbers, MMPose's paths
    (r"\.prm\.", ".refine."),
    (r"\bconv_bn_relu_prm_1\.", "transform."),
    (r"\bconv_bn_relu_prm_2_(\d)\.", _below("channel.{}.")),
    (r"\bconv_bn_relu_prm_3_(\d)\.", _below("spatial.{}.")),
    (r"\bmiddle_path\.0\.", "channel.0.conv."),
    (r"\bmiddle_path\.1\.", "channel.0.norm."),
    (r"\bmiddle_path\.3\.", "channel.1.conv."),
    (r"\bmiddle_path\.4\.", "channel.1.norm."),
    (r"\bbottom_path\.0\.", "spatial.0."),
    (r"\bbottom_path\.1\.depthwise_conv\.", "spatial.1."),
    (r"\bbottom_path\.1\.pointwise_conv\.", "spatial.2."),
    # inside every layer
    (r"\.bn\.(\w+)$", r".norm.\1"),
)
_RESIDUAL_STEPS_RULES: tuple[tuple[str, Rewrite], ...] = (
    (r"\.conv_bn_relu1\.", ".split."),
    (r"\.conv_bn_relu2_(\d)_(\d)\.", _below(".steps.{}.{}.")),
    (r"\.conv_bn(?:_relu)?3\.", ".merge."),
)
_BOTTLENECK_RULES: tuple[tuple[str, Rewrite], ...] = (
    (r"\.conv_bn_relu(\d)\.", _bottleneck_part("")),
    (r"\.conv(\d)\.", _bottleneck_part("conv.")),
    (r"\.bn(\d)\.", _bottleneck_part("norm.")),
)
_TORCHVISION_RULES: tuple[tuple[str, Rewrite], ...] = (
    (r"^conv1\.", "stem.reduce.conv."),
    (r"^bn1\.", "stem.reduce.norm."),
    (r"^layer(\d)\.", _below("stages.0.down.layers.{}.")),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
)
# The ending of a key that only this format has; what precedes it is a prefix of all keys.
FORMAT_SIGNS: tuple[tuple[CheckpointFormat, str], ...] = (
    ("rsn", "stem.reduce.conv.weight"),
    ("authors", "top.conv.conv.weight"),
    ("mmpose", "backbone.top.top.0.conv.weight"),
    ("torchvision", "layer1.0.conv1.weight"),
)
_STEP = re.compile(r"\.conv_bn_relu2_\d_\d\.")  # only residual-steps blocks have such keys
# Batch counts, normalization, a classifier, and leftovers of averaging: MMCV's copies and PyTorch's count.
_NOT_WEIGHTS = re.compile(r"^data_preprocessor\.|\.num_batches_tracked$|^(?:module\.)?fc\.|^ema_\w+$|^n_averaged$")


def detect_format(tensors: Mapping[str, Tensor]) -> CheckpointFormat | None:
    """The format of a state dict; None if it is unknown."""
    return next((name for name, sign in FORMAT_SIGNS if any(has_ending(key, sign) for key in tensors)), None)


def has_ending(key: str, sign: str) -> bool:
    """Whether a key ends with the sign of a format, with any prefix."""
    return key == sign or key.endswith(f".{sign}")


def convert_state_dict(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors, fold convolution biases into the batch norms, and convert the stem to RGB.

    Tensors of this package are returned unchanged. The authors' networks take BGR, all others RGB. A ResNet-50 becomes
    a stem and the downsampling path of the first stage.
    """
    source = detect_format(tensors)
    rules = _RULES + (_RESIDUAL_STEPS_RULES if any(map(_STEP.search, tensors)) else _BOTTLENECK_RULES)
    if source == "torchvision":
        rules = (_RULES[0], *_TORCHVISION_RULES, *_BOTTLENECK_RULES)
    state = {_rename(key, rules): value for key, value in tensors.items() if not _NOT_WEIGHTS.search(key)}
    if source == "authors":
        state["stem.reduce.conv.weight"] = state["stem.reduce.conv.weight"].flip(1)
    for key in [key for key in state if key.endswith(".conv.bias")]:
        _fold_bias(state, key)
    return {key: _as_convolution(key, value).to(torch.float32) for key, value in state.items()}


def copy_to_all_stages(state: Mapping[str, Tensor], num_stages: int) -> dict[str, Tensor]:
    """The tensors of the first stage for all stages, as MMPose initializes its MSPN from one ResNet-50."""
    copies = dict(state)
    for number in range(1, num_stages):
        copies |= {
            key.replace("stages.0.", f"stages.{number}.", 1): value
            for key, value in state.items()
            if key.startswith("stages.0.")
        }
    return copies


def _as_convolution(key: str, value: Tensor) -> Tensor:
    """MMPose's linear layers are 1x1 convolutions here."""
    return value[..., None, None] if key.endswith("conv.weight") and value.ndim == 2 else value


def _rename(key: str, rules: tuple[tuple[str, Rewrite], ...]) -> str:
    for pattern, rewrite in rules:
        key = re.sub(pattern, rewrite, key)
    return key


def _fold_bias(state: dict[str, Tensor], key: str) -> None:
    """Subtract a bias from the running mean of the batch norm that follows it."""
    mean = key.removesuffix("conv.bias") + "norm.running_mean"
    if mean in state:
        state[mean] = state[mean] - state.pop(key)
