"""Videos, cameras and streams, decoded by FFmpeg through PyAV."""

import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from rsn.crops import Image
from rsn.extras import require
from rsn.images import MOST_PIXELS, SMALLEST_SIDE
from rsn.inference.video.frames import Frame, FrameFolder, FrameSource, VideoError
from rsn.inference.video.settings import VideoSettings
from rsn.inference.video.sources import camera_name, is_url

if TYPE_CHECKING:
    from av import AudioStream, VideoFrame, VideoStream
    from av.container import InputContainer

PATIENCE = 10.0  # seconds for which a camera or server may be silent
MICROSECONDS = 1_000_000
WHOLE_FRAMES = {"rtsp_flags": "prefer_tcp"}  # by UDP, parts of frames are lost where the machine is slow
_CAMERAS = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("dshow", "video={}"),
}


def open_frames(source: str, settings: VideoSettings) -> FrameSource:
    """The frames of a video file, URL, camera (`camera:0`, or its number) or folder of pictures.

    Raises:
        VideoError: it is not there, or is no video.
        DeviceError: PyAV is not installed.
    """
    return FrameFolder(Path(source), settings) if Path(source).is_dir() else Clip(source, settings)


class Clip(FrameSource):
    """A video file, URL or camera.

    Frames that cannot be decoded are left out and counted. Turned as the file says; each at its own time, so that a
    variable rate stays one.

    Raises:
        As `open_frames`.
    """

    def __init__(self, source: str, settings: VideoSettings) -> None:
        require("av", extra="video", for_what="reading a video")
        self._settings = settings
        self._container = _open(source)
        self._stream = _picture_stream(self._container, source)
        self._stream.thread_type = "AUTO"
        # What comes as it is sent is read from its first frame; where that lies is not known before.
        self._live = self._container.duration is None or self._container.format.name == "rtsp"
        start = None if self._live else self._container.start_time
        self._origin = None if start is None else start / MICROSECONDS
        super().__init__(source, stem_of(source))
        self.sound_stream = next(iter(self._container.streams.audio), None)
        self._length = self._seconds_long()
        self.expected = self._expected()
        self._last: float | None = None  # the time of the last frame
        self._reached = -1.0  # the time of the last packet

    def frames(self) -> Generator[Frame]:
        """The frames that the settings ask for."""
        number = 0
        for decoded in self._decoded():
            seconds = self._time_of(decoded)
            if seconds >= self._settings.end:
                return
            if seconds < self._settings.start:
                continue
            if number % self._settings.every == 0:
                yield Frame(Path(self.name) / str(number), number, seconds, _upright(decoded))
            number += 1
        self._check_ending()

    def close(self) -> None:
        """Let go of the file or camera."""
        self._container.close()

    def _decoded(self) -> "Iterator[VideoFrame]":
        import av

        if self._settings.start > 0 and not self._live:
            with suppress(av.FFmpegError):  # what cannot be sought in is read from the beginning
                self._container.seek(int((self._settings.start + (self._origin or 0)) * MICROSECONDS))
        streams: list[VideoStream | AudioStream] = [self._stream]
        if self.sound_stream:
            streams.append(self.sound_stream)
        try:
            for packet in self._container.demux(streams):
                self._reached = max(self._reached, self._seconds(packet))
                if packet.stream is not self._stream:
                    self._keep_sound(packet)
                    continue
                try:
                    frames: list[Any] = list(packet.decode())
                except av.error.EOFError:
                    continue  # the decoder has given all it has
                except av.FFmpegError:
                    self.broken += 1
                    continue
                self.broken += sum(frame.is_corrupt for frame in frames)
                yield from (frame for frame in frames if not frame.is_corrupt)
        except av.FFmpegError as error:
            self.trouble = _reason(error)

    def _keep_sound(self, packet: Any) -> None:
        """Sound of the time that was asked for, on the clock on which `start` is 0."""
        if packet.dts is None:  # the end of the stream
            return
        if self._origin is None:  # a live stream's, before its first picture
            return
        start, end = self._settings.start, self._settings.end
        begin = start if start > 0 else -np.inf  # codecs may begin a little before 0
        if not begin <= self._seconds(packet) < end:
            return
        shift = round(((self._origin or 0.0) + start) / packet.time_base)
        packet.dts -= shift
        packet.pts = None if packet.pts is None else packet.pts - shift
        self.sound.append(packet)

    def _seconds(self, packet: Any) -> float:
        """When a packet is shown or heard, in seconds into the video."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        return self._reached if stamp is None else float(stamp * packet.time_base) - (self._origin or 0.0)

    def _time_of(self, decoded: "VideoFrame") -> float:
        """Seconds into the video; a frame without a time follows the one before at the stream's rate."""
        rate = self._stream.guessed_rate or self._stream.average_rate or 25
        follows = 0.0 if self._last is None else self._last + float(1 / rate)
        if decoded.time is None:
            self._last = follows
        else:
            if self._origin is None:
                self._origin = decoded.time - follows
            self._last = decoded.time - self._origin
        return self._last

    def _check_ending(self) -> None:
        """A file that is cut short says at its beginning how long it was to be."""
        if self.trouble is None and self._length is not None and self._reached + 1.0 < self._length:
            what = "stream" if self._live else "file"
            self.trouble = f"the {what} is cut short, {self._length:.1f} seconds were to come"

    def _seconds_long(self) -> float | None:
        """Of the longest of pictures and sound, as the file says."""
        streams = [stream for stream in (self._stream, self.sound_stream) if stream is not None]
        lengths = [float(s.duration * s.time_base) for s in streams if s.duration and s.time_base]
        if lengths:
            return max(lengths)
        return None if self._container.duration is None else self._container.duration / MICROSECONDS

    def _expected(self) -> int | None:
        rate = self._stream.average_rate
        if self._length is None or not rate:
            return None
        end = min(self._length, self._settings.end)
        return max(1, round(float(rate) * (end - self._settings.start) / self._settings.every))


