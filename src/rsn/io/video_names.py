"""Which names are those of videos. It imports nothing heavy: the command line uses it first."""

import re
from os.path import isdir
from pathlib import Path

SUFFIXES = frozenset(
    {
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv",
        ".3gp", ".ogv", ".mxf", ".vob", ".mjpeg", ".y4m",
    }
)  # fmt: skip
_URL = re.compile(r"(rtsps?|rtmps?|https?|udp|srt|tcp|rtp)://", re.IGNORECASE)


def is_video(source: str, *, folders: bool) -> bool:
    """Whether a source is a video by its name: a file, a URL, a camera; with `folders` also a folder of frames."""
    if is_url(source) or camera_name(source) is not None:
        return True
    return folders if isdir(source) else has_video_suffix(source)


def has_video_suffix(name: str) -> bool:
    """Whether a file has a suffix of videos."""
    return Path(name).suffix.lower() in SUFFIXES


def is_url(source: str) -> bool:
    """Whether a source is a URL."""
    return _URL.match(source) is not None


def camera_name(source: str) -> str | None:
    """The number or name in `camera:0`, or in `0` where no file has that name; None for anything else."""
    if source.startswith("camera:"):
        return source.removeprefix("camera:")
    return source if source.isdecimal() and not Path(source).exists() else None
