"""Person detectors: image -> boxes.

A detector is a function: (H, W, 3) uint8 RGB -> boxes (N, 4) x, y, width, height in image pixels, and scores (N,), best
first (`Detector`). `open_detector` opens those included here; any other function of this kind works as well.
"""

from rsn.detection.loading import open_detector

__all__ = ["open_detector"]