def _open(source: str) -> "InputContainer":
    import av

    camera = camera_name(source)
    place, driver = (source, None) if camera is None else _camera(camera)
    # A file's reads never time out: a disk may sleep longer than a server may.
    patience = (PATIENCE, PATIENCE) if is_url(source) or camera is not None else None
    try:
        return av.open(place, mode="r", format=driver, timeout=patience, options=WHOLE_FRAMES)
    except av.FFmpegError as error:
        raise VideoError(_why_not(source, place, error)) from error


def _camera(camera: str) -> tuple[str, str]:
    """Where a camera is, and the driver that reads it."""
    if sys.platform not in _CAMERAS:
        raise VideoError(f"cameras cannot be read on {sys.platform}; give a file or a URL")
    driver, place = _CAMERAS[sys.platform]
    return place.format(camera), driver


def _why_not(source: str, place: str, error: Any) -> str:
    if camera_name(source) is not None:
        return f"camera {camera_name(source)} ({place}) cannot be opened: {_reason(error)}; is it plugged in and free?"
    if is_url(source):
        return f"{source} cannot be opened: {_reason(error)}; check the address and that the other side sends"
    path = Path(source)
    if isinstance(error, FileNotFoundError):
        return f"there is no video at {source}; check the path"
    if path.is_file() and path.stat().st_size == 0:
        return f"{source} is an empty file, not a video; copy or download it again"
    if isinstance(error, ValueError):
        return f"{source} is not a video that can be read, or its end is missing; copy or download it again"
    return f"cannot read {source}: {_reason(error)}; check its permissions"


def _reason(error: Any) -> str:
    import av

    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return f"nothing came for {PATIENCE:g} seconds"
    return str(error.strerror)


def _picture_stream(container: "InputContainer", source: str) -> "VideoStream":
    """The first stream of moving pictures, which is not a song's cover."""
    from av.stream import Disposition

    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        raise VideoError(f"{source} has no pictures in it, only {_kinds(container)}; give a video")
    width, height = moving[0].codec_context.width, moving[0].codec_context.height
    if min(width, height) < SMALLEST_SIDE or width * height > MOST_PIXELS:
        limits = f"{SMALLEST_SIDE} pixels a side to {MOST_PIXELS // 10**6} megapixels"
        raise VideoError(f"{source} has frames of {width} x {height} pixels; give one with {limits}")
    return moving[0]


def _kinds(container: "InputContainer") -> str:
    kinds = sorted({stream.type for stream in container.streams} - {"video"})
    return " and ".join(kinds) if kinds else "nothing"


def _upright(decoded: "VideoFrame") -> Image:
    """(H, W, 3) uint8 RGB, turned as the file says (in quarter turns, as cameras are held)."""
    image = np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)
    turns = round(decoded.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def stem_of(source: str) -> str:
    """What the files about a source are called by."""
    camera = camera_name(source)
    if camera is not None:
        return f"camera_{''.join(c if c.isalnum() else '_' for c in camera)}"
    if is_url(source):
        address = urlsplit(source)
        return Path(address.path).stem or address.hostname or "stream"
    return Path(source).stem
