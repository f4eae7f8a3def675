"""What is left of a video: the annotated one, and its people as JSON Lines and CSV."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rsn.errors import RsnError
from rsn.extras import require
from rsn.geometry import Image
from rsn.io.files import atomic_replace
from rsn.results import PoseResult, table_columns
from rsn.skeletons import Skeleton
from rsn.video.frames import Frame, FrameSource

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream

CLOCK = 90_000  # ticks a second; a multiple of every common frame rate
QUALITY = {"crf": "20", "preset": "veryfast"}  # of libx264; other H.264 encoders use their own


class VideoWriter:
    """An MP4 file of images, each at its own time, and the sound that came with them. A context manager.

    The size of the first image is that of the video; others are scaled to it. Pixels keep the source's shape.

    Args:
        path: where to write; nothing is checked or renamed here, see `rsn.io.files.atomic_replace`.
        source: whose sound is copied. Sound that does not fit into an MP4 is left out, and `skipped` says so.

    Raises:
        RsnError: the video cannot be written.
    """

    def __init__(self, path: Path, source: FrameSource) -> None:
        require("av", extra="video", feature="writing a video")
        import av

        self.skipped: str | None = None
        self._source = source
        self._file = av.open(str(path), "w", format="mp4")
        self._images: VideoStream | None = None
        self._sound: AudioStream | None = None
        self._last = -1
        self._lasts = 0
        self._held: list[Packet[VideoStream]] = []

    def write(self, image: Image, seconds: float, lasts: float) -> None:
        """Add an image, (H, W, 3) uint8 RGB, to be shown from `seconds` on, for `lasts` seconds; times must rise."""
        if self._images is None:
            self._images = self._begin(image)
        self._last = max(round(seconds * CLOCK), self._last + 1)
        frame = _encodable(image, self._images.width, self._images.height)
        frame.pts, frame.time_base = self._last, self._images.codec_context.time_base
        self._lasts = round(lasts * CLOCK)
        self._mux(self._images.encode(frame))
        self._copy_sound(until=seconds)

    def cut_sound(self) -> None:
        """Let the sound end with the images, though more of it has come."""
        self._sound = None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._images is not None:
            self._mux(self._images.encode())
            for packet in (
                *self._held[:1],
                *self._held[-1:],
            ):  # shown last, stored last: they decide the length
                packet.duration = self._lasts
            self._release()
            self._copy_sound(until=float("inf"))
        self._file.close()

    def _begin(self, image: Image) -> "VideoStream":
        from fractions import Fraction

        height, width = (side // 2 * 2 for side in image.shape[:2])  # H.264 has no odd sides
        stream = self._file.add_stream("h264", options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, CLOCK)
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # 16 to 235
        if self._source.pixel_aspect is not None:
            context.sample_aspect_ratio = self._source.pixel_aspect
        template = self._source.sound_stream
        if template is not None and template.codec_context.name in self._file.supported_codecs:
            self._sound = self._file.add_stream_from_template(template)
        elif template is not None:
            self.skipped = template.codec_context.name
        return stream

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        """Write packets, all but the one that is shown last and those after it, since its duration is not known yet."""
        for packet in packets:
            if self._held and (packet.pts or 0) > (self._held[0].pts or 0):
                self._release()
            self._held.append(packet)

    def _release(self) -> None:
        for packet in self._held:
            self._file.mux(packet)
        self._held.clear()

    def _copy_sound(self, until: float) -> None:
        sound = self._source.sound
        while sound and (sound[0].dts or 0) * sound[0].time_base <= until:
            packet = sound.popleft()
            if self._sound is not None:
                packet.stream = self._sound
                self._file.mux(packet)


class Records:
    """People of a video, one frame after the other, as JSON Lines and as CSV (one line a person)."""

    def __init__(self, lines: Any, table: Any, skeleton: Skeleton) -> None:
        self._lines = lines
        self._table = csv.writer(table, lineterminator="\n")
        self._table.writerow(["frame", "seconds", *table_columns(skeleton)])

    def write(self, frame: Frame, people: PoseResult) -> None:
        """Add a frame."""
        record = as_record(frame, people)
        self._lines.write(json.dumps(record) + "\n")
        for one in record["people"]:
            cells = [record["frame"], record["seconds"], one["track_id"], one["score"]]
            self._table.writerow([*cells, *one["bbox"], *one["keypoints"]])


def as_record(frame: Frame, people: PoseResult) -> dict[str, Any]:
    """A line of the JSON Lines: the frame, and its people as `Person.to_dict` gives them, with their track ids."""
    return {
        "frame": frame.number,
        "seconds": round(frame.seconds, 6),
        "people": [person.to_dict() for person in people],
    }


@contextmanager
def outputs(
    folder: Path, name: str, source: FrameSource, skeleton: Skeleton
) -> Iterator[tuple[VideoWriter, Records]]:
    """folder/NAME.mp4, NAME.jsonl and NAME.csv, which are there when the block has ended well, and else are not.

    Raises:
        RsnError: one of them cannot be written.
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
                yield writer, Records(lines_file, table_file, skeleton)
        except av.FFmpegError as error:
            raise RsnError(f"cannot write {path}: {error.strerror}; choose a folder with room") from error


def _encodable(image: Image, width: int, height: int) -> "VideoFrame":
    """A frame of the encoder's format: even sides, BT.709, as the stream is marked."""
    from av import VideoFrame

    if image.shape[0] // 2 * 2 != height or image.shape[1] // 2 * 2 != width:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
