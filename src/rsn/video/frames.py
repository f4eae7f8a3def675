"""Where frames come from: what every source of them tells, and a folder of images as one."""

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
    """A video, camera or stream that cannot be opened, or holds nothing to see."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image of a video.

    path: what boxes are looked up by: the video's name / the frame's number, or the image's own file.
    number: counts all frames of the video from 0, those before `start` and those left out by `every` included.
    seconds: into the video. image: (H, W, 3) uint8 RGB, upright. lasts: seconds until the next one.
    """

    path: Path
    number: int
    seconds: float
    image: Image
    lasts: float = 0.0


class FrameSource(ABC):
    """Frames in the order of time, to be taken once.

    Attributes:
        name: for messages. stem: for the names of files.
        expected: how many frames will come, about; None where nobody knows.
        broken: how many frames could not be decoded so far, and were left out.
        trouble: why the frames ended before their time; None where they did not.
        notes: what else the user should know.
        pixel_aspect: width to height of the pixels of the frames so far; None where they are square.
        sound: the sound that came with the frames so far, to be taken away. sound_stream: its kind; None without.
    """

    def __init__(self, name: str, stem: str) -> None:
        self.name = name
        self.stem = stem
        self.expected: int | None = None
        self.broken = 0
        self.trouble: str | None = None
        self.notes: list[str] = []
        self.pixel_aspect: Fraction | None = None
        self.sound: deque[Packet[AudioStream]] = deque()
        self.sound_stream: AudioStream | None = None

    @abstractmethod
    def frames(self) -> Generator[Frame]:
        """The frames; a trouble on the way ends them, and is told by `trouble`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the source, and of its sound, when nobody needs them any more."""


class ImageFolderReader(FrameSource):
    """The images in a folder, by name, as a video.

    Raises:
        ImageError: a folder without images.
    """

    def __init__(self, folder: Path, settings: VideoSettings) -> None:
        rate = settings.fps or 25.0
        timed = [(number, number / rate, path) for number, path in enumerate(find_images([folder]))]
        kept = [frame for frame in timed if settings.start <= frame[1] < settings.end]
        self._kept = kept[:: settings.every]
        self._lasts = settings.every / rate
        super().__init__(str(folder), folder.resolve().name)
        self.expected = len(self._kept)

    def frames(self) -> Generator[Frame]:
        """The images; one that cannot be read counts as broken."""
        for number, seconds, path in self._kept:
            try:
                yield Frame(path, number, seconds, read_image(path), self._lasts)
            except ImageError:
                self.broken += 1

    def close(self) -> None:
        """Nothing is held between two images."""
