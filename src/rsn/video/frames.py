"""Sources of frames: their common interface, and a folder of images as a video."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rsn.errors import ImageError, RsnError
from rsn.geometry import Image
from rsn.io.images import find_images, read_image
from rsn.video.settings import VideoSettings

if TYPE_CHECKING:
    from fractions import Fraction

    from av import AudioStream, Packet


class VideoError(RsnError):
    """A video, camera or stream that cannot be opened, or has no frames."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    path: key of the boxes in a file: the video's name / the frame's number, or the image file itself.
    number: index in the whole video, including frames before `start` and those skipped by `every`.
    seconds: time in the video. image: (H, W, 3) uint8 RGB, upright. duration: seconds until the next frame.
    """

    path: Path
    number: int
    seconds: float
    image: Image
    duration: float = 0.0


class FrameSource(ABC):
    """Frames in the order of time, to be read once.

    Attributes:
        name: for messages. stem: for file names.
        expected: estimated number of frames; None if unknown.
        corrupt: number of frames that could not be decoded so far and were skipped.
        error: why the frames ended too early; None if they did not.
        warnings: other messages for the user.
        pixel_aspect: width to height of the pixels of the frames so far; None if they are square.
        audio: the audio packets of the frames so far, to be consumed. audio_stream: their stream; None without audio.
    """

    def __init__(self, name: str, stem: str) -> None:
        self.name = name
        self.stem = stem
        self.expected: int | None = None
        self.corrupt = 0
        self.error: str | None = None
        self.warnings: list[str] = []
        self.pixel_aspect: Fraction | None = None
        self.audio: deque[Packet[AudioStream]] = deque()
        self.audio_stream: AudioStream | None = None

    @abstractmethod
    def frames(self) -> Generator[Frame]:
        """The frames; an error ends them and is stored in `error`."""

    @abstractmethod
    def close(self) -> None:
        """Release the source and its audio."""


class ImageFolderReader(FrameSource):
    """The images of a folder, in the order of their names, as a video.

    Raises:
        ImageError: a folder without images.
    """

    def __init__(self, folder: Path, settings: VideoSettings) -> None:
        super().__init__(str(folder), folder.resolve().name)
        rate = settings.fps or 25.0
        timed = [(number, number / rate, path) for number, path in enumerate(find_images([folder]))]
        selected = [frame for frame in timed if settings.start <= frame[1] < settings.end]
        self._frames = selected[:: settings.every]
        self._duration = settings.every / rate
        self.expected = len(self._frames)

    def frames(self) -> Generator[Frame]:
        """The images; those that cannot be read count as corrupt."""
        for number, seconds, path in self._frames:
            try:
                yield Frame(path, number, seconds, read_image(path), self._duration)
            except ImageError:
                self.corrupt += 1

    def close(self) -> None:
        """Nothing to release."""
