"""Parts of heatmaps around their highest values: a blurred map peaks there too, unless another value comes near."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rsn.heatmaps.peaks import cell_at, highest_strip, strips_of

_SPARE = 3  # cells on either side of the highest value that may be about as high
_ROUNDING = 1e-4  # a blur, which raises no value, may still round one up


@dataclass(frozen=True)
class Windows:
    """A square of each of the maps (N, K, h, w), which lies within it.

    maps: (N, K, side, side). origin: (N, K, 2), the cell (x, y) where a square begins. outside: (N, K), the highest
    value of what is not in the square, or so near one of its edges that blurred values there are not the map's.
    """

    maps: Tensor
    origin: Tensor
    outside: Tensor

    def show_two_peaks(self, blurred: Tensor) -> Tensor:
        """(N, K) bool: whether the two highest values of a blurred map are those of its blurred window, and positive.

        blurred: (N, K, ...), the blurred windows. A blurred value is a mean, and no mean is above all that it is of:
        if two are above all that is outside, they are the map's highest. Two rows hold two values.
        """
        second = blurred.amax(-1).topk(2).values[..., 1]
        return (second > 0) & (self.outside < second * (1 - _ROUNDING))


def side_of(kernel: int) -> int:
    """How wide and high a window is: what is around the peak, the neighbours that decoders look at, and two blurs."""
    return 2 * (_SPARE + _margin(kernel))


def around_peaks(heatmaps: Tensor, kernel: int) -> Windows:
    """The window around each map's highest value.

    heatmaps: (N, K, h, w), no smaller than a window. kernel: size of the blur.
    """
    (height, width), side, margin = heatmaps.shape[-2:], side_of(kernel), _margin(kernel)
    heatmaps = heatmaps.contiguous()
    strips = strips_of(heatmaps)
    tops, strip, values = highest_strip(strips)
    peak = cell_at(strip * strips.shape[-1] + values.argmax(-1, keepdim=True), width)
    origin = (peak - side // 2).clamp(min=0).minimum(peak.new_tensor([width - side, height - side]))
    left, top = origin[..., :1], origin[..., 1:]
    steps = torch.arange(side, device=heatmaps.device)
    band = _pieces(heatmaps, top * width, side * width).view(*heatmaps.shape[:2], side, width)
    windows = _pieces(band, left + width * steps, side)

    rows = height // tops.shape[-1]
    first = rows * torch.arange(tops.shape[-1], device=heatmaps.device)
    far = tops.masked_fill((first >= top) & (first + rows <= top + side), -torch.inf).amax(-1)
    columns = torch.arange(width, device=heatmaps.device)
    by_row = _counted(top + steps, top, top + side, height, margin)[..., None]
    by_column = _counted(columns, left, left + side, width, margin)[..., None, :]
    near = band.minimum(by_row.maximum(by_column)).flatten(2).amax(-1)
    return Windows(windows, origin, torch.maximum(far, near))


def _margin(kernel: int) -> int:
    """How far from a window's edge a cell has to be, if it alone shall make blurred values that are the map's.

    It reaches as far as the blur. So far from the edge must these lie themselves, and their neighbours too.
    """
    return 2 * (kernel // 2) + 1


def _pieces(maps: Tensor, starts: Tensor, length: int) -> Tensor:
    """So many cells on from each of the places (N, K, P) in maps, row after row, (N, K, P, length)."""
    batch, joints, height, width = maps.shape
    pieces = maps.as_strided((maps.numel() - length + 1, length), (1, 1))
    first = height * width * torch.arange(batch * joints, device=maps.device).view(batch, joints, 1)
    return pieces[first + starts]


def _counted(places: Tensor, first: Tensor, end: Tensor, length: int, margin: int) -> Tensor:
    """Infinity for rows or columns beyond a window, or near an edge of it that is not the map's; else minus that."""
    begin = torch.where(first > 0, first + margin, 0)
    inside = (places >= begin) & (places < torch.where(end < length, end - margin, length))
    return torch.where(inside, -torch.inf, torch.inf)
