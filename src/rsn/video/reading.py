"""Videos, cameras and streams, decoded by FFmpeg through PyAV."""

import sys
from collections import deque
from collections.abc import Generator, Iterator
from itertools import chain
from os.path import isdir, isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from rsn.extras import require
from rsn.geometry import Image
from rsn.io.images import MAX_PIXELS, MIN_SIDE
from rsn.io.video_names import camera_name, is_url
from rsn.video.frames import Frame, FrameSource, ImageFolderReader, VideoError
from rsn.video.settings import VideoSettings

if TYPE_CHECKING:
    from fractions import Fraction

    from av import VideoFrame, VideoStream
    from av.container import InputContainer
    from av.stream import Stream

READ_TIMEOUT_S = 10.0  # for cameras and servers
MICROSECONDS = 1_000_000
TIMED_STREAMS = frozenset({"video", "audio", "subtitle", "data"})
ROUNDING = 1e-6  # seconds
MAX_GROUP = 3_000  # frames; a longer group is decoded instead of held in memory
GROUPS_BEFORE_START = 2  # groups of frames before the start that are decoded
LENGTH_TOLERANCE_S = 1.0  # a file may be so much shorter than its header says
OPTIONS = {"rtsp_flags": "prefer_tcp"}  # with UDP, parts of frames are lost on slow machines
_CAMERAS = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("dshow", "video={}"),
}


def open_frames(source: str, settings: VideoSettings) -> FrameSource:
    """The frames of a video file, URL, camera (`camera:0`, or its number) or folder of images.

    Raises:
        VideoError: the source does not exist or is not a video.
        MissingDependencyError: PyAV is not installed.
    """
    return ImageFolderReader(Path(source), settings) if isdir(source) else VideoReader(source, settings)


