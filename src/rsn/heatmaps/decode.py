"""Heatmaps -> joints."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from rsn.heatmaps import unbiased
from rsn.heatmaps.encode import PEAK
from rsn.heatmaps.gaussian import gaussian_kernel
from rsn.networks.card import Decoder
from rsn.networks.network import STRIDE

# Cell j of a heatmap lies at input pixel 4j + this: where the reference's decoders put joints, and where it does lie.
CELL_MIDDLE: dict[Decoder, float] = {"rsn": STRIDE / 2, "mmpose": STRIDE / 2, "unbiased": unbiased.MIDDLE}
BORDER = 10  # zeros around a map before it is blurred; a map without a positive value peaks there


def decode(heatmaps: Tensor, *, kernel: int = 5, decoder: Decoder = "rsn") -> tuple[Tensor, Tensor]:
    """Read the joints of a batch off its heatmaps, on their device.

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
        kernel: Gaussian kernel size in heatmap pixels; 5 for COCO, 9 for MPII (the weights' card says which).
        decoder: whose of the three; weights were measured with one, and their card says which.

    Returns:
        keypoints (N, K, 2) in input pixels, (x, y); scores (N, K). Both in the heatmaps' precision.
    """
    return _DECODERS[decoder](heatmaps, kernel)


def mirror_back(heatmaps: Tensor, mirror: Sequence[int]) -> Tensor:
    """Heatmaps of a mirrored input -> heatmaps of the input: mirror the maps, swap left and right joints.

    (N, K, h, w); mirror is `Skeleton.mirror`. There is no shift by one column (reference behaviour): exact for the
    unbiased codec, and averaged with the straight maps half an input pixel off for those that read cells at 4x + 2.
    """
    return heatmaps.flip(-1)[:, list(mirror)]


def _decode_rsn(heatmaps: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    batch, joints, height, width = heatmaps.shape
    blurred = _blur(pad(heatmaps, [BORDER] * 4), kernel).flatten(2)
    row_length = width + 2 * BORDER
    first = blurred.argmax(-1, keepdim=True)
    second = blurred.scatter(-1, first, 0.0).argmax(-1, keepdim=True)
    peak = _position(first, row_length, heatmaps.dtype)
    step = _position(second, row_length, heatmaps.dtype) - peak
    distance = step.norm(dim=-1, keepdim=True)
    position = peak + 0.25 * step / distance.clamp(min=1.0) - BORDER  # distance is 0 or at least 1
    limit = position.new_tensor([width - 1, height - 1])
    position = torch.minimum(position.clamp(min=0), limit)
    cell = position.round().long()
    values = heatmaps.flatten(2).gather(-1, (cell[..., 1] * width + cell[..., 0])[..., None])
    return position * STRIDE + STRIDE / 2, values.view(batch, joints) / PEAK + 0.5


def _decode_mmpose(heatmaps: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    width, height = heatmaps.shape[-1], heatmaps.shape[-2]
    blurred = _blur(heatmaps, kernel).flatten(2)
    index = blurred.argmax(-1, keepdim=True)
    highest = heatmaps.flatten(2).amax(-1, keepdim=True)
    peak = _position(index, width, heatmaps.dtype)
    inside = ((peak > 1) & (peak < peak.new_tensor([width - 1, height - 1]))).all(-1, keepdim=True)
    middle = torch.where(inside, index, width + 1)  # elsewhere any cell that has four neighbours
    slope = torch.cat(
        [
            blurred.gather(-1, middle + 1) - blurred.gather(-1, middle - 1),
            blurred.gather(-1, middle + width) - blurred.gather(-1, middle - width),
        ],
        dim=-1,
    )
    position = peak + inside * (0.25 * slope.sign() + 0.5)
    position = torch.where(highest > 0, position, -1.0)
    return position * STRIDE, highest.squeeze(-1) / PEAK + 0.5


def _decode_unbiased(heatmaps: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    blurred = _blur(heatmaps, kernel)
    index = blurred.flatten(2).argmax(-1, keepdim=True)
    peak = _position(index, heatmaps.shape[-1], heatmaps.dtype)
    position = unbiased.refine_peaks(blurred, peak)
    return position * STRIDE + unbiased.MIDDLE, heatmaps.flatten(2).amax(-1) / PEAK + 0.5


_DECODERS = {"rsn": _decode_rsn, "mmpose": _decode_mmpose, "unbiased": _decode_unbiased}


def _blur(maps: Tensor, kernel: int) -> Tensor:
    weights = gaussian_kernel(kernel).to(maps)
    reach = kernel // 2
    flat = maps.flatten(0, 1)[:, None]
    flat = conv2d(flat, weights.view(1, 1, -1, 1), padding=(reach, 0))
    return conv2d(flat, weights.view(1, 1, 1, -1), padding=(0, reach)).view(maps.shape)


def _position(index: Tensor, row_length: int, dtype: torch.dtype) -> Tensor:
    return torch.cat([index % row_length, index // row_length], dim=-1).to(dtype)
