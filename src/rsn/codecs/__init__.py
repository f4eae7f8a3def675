"""Codecs: how keypoints become the maps that a network is trained on, and how its maps become keypoints again.

One class per codec. Weights were trained and measured with one of them, and their metadata say which.
"""

from rsn.codecs.base import Codec, codec_from_config, create_codec, register_codec
from rsn.codecs.box import BoxCodec
from rsn.codecs.heatmap import HeatmapCodec
from rsn.codecs.megvii import MegviiCodec
from rsn.codecs.mmpose import MMPoseCodec
from rsn.codecs.unbiased import UnbiasedCodec

__all__ = [
    "BoxCodec",
    "Codec",
    "HeatmapCodec",
    "MMPoseCodec",
    "MegviiCodec",
    "UnbiasedCodec",
    "codec_from_config",
    "create_codec",
    "register_codec",
]
