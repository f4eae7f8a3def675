"""Heatmaps -> joints."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from rsn.heatmaps import unbiased
from rsn.heatmaps.encode import PEAK
from rsn.heatmaps.gaussian import gaussian_kernel
from rsn.heatmaps.peaks import cell_at, highest_cell, highest_strip, one_strip, strips_of
from rsn.heatmaps.windows import around_peaks, side_of
from rsn.networks.card import Decoder
from rsn.networks.network import STRIDE

# Cell j of a heatmap lies at input pixel 4j + this: where the reference's decoders put joints, and where it does lie.
CELL_MIDDLE: dict[Decoder, float] = {"rsn": STRIDE / 2, "mmpose": STRIDE / 2, "unbiased": unbiased.MIDDLE}
BORDER = 10  # zeros that the reference has around a map; a map without a positive value peaks there


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
    side = side_of(kernel)
    if heatmaps.device.type != "cpu" or min(heatmaps.shape[-2:]) < side or heatmaps.shape[:2].numel() == 0:
        return decode_in_full(heatmaps, kernel=kernel, decoder=decoder)
    windows = around_peaks(heatmaps, kernel)
    blurred = _blur(windows.maps, kernel)
    keypoints, scores = _DECODERS[decoder](windows.maps, blurred, kernel)
    keypoints = keypoints + STRIDE * windows.origin
    if (unsure := ~windows.show_two_peaks(blurred)).any():
        found = decode_in_full(heatmaps[unsure][None], kernel=kernel, decoder=decoder)
        keypoints[unsure], scores[unsure] = found[0][0], found[1][0]
    return keypoints, scores


def decode_in_full(heatmaps: Tensor, *, kernel: int, decoder: Decoder) -> tuple[Tensor, Tensor]:
    """As `decode`, by blurring all of every map: the same operations whatever the maps hold, as graphs need it.

    On CPUs `decode` blurs only what lies around a map's highest value, where that settles where the blurred map peaks.
    """
    return _DECODERS[decoder](heatmaps, _blur(heatmaps, kernel), kernel)


def mirror_back(heatmaps: Tensor, mirror: Sequence[int]) -> Tensor:
    """Heatmaps of a mirrored input -> heatmaps of the input: mirror the maps, swap left and right joints.

    (N, K, h, w); mirror is `Skeleton.mirror`. There is no shift by one column (reference behaviour): exact for the
    unbiased codec, and averaged with the straight maps half an input pixel off for those that read cells at 4x + 2.
    """
    return heatmaps.flip(-1)[:, list(mirror)]


def _decode_rsn(heatmaps: Tensor, blurred: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    batch, joints, height, width = heatmaps.shape
    cells = _two_peaks(blurred, kernel // 2)
    peak, second = (cell.to(heatmaps.dtype) for cell in cells)
    step = second - peak
    distance = (step[..., :1].square() + step[..., 1:].square()).sqrt()
    position = peak + 0.25 * step / distance.clamp(min=1.0)  # distance is 0 or at least 1
    limit = position.new_tensor([width - 1, height - 1])
    position = torch.minimum(position.clamp(min=0), limit)
    cell = position.round().long()
    values = heatmaps.flatten(2).gather(-1, (cell[..., 1] * width + cell[..., 0])[..., None])
    return position * STRIDE + STRIDE / 2, values.view(batch, joints) / PEAK + 0.5


def _two_peaks(blurred: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Cells (N, K, 2), (x, y), of the highest value, and of the highest once that one is 0.

    blurred: with the `reach` cells around the map. The reference looks for both in a border of zeros too, so what is
    not positive is beaten by its first cell.
    """
    width, strips = blurred.shape[-1], strips_of(blurred)
    tops, strip, values = highest_strip(strips)
    place = values.argmax(-1, keepdim=True)
    rest = values.scatter(-1, place, 0.0)
    other_tops = tops.scatter(-1, strip, rest.amax(-1, keepdim=True))
    other_strip = other_tops.argmax(-1, keepdim=True)
    other_values = torch.where(other_strip == strip, rest, one_strip(strips, other_strip))
    first = cell_at(strip * strips.shape[-1] + place, width) - reach
    second = cell_at(other_strip * strips.shape[-1] + other_values.argmax(-1, keepdim=True), width) - reach
    return (
        torch.where(tops.gather(-1, strip) > 0, first, -BORDER),
        torch.where(other_tops.gather(-1, other_strip) > 0, second, -BORDER),
    )


def _decode_mmpose(heatmaps: Tensor, blurred: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    width, height = heatmaps.shape[-1], heatmaps.shape[-2]
    blurred = _within(blurred, kernel)
    cell = highest_cell(blurred)
    peak, index = cell.to(heatmaps.dtype), cell[..., 1:] * width + cell[..., :1]
    blurred = blurred.flatten(2)
    highest = heatmaps.flatten(2).amax(-1, keepdim=True)
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


def _decode_unbiased(heatmaps: Tensor, blurred: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    blurred = _within(blurred, kernel)
    position = unbiased.refine_peaks(blurred, highest_cell(blurred).to(heatmaps.dtype))
    return position * STRIDE + unbiased.MIDDLE, heatmaps.flatten(2).amax(-1) / PEAK + 0.5


_DECODERS = {"rsn": _decode_rsn, "mmpose": _decode_mmpose, "unbiased": _decode_unbiased}


def _blur(maps: Tensor, kernel: int) -> Tensor:
    """(N, K, h, w) -> (N, K, h + 2r, w + 2r): the blurred maps with the r cells around them that the blur reaches.

    Along either axis a sum of shifted maps: on CPUs a tenth of the time of a convolution of single channels. Rows lie
    behind one another with 2r zeros in between, so that a shift along either axis is one of the whole line. Cells at
    the same distance are added first, so that what is mirrored stays equal.
    """
    *outer, middle = gaussian_kernel(kernel)[: kernel // 2 + 1].tolist()
    gap = kernel - 1
    height, width = maps.shape[-2] + gap, maps.shape[-1] + gap
    blurred = pad(maps, [gap, 0, gap, gap + 1]).flatten(-2)  # the last row of zeros ends the one before it
    for step, rows in ((1, height + gap), (width, height)):
        shifts = [blurred.narrow(-1, place * step, rows * width) for place in range(kernel)]
        blurred = middle * shifts[kernel // 2]
        for place, weight in enumerate(outer):
            blurred.add_(shifts[place] + shifts[-1 - place], alpha=weight)
    return blurred.view(*maps.shape[:2], height, width)


def _within(blurred: Tensor, kernel: int) -> Tensor:
    """Without the cells around the maps."""
    reach = kernel // 2
    return blurred[..., reach:-reach, reach:-reach]
