"""The codec of the person detector: boxes -> target maps, and maps -> boxes.

A person is the center of the box, with a size and an offset (Zhou et al., *Objects as Points*, 2019). Every cell near
the center is trained with the box, not the center alone (Liu et al., *Training-Time-Friendly Network*, AAAI 2020),
from which a network learns faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rsn.codecs.arrays import Array, as_floats, best_first, library_of, surrounded, take
from rsn.codecs.base import Codec
from rsn.codecs.heatmap import STRIDE, flattened

if TYPE_CHECKING:
    from torch import Tensor

MAPS = ("center", "log_width", "log_height", "offset_x", "offset_y")
SIZE_UNIT = 64.0  # input pixels: a log size of 0
OFFSET_UNIT = 16.0  # input pixels
MAX_LOG_SIZE = 3.0  # sizes stay between SIZE_UNIT / 20 and SIZE_UNIT * 20
DEVIATION = 0.09  # of a person's Gaussian in the center heatmap, as a share of the box
MIN_DEVIATION = 0.4  # cells
NEAR = 0.1  # height of that Gaussian from which a cell is trained with the box
MAX_PERSONS = 100  # per image
_LARGE = 80.0  # a logit beyond which the score does not change


class BoxTargets(NamedTuple):
    """The targets of a batch; h and w are a quarter of the input's.

    center_heatmap: (N, h, w), 1 in the cell of a box's center and falling off around it.
    corners: (N, h, w, 4) left, top, right, bottom in input pixels, of the smallest box that the cell is near to.
    weights: (N, h, w), how much the cell counts for that box: the cells of a person sum to 1; 0 away from persons.
    """

    center_heatmap: "Tensor"
    corners: "Tensor"
    weights: "Tensor"


@dataclass(frozen=True)
class BoxCodec(Codec):
    """Boxes of persons in five maps: a heatmap of centers (logits), two log sizes, two offsets."""

    name: ClassVar[str] = "box"

    def num_maps(self, num_keypoints: int = 0) -> int:
        """Five, whatever the number of keypoints."""
        return len(MAPS)

    def encode(self, keypoints: "Tensor", visibility: "Tensor", input_size: tuple[int, int]) -> BoxTargets:
        """Boxes -> targets, on their device.

        Args:
            keypoints: (N, M, 4), the corners of the boxes: left, top, right, bottom in input pixels; M is at least 1.
            visibility: (N, M) booleans: which rows are boxes, and which only fill the table.
            input_size: (height, width) of the input in pixels.
        """
        import torch

        corners, present = keypoints, visibility
        height, width = input_size[0] // STRIDE, input_size[1] // STRIDE
        sizes = (corners[..., 2:] - corners[..., :2]).clamp(min=1.0)
        centers = (corners[..., :2] + corners[..., 2:]) / 2
        x, y = (centers / STRIDE).floor().unbind(-1)
        deviation = (DEVIATION * sizes / STRIDE).clamp(min=MIN_DEVIATION)
        columns = _gaussian(width, x.clamp(0, width - 1), deviation[..., 0])
        rows = _gaussian(height, y.clamp(0, height - 1), deviation[..., 1])
        heatmaps = rows[..., :, None] * columns[..., None, :] * present[..., None, None]
        near = heatmaps > NEAR
        areas = sizes.prod(-1)[..., None, None].expand_as(heatmaps)
        smallest = areas.masked_fill(~near, torch.inf).argmin(1)
        height_there = heatmaps.gather(1, smallest[:, None]).squeeze(1) * near.any(1)
        total = torch.zeros_like(areas[..., 0, 0]).scatter_add(1, smallest.flatten(1), height_there.flatten(1))
        weights = height_there / total.gather(1, smallest.flatten(1)).view_as(height_there).clamp(min=1e-6)
        index = smallest.flatten(1)[..., None].expand(-1, -1, 4)
        return BoxTargets(heatmaps.amax(1), corners.gather(1, index).view(*smallest.shape, 4), weights)

    def decode(self, outputs: Array) -> tuple[Array, Array]:
        """Maps (N, 5, h, w) -> corners (N, M, 4) in input pixels and scores (N, M), best first; M at most 100.

        A person is a cell whose score is no lower than that of its eight neighbors.
        """
        library = library_of(outputs)
        width = outputs.shape[-1]
        scores = 1 / (1 + library.exp(-library.clip(outputs[:, :1], -_LARGE, _LARGE)))
        peaks = flattened(scores * (scores == _highest_around(scores)))[:, 0]
        index = best_first(peaks, MAX_PERSONS)
        sizes_and_offsets = take(flattened(outputs[:, 1:]), library.stack([index] * 4, 1))
        return _corners(index % width, index // width, sizes_and_offsets), take(peaks, index)

    def flip_back(self, outputs: Array, flip_indices: Sequence[int] = ()) -> Array:
        """Maps (N, 5, h, w) of flipped inputs -> the maps of the inputs."""
        library = library_of(outputs)
        back = library.flip(outputs, (-1,))
        moved = MAPS.index("offset_x")
        flipped: Array = library.concatenate([back[:, :moved], -back[:, moved : moved + 1], back[:, moved + 1 :]], 1)
        return flipped


def corners_of(maps: "Tensor") -> "Tensor":
    """The box that every cell of (N, 5, h, w) predicts: (N, h, w, 4) left, top, right, bottom in input pixels."""
    import torch

    height, width = maps.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=maps.device), torch.arange(width, device=maps.device), indexing="ij"
    )
    corners: Tensor = _corners(x, y, maps[:, 1:])
    return corners


def _corners(x: Any, y: Any, sizes_and_offsets: Any) -> Any:
    """The boxes of cells (...), whose sizes and offsets are (N, 4, ...): (N, ..., 4)."""
    library = library_of(sizes_and_offsets)
    log_width, log_height, offset_x, offset_y = (sizes_and_offsets[:, number] for number in range(4))
    half_width, half_height = (
        SIZE_UNIT / 2 * library.exp(library.clip(log, -MAX_LOG_SIZE, MAX_LOG_SIZE)) for log in (log_width, log_height)
    )
    center_x = STRIDE * as_floats(x, offset_x) + STRIDE / 2 + OFFSET_UNIT * offset_x
    center_y = STRIDE * as_floats(y, offset_y) + STRIDE / 2 + OFFSET_UNIT * offset_y
    return library.stack(
        [center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height], -1
    )


def _highest_around(scores: Any) -> Any:
    """The highest score of each cell and its eight neighbors; scores (N, 1, h, w) are above 0."""
    library = library_of(scores)
    height, width = scores.shape[-2:]
    wide = surrounded(scores, 1)
    rows = library.maximum(library.maximum(wide[..., :height, :], wide[..., 1:-1, :]), wide[..., 2:, :])
    return library.maximum(library.maximum(rows[..., :width], rows[..., 1:-1]), rows[..., 2:])


def _gaussian(length: int, cell: "Tensor", deviation: "Tensor") -> "Tensor":
    """(N, M) cells and deviations -> (N, M, length), a Gaussian of height 1 around each cell."""
    import torch

    distance = torch.arange(length, device=cell.device) - cell[..., None]
    return torch.exp(-0.5 * (distance / deviation[..., None]).square())