class VideoReader(FrameSource):
    """A video file, URL or camera.

    Frames are rotated as the file says and have their own times, so that variable frame rates are kept. Frames that
    cannot be decoded are skipped and counted.

    Raises:
        As `open_frames`.
    """

    def __init__(self, source: str, settings: VideoSettings) -> None:
        require("av", extra="video", feature="reading a video")
        super().__init__(source, stem_of(source))
        self._settings = settings
        self._container = _open(self.name)
        self._stream = _video_stream(self._container, self.name)
        self._stream.thread_type = "AUTO"
        self.audio_stream = next(iter(self._container.streams.audio), None)
        # Live sources start with their first frame, whose time is not known in advance.
        self._live = self._container.duration is None or self._container.format.name == "rtsp"
        # AVI stores times in the order of the packets, which may differ from the order of display.
        self._stored_order = self._container.format.name == "avi"
        self._stored_times: deque[float] = deque()  # of frames that are not decoded yet
        start = None if self._live else self._container.start_time
        self._origin = None if start is None else start / MICROSECONDS
        self._length, self._length_of_container = self._read_length()
        self.expected = self._expected()
        self._last: float | None = None  # time of the last frame
        self._last_start = self._last_end = -1.0  # of the packets read so far
        self._longest_interval = 0.0
        self._skipped = 0  # frames before the start that are not decoded
        # Times of the frames after the skipped ones, until the first of them is decoded.
        self._held: list[float] = []

    def frames(self) -> Generator[Frame]:
        """The frames that the settings select."""
        start, end = self._settings.start - ROUNDING, self._settings.end - ROUNDING
        count = 0
        for number, seconds, decoded in self._numbered():
            if seconds >= end:
                return
            if seconds < start:
                continue
            if count % self._settings.every == 0:
                self.pixel_aspect = self._pixel_aspect(decoded)
                duration = self._duration(decoded) * self._settings.every
                yield Frame(Path(self.name) / str(number), number, seconds, _upright(decoded), duration)
            count += 1
        self._check_length()

    def close(self) -> None:
        """Release the file or camera."""
        self._container.close()

    def _numbered(self) -> "Iterator[tuple[int, float, VideoFrame]]":
        """Frames with their index in the whole video and their time."""
        number = 0
        for decoded in self._decoded():
            seconds = self._time_of(decoded)
            if self._held:  # the first decoded frame
                number = self._skipped + sum(shown < seconds - ROUNDING for shown in self._held)
                self._held.clear()
            yield number, seconds, decoded
            number += 1

    def _decoded(self) -> "Iterator[VideoFrame]":
        import av

        try:
            for packet in self._packets():
                try:
                    frames: list[Any] = list(packet.decode())
                except av.error.EOFError:
                    continue  # the decoder is empty
                except av.FFmpegError:
                    self._skip_corrupt(packet)
                    continue
                for frame in frames:
                    if frame.is_corrupt:
                        self._skip_corrupt(packet)
                    else:
                        yield frame
        except av.FFmpegError as error:
            self.error = _reason(error)

    def _packets(self) -> Iterator[Any]:
        """The video packets; before the start only those of the last two groups of frames.

        A group begins with a key frame and may refer to the group before it. Earlier groups are counted but not
        decoded, which would take long if the start is far into the video.
        """
        groups: deque[list[Any]] = deque([[]])
        for packet in self._container.demux(self._demuxed_streams()):
            self._track_length(packet)
            if packet.stream is not self._stream:
                if packet.stream is self.audio_stream:
                    self._keep_audio(packet)
                continue
            if groups and len(groups[-1]) < MAX_GROUP and self._is_before_start(packet):
                if packet.is_keyframe:
                    groups.append([])
                groups[-1].append(packet)
                if len(groups) > GROUPS_BEFORE_START:
                    self._skipped += len(groups.popleft())
                continue
            if groups and self._skipped:
                self._held = [self._seconds(held) for group in groups for held in group]
            ready = list(chain(*groups, [packet]))
            groups.clear()
            yield from ready

    def _is_before_start(self, packet: Any) -> bool:
        """Whether a packet is stored before the start; False if its times do not tell."""
        if self._live or self._stored_order or packet.dts is None:
            return False
        return self._to_seconds(packet.dts, packet) < self._settings.start - ROUNDING

    def _demuxed_streams(self) -> "list[Stream]":
        """The streams to read: all of them if the length is that of the longest one."""
        if self._length_of_container:
            return [stream for stream in self._container.streams if stream.type in TIMED_STREAMS]
        return [self._stream, *([self.audio_stream] if self.audio_stream else [])]

    def _skip_corrupt(self, packet: Any) -> None:
        if self._seconds(packet) >= self._settings.start - ROUNDING:
            self.corrupt += 1
        if self._stored_times:
            self._stored_times.popleft()

    def _track_length(self, packet: Any) -> None:
        """Update how far the file was read."""
        if not packet.size:
            return
        start = self._seconds(packet)
        duration = float(packet.duration * packet.time_base) if packet.duration else 0.0
        if packet.stream is self._stream:
            duration = duration or self._interval()
            self._last_start = max(self._last_start, start)
            if self._stored_order and packet.dts is not None:
                self._stored_times.append(self._to_seconds(packet.dts, packet))
        self._last_end = max(self._last_end, start + duration)

    def _keep_audio(self, packet: Any) -> None:
        """Keep audio between start and end, with times relative to the start."""
        if packet.dts is None or self._origin is None:  # the end of the stream, or before the first live frame
            return
        start, end = self._settings.start, self._settings.end
        begin = start if start > 0 else -np.inf  # codecs may start a little before 0
        if not begin <= self._seconds(packet) < end:
            return
        shift = round((self._origin + start) / packet.time_base)
        packet.dts -= shift
        packet.pts = None if packet.pts is None else packet.pts - shift
        self.audio.append(packet)

    def _seconds(self, packet: Any) -> float:
        """The time of a packet in the video."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        return max(self._last_start, 0.0) if stamp is None else self._to_seconds(stamp, packet)

    def _to_seconds(self, stamp: int, packet: Any) -> float:
        return float(stamp * packet.time_base) - (self._origin or 0.0)

    def _time_of(self, decoded: "VideoFrame") -> float:
        """The time of a frame in the video; a frame without a time follows the last one at the stream's rate."""
        before = self._last
        estimate = 0.0 if before is None else before + self._interval()
        if self._stored_order:
            self._last = self._stored_times.popleft() if self._stored_times else estimate
        elif decoded.time is None:
            self._last = estimate
        else:
            if self._origin is None:
                self._origin = decoded.time - estimate
            self._last = decoded.time - self._origin
        if before is not None:
            self._longest_interval = max(self._longest_interval, self._last - before)
        return self._last

    def _interval(self) -> float:
        """Seconds between frames by the stream's rate."""
        return float(1 / (self._stream.guessed_rate or self._stream.average_rate or 25))

    def _duration(self, decoded: "VideoFrame") -> float:
        """Seconds for which a frame is shown."""
        if decoded.duration and decoded.time_base:
            return float(decoded.duration * decoded.time_base)
        return self._interval()

    def _pixel_aspect(self, decoded: "VideoFrame") -> "Fraction | None":
        """Width to height of a pixel of the upright frame; None if it is square or unknown."""
        aspect = self._stream.sample_aspect_ratio
        if not aspect or aspect == 1:
            return None
        return 1 / aspect if _quarter_turns(decoded) % 2 else aspect

    def _check_length(self) -> None:
        """Set `error` if the file ends before the length in its header.

        The last frame may be shown as long as the longest before it. Some containers count their length from 0 even if
        the first frame comes later, others from that frame.
        """
        if self.error is not None or self._length is None:
            return
        end = max(self._last_end, self._last_start + self._longest_interval)
        if self._length_of_container:
            end += max(self._origin or 0.0, 0.0)
        if end + LENGTH_TOLERANCE_S < self._length:
            what = "stream" if self._live else "file"
            self.error = f"the {what} is cut short, its length should be {self._length:.1f} seconds"

    def _read_length(self) -> tuple[float | None, bool]:
        """The longer of video and audio in seconds, and whether only the container states it."""
        streams = [stream for stream in (self._stream, self.audio_stream) if stream is not None]
        lengths = [float(s.duration * s.time_base) for s in streams if s.duration and s.time_base]
        if lengths:
            return max(lengths), False
        duration = self._container.duration
        return (None if duration is None else duration / MICROSECONDS), True

    def _expected(self) -> int | None:
        rate, length = self._stream.average_rate, self._length
        if length is None or not rate:
            return None
        if self._length_of_container and length > (self._origin or 0.0):
            length -= max(self._origin or 0.0, 0.0)
        seconds = min(length, self._settings.end) - self._settings.start
        return max(1, round(float(rate) * seconds / self._settings.every))


