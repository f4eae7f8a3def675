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

TIMEOUT_S = 10.0  # seconds for which a camera or server may be silent
MICROSECONDS = 1_000_000
TIMED = frozenset({"video", "audio", "subtitle", "data"})
ROUNDING = 1e-6  # seconds
LONGEST_GROUP = 3_000  # frames; a longer group is decoded rather than kept in memory
GROUPS = 2  # of frames before the start that are decoded
LITTLE = 1.0  # seconds that a file may be shorter than it says
WHOLE_FRAMES = {"rtsp_flags": "prefer_tcp"}  # by UDP, parts of frames are lost where the machine is slow
_CAMERAS = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}"),
    "win32": ("dshow", "video={}"),
}


def open_frames(source: str, settings: VideoSettings) -> FrameSource:
    """The frames of a video file, URL, camera (`camera:0`, or its number) or folder of images.

    Raises:
        VideoError: it is not there, or is no video.
        DeviceError: PyAV is not installed.
    """
    return ImageFolderReader(Path(source), settings) if isdir(source) else VideoReader(source, settings)


class VideoReader(FrameSource):
    """A video file, URL or camera.

    Frames that cannot be decoded are left out and counted. Turned as the file says; each at its own time, so that a
    variable rate stays one.

    Raises:
        As `open_frames`.
    """

    def __init__(self, source: str, settings: VideoSettings) -> None:
        require("av", extra="video", feature="reading a video")
        super().__init__(source, stem_of(source))
        self._settings = settings
        self._container = _open(self.name)
        self._stream = _image_stream(self._container, self.name)
        self._stream.thread_type = "AUTO"
        self.sound_stream = next(iter(self._container.streams.audio), None)
        # What comes as it is sent is read from its first frame; where that lies is not known before.
        self._live = self._container.duration is None or self._container.format.name == "rtsp"
        # AVI has times in the order in which frames are stored, which may be another than that in which they are shown.
        self._stored_order = self._container.format.name == "avi"
        self._slots: deque[float] = deque()  # such times of frames that are still to come
        start = None if self._live else self._container.start_time
        self._origin = None if start is None else start / MICROSECONDS
        self._length, self._told_by_container = self._seconds_long()
        self.expected = self._expected()
        self._last: float | None = None  # the time of the last frame
        self._reached = self._ended = -1.0  # when the last packet begins, and when the last one to end does
        self._longest = 0.0  # seconds from one frame to the next
        self._skipped = 0  # frames before the start that are not decoded
        # When the frames after those are shown; empty once the first of them is decoded.
        self._held: list[float] = []

    def frames(self) -> Generator[Frame]:
        """The frames that the settings ask for."""
        start, end = self._settings.start - ROUNDING, self._settings.end - ROUNDING
        taken = 0
        for number, seconds, decoded in self._numbered():
            if seconds >= end:
                return
            if seconds < start:
                continue
            if taken % self._settings.every == 0:
                image = _upright(decoded)
                self.pixel_aspect = self._pixel_aspect(decoded)
                lasts = self._lasts(decoded) * self._settings.every
                yield Frame(Path(self.name) / str(number), number, seconds, image, lasts)
            taken += 1
        self._check_ending()

    def close(self) -> None:
        """Let go of the file or camera."""
        self._container.close()

    def _numbered(self) -> "Iterator[tuple[int, float, VideoFrame]]":
        """Frames with their numbers, counted from the beginning of the video, and their times."""
        number = 0
        for decoded in self._decoded():
            seconds = self._time_of(decoded)
            if self._held:  # the first one after those that were not decoded
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
                    continue  # the decoder has given all it has
                except av.FFmpegError:
                    self._leave_out(packet)
                    continue
                for frame in frames:
                    if frame.is_corrupt:
                        self._leave_out(packet)
                    else:
                        yield frame
        except av.FFmpegError as error:
            self.trouble = _reason(error)

    def _packets(self) -> Iterator[Any]:
        """The packets of the images; before the start only those of the last two groups of frames.

        A group begins with a key frame and may refer to the group before it. Those that are left out are counted, since
        decoding them would take long where the start is far into the video.
        """
        groups: deque[list[Any]] = deque([[]])
        for packet in self._container.demux(self._demuxed()):
            self._note_time(packet)
            if packet.stream is not self._stream:
                if packet.stream is self.sound_stream:
                    self._keep_sound(packet)
                continue
            if groups and len(groups[-1]) < LONGEST_GROUP and self._precedes_start(packet):
                if packet.is_keyframe:
                    groups.append([])
                groups[-1].append(packet)
                if len(groups) > GROUPS:
                    self._skipped += len(groups.popleft())
                continue
            if groups and self._skipped:
                self._held = [self._seconds(held) for group in groups for held in group]
            kept = list(chain(*groups, [packet]))
            groups.clear()
            yield from kept

    def _precedes_start(self, packet: Any) -> bool:
        """Whether a packet is stored before the start; unknown, so False, where times do not tell."""
        if self._live or self._stored_order or packet.dts is None:
            return False
        return self._clock(packet.dts, packet) < self._settings.start - ROUNDING

    def _demuxed(self) -> "list[Stream]":
        """The streams whose packets are looked at: all of them where the length is that of the longest of them."""
        if self._told_by_container:
            return [stream for stream in self._container.streams if stream.type in TIMED]
        return [self._stream, *([self.sound_stream] if self.sound_stream else [])]

    def _leave_out(self, packet: Any) -> None:
        if self._seconds(packet) >= self._settings.start - ROUNDING:
            self.broken += 1
        if self._slots:
            self._slots.popleft()

    def _note_time(self, packet: Any) -> None:
        """How far the file was read, in seconds into the video."""
        if not packet.size:
            return
        begins = self._seconds(packet)
        lasts = float(packet.duration * packet.time_base) if packet.duration else 0.0
        if packet.stream is self._stream:
            lasts = lasts or self._interval()
            self._reached = max(self._reached, begins)
            if self._stored_order and packet.dts is not None:
                self._slots.append(self._clock(packet.dts, packet))
        self._ended = max(self._ended, begins + lasts)

    def _keep_sound(self, packet: Any) -> None:
        """Sound of the time that was asked for, on the clock on which `start` is 0."""
        if packet.dts is None:  # the end of the stream
            return
        if self._origin is None:  # a live stream's, before its first image
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
        return max(self._reached, 0.0) if stamp is None else self._clock(stamp, packet)

    def _clock(self, stamp: int, packet: Any) -> float:
        return float(stamp * packet.time_base) - (self._origin or 0.0)

    def _time_of(self, decoded: "VideoFrame") -> float:
        """Seconds into the video; a frame without a time follows the one before at the stream's rate."""
        follows = 0.0 if self._last is None else self._last + self._interval()
        before = self._last
        if self._stored_order:
            self._last = self._slots.popleft() if self._slots else follows
        elif decoded.time is None:
            self._last = follows
        else:
            if self._origin is None:
                self._origin = decoded.time - follows
            self._last = decoded.time - self._origin
        if before is not None:
            self._longest = max(self._longest, self._last - before)
        return self._last

    def _interval(self) -> float:
        """Seconds from one frame to the next, by the stream's rate."""
        return float(1 / (self._stream.guessed_rate or self._stream.average_rate or 25))

    def _lasts(self, decoded: "VideoFrame") -> float:
        """For how many seconds a frame is shown."""
        if decoded.duration and decoded.time_base:
            return float(decoded.duration * decoded.time_base)
        return self._interval()

    def _pixel_aspect(self, decoded: "VideoFrame") -> "Fraction | None":
        """Width to height of a pixel of the upright frame; None where it is square or nobody says."""
        aspect = self._stream.sample_aspect_ratio
        if not aspect or aspect == 1:
            return None
        return 1 / aspect if _quarter_turns(decoded) % 2 else aspect

    def _check_ending(self) -> None:
        """A file that is cut short says at its beginning how long it was to be.

        The last frame may be shown as long as any before it. Some containers count their length from 0 where the
        first frame comes later, others from that frame.
        """
        if self.trouble is not None or self._length is None:
            return
        ended = max(self._ended, self._reached + self._longest)
        if self._told_by_container:
            ended += max(self._origin or 0.0, 0.0)
        if ended + LITTLE < self._length:
            what = "stream" if self._live else "file"
            self.trouble = f"the {what} is cut short, {self._length:.1f} seconds were to come"

    def _seconds_long(self) -> tuple[float | None, bool]:
        """Of the longest of images and sound, as the file says; and whether only its container says so."""
        streams = [stream for stream in (self._stream, self.sound_stream) if stream is not None]
        lengths = [float(s.duration * s.time_base) for s in streams if s.duration and s.time_base]
        if lengths:
            return max(lengths), False
        duration = self._container.duration
        return (None if duration is None else duration / MICROSECONDS), True

    def _expected(self) -> int | None:
        rate = self._stream.average_rate
        if self._length is None or not rate:
            return None
        length = self._length
        if self._told_by_container and length > (self._origin or 0.0):
            length -= max(self._origin or 0.0, 0.0)
        end = min(length, self._settings.end)
        return max(1, round(float(rate) * (end - self._settings.start) / self._settings.every))


