"""Heatmaps -> keypoints."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from rsn.codecs import unbiased as unbiased
from rsn.codecs.encode import PEAK
from rsn.codecs.gaussian import gaussian_kernel
from rsn.models.network import STRIDE
from rsn.weights.metadata import Decoder

# Cell j of a heatmap lies at input pixel 4j + this: where the reference's decoders put keypoints, and where it does lie.
CELL_CENTER: dict[Decoder, float] = {"rsn": STRIDE / 2, "mmpose": STRIDE / 2, "unbiased": unbiased.CENTER}
BORDER = 10  # zeros that the reference has around a map; a map without a positive value peaks there


def decode(heatmaps: Tensor, *, kernel: int = 5, decoder: Decoder = "rsn") -> tuple[Tensor, Tensor]:
    """Read the keypoints of a batch off its heatmaps, on their device.

    "rsn", the authors': the map is blurred, its maximum moved a quarter of a cell toward its second maximum, and the
    cell mapped to input pixels by 4x + 2. The score is the unblurred value there over 255, plus 0.5, and is not
    clipped: an empty map gives position (2, 2) and a score of at most 0.5.

    "mmpose", for weights that were trained and measured there: the blurred map's maximum moves a quarter of a cell
    uphill on either axis by itself, and half a cell to the middle of its cell; within two cells of the border neither
    happens. The score is the unblurred maximum over 255, plus 0.5. A map without a positive value
    gives position (-4, -4); an empty one a score of 0.5, where MMPose itself answers not-a-number.

    "unbiased", for weights that were trained on targets of that name: the maximum of the Gaussian around the blurred
    map's maximum, mapped to input pixels by 4x + 1.5. The score is the unblurred maximum over 255, plus 0.5.

    Args:
        heatmaps: (N, K, h, w), peak 255.
        kernel: Gaussian kernel size in heatmap pixels; 5 for COCO, 9 for MPII (the weights' metadata says which).
        decoder: whose of the three; weights were measured with one, and their metadata says which.

    Returns:
        keypoints (N, K, 2) in input pixels, (x, y); scores (N, K). Both in the heatmaps' precision.
    """
    return _DECODERS[decoder](heatmaps, kernel)


def flip_back(heatmaps: Tensor, flip: Sequence[int]) -> Tensor:
    """Heatmaps of a flipped input -> heatmaps of the input: flip the maps, swap left and right keypoints.

    (N, K, h, w); flip is `Skeleton.flip`. There is no shift by one column (reference behavior): exact for the
    unbiased codec, and averaged with the straight maps half an input pixel off for those that read cells at 4x + 2.
    """
    return heatmaps.flip(-1)[:, list(flip)]


def _decode_rsn(heatmaps: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    height, width = heatmaps.shape[-2:]
    margin = kernel // 2  # the blur reaches so far beyond the map, where the reference looks for maxima, too
    blurred = _blur(heatmaps, kernel, margin)
    peak, index = _cell_in_border(blurred, margin)
    second, _ = _cell_in_border(blurred.flatten(2).scatter(-1, index, 0.0).view_as(blurred), margin)
    step = (second - peak).to(heatmaps)
    distance = step.square().sum(-1, keepdim=True).sqrt()
    position = peak + 0.25 * step / distance.clamp(min=1.0)  # distance is 0 or at least 1
    position = torch.minimum(position.clamp(min=0), position.new_tensor([width - 1, height - 1]))
    x, y = position.round().long().unbind(-1)
    score = heatmaps.flatten(2).gather(-1, (y * width + x)[..., None]).squeeze(-1)
    return position * STRIDE + STRIDE / 2, score / PEAK + 0.5


def _cell_in_border(blurred: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """The cell (x, y) of the highest value, (N, K, 2), counted from the map inside the margin, and its flat index.

    The reference looks for it in a wide border of zeros, whose first cell is higher than values that are not positive.
    """
    value, index = blurred.flatten(2).max(-1, keepdim=True)
    return torch.where(value > 0, _cell(index, blurred.shape[-1]) - margin, -BORDER), index


def _decode_mmpose(heatmaps: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    height, width = heatmaps.shape[-2:]
    blurred = _blur(heatmaps, kernel).flatten(2)
    index = blurred.argmax(-1, keepdim=True)
    peak = _cell(index, width).to(heatmaps)
    highest = heatmaps.flatten(2).amax(-1, keepdim=True)
    inside = ((peak > 1) & (peak < peak.new_tensor([width - 1, height - 1]))).all(-1, keepdim=True)
    middle = torch.where(inside, index, width + 1)  # elsewhere any cell that has four neighbors
    dx = blurred.gather(-1, middle + 1) - blurred.gather(-1, middle - 1)
    dy = blurred.gather(-1, middle + width) - blurred.gather(-1, middle - width)
    position = peak + inside * (0.25 * torch.cat([dx, dy], dim=-1).sign() + 0.5)
    position = torch.where(highest > 0, position, -1.0)
    return position * STRIDE, highest.squeeze(-1) / PEAK + 0.5


def _decode_unbiased(heatmaps: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    blurred = _blur(heatmaps, kernel)
    peak = _cell(blurred.flatten(2).argmax(-1, keepdim=True), heatmaps.shape[-1]).to(heatmaps)
    position = unbiased.refine_peaks(blurred, peak)
    return position * STRIDE + unbiased.CENTER, heatmaps.flatten(2).amax(-1) / PEAK + 0.5


_DECODERS = {"rsn": _decode_rsn, "mmpose": _decode_mmpose, "unbiased": _decode_unbiased}


def _blur(maps: Tensor, kernel: int, margin: int = 0) -> Tensor:
    """The Gaussian blur of every map with zeros around it: (N, K, h, w) -> (N, K, h + 2 margin, w + 2 margin)."""
    keypoints = maps.shape[1]
    weights = gaussian_kernel(kernel).to(maps)
    squares = torch.outer(weights, weights).expand(keypoints, 1, kernel, kernel)
    # Contiguous maps, since cuDNN, which rounds to TF32, convolves others.
    return conv2d(pad(maps.contiguous(), [margin] * 4), squares, padding=kernel // 2, groups=keypoints)


def _cell(index: Tensor, width: int) -> Tensor:
    """Flat index in maps of this width, (N, K, 1) -> cell (x, y), (N, K, 2)."""
    return torch.cat([index % width, index // width], dim=-1)
