"""The codec of the RSN and MSPN repositories."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from rsn.codecs.arrays import Array, as_floats, as_indices, library_of, replaced, take
from rsn.codecs.base import register_codec
from rsn.codecs.gaussian import gaussian_kernel
from rsn.codecs.heatmap import PEAK, STRIDE, HeatmapCodec, cell_of, flattened, highest_cell
from rsn.errors import RsnError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BORDER = 10  # zeros that the reference has around a map; a map without a positive value has its peak there


@register_codec
@dataclass(frozen=True)
class MegviiCodec(HeatmapCodec):
    """The codec of the RSN and MSPN repositories (`test.py`, `dataset/JointsDataset.py` there).

    Encode: the cell of a keypoint (its position divided by 4, truncated) is blurred with each kernel, reflected at the
    border as OpenCV's BORDER_REFLECT_101 does, and scaled until its maximum is 255. Within three cells of the border
    the reflection moves the maximum away from the keypoint.

    Decode: the heatmap is blurred, its maximum moved a quarter of a cell towards the second maximum, and the cell
    mapped to input pixels by 4x + 2. The raw score is the value of the heatmap, not blurred, in that cell. An empty
    heatmap gives position (2, 2) and a raw score of at most 0.5.
    """

    name: ClassVar[str] = "megvii"
    cell_center: ClassVar[float] = STRIDE / 2
    peak_at_keypoint: ClassVar[bool] = False  # what is scaled to 255: the maximum, or the cell of the keypoint

    def _profiles(self, positions: "Tensor", length: int, kernel_size: int) -> "Tensor":
        table = _blurred_impulses(length, kernel_size, self.peak_at_keypoint, positions.device)
        return table[(positions / STRIDE).trunc().long().clamp(0, length - 1)]

    def decode(self, outputs: Array) -> tuple[Array, Array]:
        """Heatmaps (N, K, h, w) -> keypoints (N, K, 2), x, y in pixels of the crop, and raw scores (N, K)."""
        library = library_of(outputs)
        height, width = outputs.shape[-2:]
        margin = self.blur_kernel_size // 2  # blur reaches beyond the map, where the reference searches, too
        blurred = flattened(self._blur(outputs, margin))
        peak, index = _peak_in_border(blurred, width + 2 * margin, margin)
        second, _ = _peak_in_border(replaced(blurred, index, 0.0), width + 2 * margin, margin)
        step = as_floats(second - peak, outputs)
        distance = library.sqrt((step * step).sum(-1))[..., None]
        position = as_floats(peak, outputs) + 0.25 * step / library.clip(distance, 1.0, None)  # 0 or at least 1
        x, y = library.clip(position[..., 0], 0, width - 1), library.clip(position[..., 1], 0, height - 1)
        cell = as_indices(library.round(y)) * width + as_indices(library.round(x))
        score = take(flattened(outputs), cell[..., None])[..., 0]
        return library.stack([x, y], -1) * STRIDE + self.cell_center, score / PEAK + 0.5


def _peak_in_border(blurred: Any, width: int, margin: int) -> tuple[Any, Any]:
    """The cell (x, y) of the highest value, (N, K, 2), counted without the margin, and its index, (N, K, 1).

    The reference searches in a wide border of zeros, whose first cell is higher than values that are not positive.
    """
    index = highest_cell(blurred)
    found = take(blurred, index) > 0
    return library_of(blurred).where(found, cell_of(index, width) - margin, -BORDER), index


@lru_cache(maxsize=64)
def _blurred_impulses(length: int, kernel_size: int, peak_at_keypoint: bool, device: "torch.device") -> "Tensor":
    """(length, length); row c is an impulse at cell c, blurred and scaled to a peak of 1.

    It stays on the device: a GPU would wait for a copy in every step.
    """
    import torch

    reach = kernel_size // 2
    if reach >= length:
        raise RsnError(
            f"Invalid kernel size: expected at most {2 * length - 1} for a heatmap of {length} cells, got {kernel_size}"
        )
    sources = (torch.arange(length)[:, None] + torch.arange(-reach, reach + 1)).abs()
    sources = torch.minimum(sources, 2 * (length - 1) - sources)  # reflection at the far border
    blur = torch.zeros(length, length, dtype=torch.float64)
    blur.scatter_add_(1, sources, torch.from_numpy(gaussian_kernel(kernel_size)).expand(length, -1))
    profiles = blur.T
    peaks = profiles.diagonal() if peak_at_keypoint else profiles.amax(1)
    return (profiles / peaks[:, None]).float().to(device)