def _open(source: str) -> "InputContainer":
    import av

    camera = camera_name(source)
    place, driver = (source, None) if camera is None else _camera(camera)
    # A file's reads never time out: a disk may sleep longer than a server may.
    patience = (TIMEOUT_S, TIMEOUT_S) if is_url(source) or camera is not None else None
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
    if isfile(path) and path.stat().st_size == 0:
        return f"{source} is an empty file, not a video; copy or download it again"
    if isinstance(error, ValueError):
        return f"{source} is not a video that can be read, or its end is missing; copy or download it again"
    return f"cannot read {source}: {_reason(error)}; check its permissions"


def _reason(error: Any) -> str:
    import av

    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return f"nothing came for {TIMEOUT_S:g} seconds"
    return str(error.strerror)


def _image_stream(container: "InputContainer", source: str) -> "VideoStream":
    """The first stream of moving images, which is not a song's cover."""
    from av.stream import Disposition

    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        raise VideoError(f"{source} has no images in it, only {_kinds(container)}; give a video")
    width, height = moving[0].codec_context.width, moving[0].codec_context.height
    if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
        limits = f"{MIN_SIDE} pixels a side to {MAX_PIXELS // 10**6} megapixels"
        raise VideoError(f"{source} has frames of {width} x {height} pixels; give one with {limits}")
    return moving[0]


def _kinds(container: "InputContainer") -> str:
    kinds = sorted({stream.type for stream in container.streams} - {"video"})
    return " and ".join(kinds) if kinds else "nothing"


def _quarter_turns(decoded: "VideoFrame") -> int:
    """How often a frame is turned counterclockwise to be upright, as the file says."""
    return round(decoded.rotation / 90) % 4


def _upright(decoded: "VideoFrame") -> Image:
    """(H, W, 3) uint8 RGB, turned as the file says (in quarter turns, as cameras are held)."""
    image = np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)
    turns = _quarter_turns(decoded)
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
