"""The codec: how joints become heatmaps (`encode`) and heatmaps become joints again (`decode`)."""

from rsn.heatmaps.decode import CELL_MIDDLE, decode, mirror_back
from rsn.heatmaps.encode import KERNELS, encode

__all__ = ["CELL_MIDDLE", "KERNELS", "decode", "encode", "mirror_back"]