def _open(source: str) -> "InputContainer":
    import av

    camera = camera_name(source)
    location, driver = (source, None) if camera is None else _camera(camera)
    # No timeout for files: a disk may take longer to wake up than a server may to respond.
    timeout = (READ_TIMEOUT_S, READ_TIMEOUT_S) if is_url(source) or camera is not None else None
    try:
        return av.open(location, mode="r", format=driver, timeout=timeout, options=OPTIONS)
    except av.FFmpegError as error:
        raise VideoError(_open_error(source, location, error)) from error


def _camera(camera: str) -> tuple[str, str]:
    """Location and driver of a camera."""
    if sys.platform not in _CAMERAS:
        raise VideoError(f"cameras are not supported on {sys.platform}; give a file or a URL")
    driver, location = _CAMERAS[sys.platform]
    return location.format(camera), driver


def _open_error(source: str, location: str, error: Any) -> str:
    if camera_name(source) is not None:
        return f"cannot open camera {camera_name(source)} ({location}): {_reason(error)}; is it connected and free?"
    if is_url(source):
        return f"cannot open {source}: {_reason(error)}; check the address and the server"
    if isinstance(error, FileNotFoundError):
        return f"there is no video at {source}; check the path"
    if isfile(source) and Path(source).stat().st_size == 0:
        return f"{source} is an empty file, not a video; copy or download it again"
    if isinstance(error, ValueError):
        return f"{source} is not a video that can be read, or its end is missing; copy or download it again"
    return f"cannot read {source}: {_reason(error)}; check its permissions"


def _reason(error: Any) -> str:
    import av

    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return f"no data for {READ_TIMEOUT_S:g} seconds"
    return str(error.strerror)


def _video_stream(container: "InputContainer", source: str) -> "VideoStream":
    """The first video stream that is not the cover image of a song."""
    from av.stream import Disposition

    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        kinds = " and ".join(sorted({stream.type for stream in container.streams} - {"video"})) or "no data"
        raise VideoError(f"{source} has no video stream, only {kinds}; give a video")
    width, height = moving[0].codec_context.width, moving[0].codec_context.height
    if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
        raise VideoError(
            f"Invalid {source}: expected frames of at least {MIN_SIDE} pixels per side and at most"
            f" {MAX_PIXELS // 10**6} megapixels, got {width} x {height}"
        )
    return moving[0]


def _quarter_turns(decoded: "VideoFrame") -> int:
    """How many counterclockwise quarter turns make a frame upright."""
    return round(decoded.rotation / 90) % 4


def _upright(decoded: "VideoFrame") -> Image:
    """(H, W, 3) uint8 RGB, rotated as the file says."""
    image = np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)
    turns = _quarter_turns(decoded)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def stem_of(source: str) -> str:
    """The stem of output files for a source."""
    camera = camera_name(source)
    if camera is not None:
        return f"camera_{''.join(c if c.isalnum() else '_' for c in camera)}"
    if is_url(source):
        address = urlsplit(source)
        return Path(address.path).stem or address.hostname or "stream"
    return Path(source).stem
