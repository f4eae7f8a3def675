"""Where maps are highest, in any tensor of maps (N, K, h, w)."""

from math import gcd

import torch
from torch import Tensor

ROWS = 4  # of a map that are searched together


def highest_cell(maps: Tensor) -> Tensor:
    """The cell (x, y) of the highest value, (N, K, 2): the first of several."""
    strips = strips_of(maps)
    _, strip, values = highest_strip(strips)
    return cell_at(strip * strips.shape[-1] + values.argmax(-1, keepdim=True), maps.shape[-1])


def highest_strip(strips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How high each strip is, (N, K, S); the number of the highest, (N, K, 1), and its values, (N, K, L)."""
    tops = strips.amax(-1)
    strip = tops.argmax(-1, keepdim=True)
    return tops, strip, one_strip(strips, strip)


def strips_of(maps: Tensor) -> Tensor:
    """(N, K, h, w) -> (N, K, S, w * h / S), a few rows each.

    A maximum is looked for in its strip only, once that is known: finding where one is takes PyTorch far longer than
    finding how high it is.
    """
    batch, joints, height, width = maps.shape
    rows = gcd(height, ROWS)
    return maps.reshape(batch, joints, height // rows, rows * width)


def one_strip(strips: Tensor, number: Tensor) -> Tensor:
    """(N, K, S, L) and (N, K, 1) -> that strip of each map, (N, K, L)."""
    batch, joints, count, length = strips.shape
    first = count * torch.arange(batch * joints, device=strips.device)
    return strips.flatten(0, 2).index_select(0, first + number.flatten()).view(batch, joints, length)


def cell_at(index: Tensor, width: int) -> Tensor:
    """Places in maps whose rows lie behind one another, (N, K, 1) -> cells (x, y), (N, K, 2)."""
    return torch.cat([index % width, index // width], dim=-1)
