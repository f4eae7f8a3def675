"""The codec without rounding to cells."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rsn.codecs.arrays import Array, as_floats, library_of, take
from rsn.codecs.base import register_codec
from rsn.codecs.gaussian import gaussian_deviation
from rsn.codecs.heatmap import PEAK, STRIDE, HeatmapCodec, cell_of, flattened, highest_cell

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST = 1e-3  # of a peak of 255; the logarithm is taken of no smaller value


@register_codec
@dataclass(frozen=True)
class UnbiasedCodec(HeatmapCodec):
    """Gaussians whose center is the keypoint itself, decoded to fractions of a cell.

    After Huang et al., "The Devil is in the Details" (UDP, 2020) and Zhang et al., "Distribution-Aware Coordinate
    Representation" (DARK, 2020). Cell j lies at input pixel 4j + 1.5, the center of the four pixels that it covers, so
    flipping a crop and flipping its heatmaps is the same and a flip test needs no shift.

    Encode: a Gaussian with the standard deviation of the reference's kernel around the keypoint.

    Decode: the maximum of the Gaussian around the highest cell of the blurred heatmap. The raw score is the maximum of
    the heatmap, not blurred.
    """

    name: ClassVar[str] = "unbiased"
    cell_center: ClassVar[float] = (STRIDE - 1) / 2

    def _profiles(self, positions: "Tensor", length: int, kernel_size: int) -> "Tensor":
        import torch

        cells = torch.arange(length, device=positions.device)
        distance = cells - ((positions - self.cell_center) / STRIDE)[..., None]
        return torch.exp(-distance.square() / (2 * gaussian_deviation(kernel_size) ** 2))

    def decode(self, outputs: Array) -> tuple[Array, Array]:
        """Heatmaps (N, K, h, w) -> keypoints (N, K, 2), x, y in pixels of the crop, and raw scores (N, K)."""
        position = _refined_peaks(self._blur(outputs))
        return position * STRIDE + self.cell_center, library_of(outputs).amax(outputs, (-2, -1)) / PEAK + 0.5


def _refined_peaks(blurred: Any) -> Any:
    """The maxima of the Gaussians in heatmaps, by the second-order expansion of their logarithms (DARK).

    Args:
        blurred: (N, K, h, w).

    Returns:
        (N, K, 2) in cells, at most one cell from the highest one; at the border, and where the surface is no maximum,
        the highest cell itself.
    """
    library = library_of(blurred)
    height, width = blurred.shape[-2:]
    index = highest_cell(flattened(blurred))
    x, y = (index % width)[..., 0], (index // width)[..., 0]
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    center = library.where(inside, index[..., 0], width + 1)  # elsewhere any cell that has eight neighbors
    logs = library.log(library.clip(flattened(blurred), _SMALLEST, None))

    def at(x: int, y: int) -> Any:
        return take(logs, (center + y * width + x)[..., None])[..., 0]

    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = dxx * dyy - dxy**2
    is_maximum = (inside & (determinant > 0) & (dxx < 0))[..., None]
    step = library.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1)
    step = step / library.where(is_maximum, determinant[..., None], 1.0)
    return as_floats(cell_of(index, width), blurred) + library.where(is_maximum, library.clip(step, -1.0, 1.0), 0.0)
