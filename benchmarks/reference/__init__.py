"""The reference for each benchmark: our own code that follows the structure of the public code.

Per keypoint and per sample where the reference loops, OpenCV where it calls OpenCV, PyTorch eager where it does.
"""
