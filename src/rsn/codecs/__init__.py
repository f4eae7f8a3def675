"""The codec: how keypoints become heatmaps (`encode`) and heatmaps become keypoints again (`decode`)."""

from rsn.codecs.decode import CELL_CENTER, decode, flip_back
from rsn.codecs.encode import KERNELS, encode

__all__ = ["CELL_CENTER", "KERNELS", "decode", "encode", "flip_back"]
