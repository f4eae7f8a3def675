"""Output of a video: the annotated video, and its people as JSON Lines and CSV."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rsn.conversions import table_columns
from rsn.errors import RsnError
from rsn.extras import require
from rsn.geometry import Image
from rsn.io.files import atomic_replace
from rsn.results import PoseResult
from rsn.skeletons import Skeleton
from rsn.video.frames import Frame, FrameSource

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream

CLOCK = 90_000  # ticks per second; a multiple of all common frame rates
QUALITY = {"crf": "20", "preset": "veryfast"}  # of libx264; other H.264 encoders have their own


class VideoWriter:
    """An MP4 file of images, each with its own time, and the audio of the source. A context manager.

    All images are scaled to the size of the first one. The pixel aspect ratio is that of the source.

    Args:
        path: file to write, without checks; see `rsn.io.files.atomic_replace`.
        source: its audio is copied. If MP4 does not support the audio's codec, `skipped_audio` names it.

    Raises:
        av.FFmpegError: the video cannot be written.
    """

    def __init__(self, path: Path, source: FrameSource) -> None:
        require("av", extra="video", feature="writing a video")
        import av

        self.skipped_audio: str | None = None
        self._source = source
        self._file = av.open(str(path), "w", format="mp4")
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._last = -1
        self._duration = 0
        self._held: list[Packet[VideoStream]] = []

    def write(self, image: Image, seconds: float, duration: float) -> None:
        """Add an image, (H, W, 3) uint8 RGB, that is shown at `seconds` for `duration` seconds; times must increase."""
        if self._video is None:
            self._video = self._start(image)
        self._last = max(round(seconds * CLOCK), self._last + 1)
        frame = _to_frame(image, self._video.width, self._video.height)
        frame.pts, frame.time_base = self._last, self._video.codec_context.time_base
        self._duration = round(duration * CLOCK)
        self._mux(self._video.encode(frame))
        self._copy_audio(until=seconds)

    def stop_audio(self) -> None:
        """End the audio with the video, although the source has more of it."""
        self._audio = None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._video is not None:
            self._mux(self._video.encode())
            # The packets shown last and stored last define the length of the video.
            for packet in (*self._held[:1], *self._held[-1:]):
                packet.duration = self._duration
            self._release()
            self._copy_audio(until=float("inf"))
        self._file.close()

    def _start(self, image: Image) -> "VideoStream":
        from fractions import Fraction

        height, width = (side // 2 * 2 for side in image.shape[:2])  # H.264 has even sides only
        stream = self._file.add_stream("h264", options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, CLOCK)
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # 16 to 235
        if self._source.pixel_aspect is not None:
            context.sample_aspect_ratio = self._source.pixel_aspect
        audio = self._source.audio_stream
        if audio is not None and audio.codec_context.name in self._file.supported_codecs:
            self._audio = self._file.add_stream_from_template(audio)
        elif audio is not None:
            self.skipped_audio = audio.codec_context.name
        return stream

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        """Write packets except the one shown last and those after it, whose duration is not known yet."""
        for packet in packets:
            if self._held and (packet.pts or 0) > (self._held[0].pts or 0):
                self._release()
            self._held.append(packet)

    def _release(self) -> None:
        for packet in self._held:
            self._file.mux(packet)
        self._held.clear()

    def _copy_audio(self, until: float) -> None:
        audio = self._source.audio
        while audio and (audio[0].dts or 0) * audio[0].time_base <= until:
            packet = audio.popleft()
            if self._audio is not None:
                packet.stream = self._audio
                self._file.mux(packet)


class ResultWriter:
    """The people of a video as JSON Lines (one line per frame) and CSV (one line per person)."""

    def __init__(self, lines: Any, table: Any, skeleton: Skeleton) -> None:
        self._lines = lines
        self._table = csv.writer(table, lineterminator="\n")
        self._table.writerow(["frame", "seconds", *table_columns(skeleton)])

    def write(self, frame: Frame, people: PoseResult) -> None:
        """Add a frame."""
        entry = to_entry(frame, people)
        self._lines.write(json.dumps(entry) + "\n")
        for person in entry["people"]:
            cells = [entry["frame"], entry["seconds"], person["track_id"], person["score"]]
            errors = person.get("std", [""] * len(people.skeleton))
            self._table.writerow([*cells, *person["bbox"], *person["keypoints"], *errors])


def to_entry(frame: Frame, people: PoseResult) -> dict[str, Any]:
    """A line of the JSON Lines: number and time of the frame, and its people (`Person.to_dict`)."""
    return {
        "frame": frame.number,
        "seconds": round(frame.seconds, 6),
        "people": [person.to_dict() for person in people],
    }


@contextmanager
def open_outputs(
    folder: Path, name: str, source: FrameSource, skeleton: Skeleton
) -> Iterator[tuple[VideoWriter, ResultWriter]]:
    """folder/NAME.mp4, NAME.jsonl and NAME.csv, which appear when the block ends without an error.

    Raises:
        RsnError: a file cannot be written.
    """
    import av

    path = folder / f"{name}.mp4"
    with (
        atomic_replace(path) as video,
        atomic_replace(path.with_suffix(".jsonl")) as lines,
        atomic_replace(path.with_suffix(".csv")) as table,
        open(lines, "x", encoding="utf-8") as lines_file,
        open(table, "x", encoding="utf-8", newline="") as table_file,
    ):
        try:
            with VideoWriter(video, source) as writer:
                yield writer, ResultWriter(lines_file, table_file, skeleton)
        except av.FFmpegError as error:
            raise RsnError(f"cannot write {path}: {error.strerror}; choose a folder with enough space") from error


def _to_frame(image: Image, width: int, height: int) -> "VideoFrame":
    """A frame in the encoder's format: even sides, BT.709."""
    from av import VideoFrame

    if image.shape[0] // 2 * 2 != height or image.shape[1] // 2 * 2 != width:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
