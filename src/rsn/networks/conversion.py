"""State dicts of the reference implementations in our layout.

RSN's repository and MMPose name the same tensors differently; the rows of `_RULES` turn either name into ours, in
the order in which they stand.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Rewrite = str | Callable[[re.Match[str]], str]


def _below(pattern: str) -> Callable[[re.Match[str]], str]:
    """Rewrite to `pattern`, with the match's numbers counted from 0 instead of 1."""
    return lambda match: pattern.format(*(int(number) - 1 for number in match.groups()))


def _mmpose_head(match: re.Match[str]) -> str:
    stage, level = divmod(int(match[1]), 4)
    return f"stages.{stage}.heads.{level}.{('mix', 'predict')[int(match[2])]}."


_RULES: tuple[tuple[str, Rewrite], ...] = (
    # around everything
    (r"^module\.", ""),
    (r"^keypoint_head\.", "head."),
    # the stem and the stages
    (r"^(?:backbone\.top\.top\.0|top\.conv)\.", "stem.reduce."),
    (r"^(?:backbone\.multi_stage_\w+?\.|stage)(\d)\.", r"stages.\1."),
    # the way down
    (r"\.downsample\.layer(\d)\.", _below(".down.layers.{}.")),
    (r"\.conv_bn_relu1\.", ".split."),
    (r"\.conv_bn_relu2_(\d)_(\d)\.", _below(".steps.{}.{}.")),
    (r"\.conv_bn(?:_relu)?3\.", ".merge."),
    (r"\.downsample\.(conv|bn)\.", r".shortcut.\1."),
    # the way up, what is handed to the next stage, the heads
    (r"\.upsample\.up4\.cross_conv\.", ".start_next."),
    (r"\.upsample\.up(\d)\.(?:u_skip|in_skip)\.", _below(".up.{}.lateral.")),
    (r"\.upsample\.up(\d)\.up_conv\.", _below(".up.{}.from_coarser.")),
    (r"\.upsample\.up(\d)\.(?:out_)?skip1\.", _below(".skips.{}.from_down.")),
    (r"\.upsample\.up(\d)\.(?:out_)?skip2\.", _below(".skips.{}.from_up.")),
    (r"\.upsample\.up(\d)\.res_conv1\.", _below(".heads.{}.mix.")),
    (r"\.upsample\.up(\d)\.res_conv2\.", _below(".heads.{}.predict.")),
    (r"^head\.predict_layers\.(\d+)\.conv_layers\.(\d)\.", _mmpose_head),
    (r"\.bn\.(\w+)$", r".norm.\1"),
)
_NOT_WEIGHTS = re.compile(r"^data_preprocessor\.|\.num_batches_tracked$")
_BGR_STEM = "top.conv.conv.weight"  # only the RSN repository has this key, and it feeds BGR


def to_our_layout(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename, fold convolution biases into the batch norms, and bring the stem to RGB; ours pass unchanged."""
    bgr = any(key.endswith(_BGR_STEM) for key in tensors)
    state = {_our_key(key): value for key, value in tensors.items() if not _NOT_WEIGHTS.search(key)}
    if bgr:
        state["stem.reduce.conv.weight"] = state["stem.reduce.conv.weight"].flip(1)
    for key in [key for key in state if key.endswith(".conv.bias")]:
        _fold_bias(state, key)
    return {key: value.to(torch.float32) for key, value in state.items()}


def _our_key(key: str) -> str:
    for pattern, rewrite in _RULES:
        key = re.sub(pattern, rewrite, key)
    return key


def _fold_bias(state: dict[str, Tensor], key: str) -> None:
    """A bias before a batch norm only shifts the mean that the norm subtracts."""
    mean = key.removesuffix("conv.bias") + "norm.running_mean"
    if mean in state:
        state[mean] = state[mean] - state.pop(key)
