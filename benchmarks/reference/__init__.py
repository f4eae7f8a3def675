"""The reference's way of each step, written by us as plainly as the public code does it, to measure ours against.

Per keypoint and per sample where the reference loops, OpenCV where it calls OpenCV, PyTorch eager where it does.
"""
