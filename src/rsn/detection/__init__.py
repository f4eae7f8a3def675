"""Image -> boxes of the people in it.

A detector is a callable: (H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best
first (`detection.boxes.Detector`). Any function of that kind will do; those here are opened with `open_detector`.
"""

from rsn.detection.loading import open_detector

__all__ = ["open_detector"]
