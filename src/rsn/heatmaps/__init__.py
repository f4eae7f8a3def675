"""The codec: how joints become heatmaps (`encode`) and heatmaps become joints again (`decode`)."""

from rsn.heatmaps.decode import decode, mirror_back
from rsn.heatmaps.encode import KERNELS, encode

__all__ = ["KERNELS", "decode", "encode", "mirror_back"]
