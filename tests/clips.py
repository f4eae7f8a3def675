"""Videos that the tests make themselves."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from moving_people import Walker, draw

CLOCK = 12_800


def write_clip(
    path: Path,
    *,
    times: Sequence[float],
    size: tuple[int, int] = (120, 160),
    pixels: Callable[[float], np.ndarray] | None = None,
    codec: str = "h264",
    sound: str | None = None,
    images: bool = True,
    **options: str,
) -> Path:
    """A video of a walking figure, or of `pixels`, with frames at these times (seconds); sound: codec of a tone."""
    walker = Walker(10, 10, height=100, speed=20)
    with av.open(str(path), "w", options=options) as file:
        video = audio = None
        if images:
            video = file.add_stream(codec, rate=25, options={"g": "10"})
            video.height, video.width, video.pix_fmt = *size, "yuv420p"
            video.codec_context.time_base = Fraction(1, CLOCK) if codec == "h264" else Fraction(1, 25)
        if sound:
            audio = file.add_stream(sound, rate=44_100)
        for second in times if video else ():
            image = pixels(second) if pixels else draw([walker], second, size)
            frame = av.VideoFrame.from_ndarray(image)
            frame.time_base = video.codec_context.time_base
            frame.pts = round(second / frame.time_base)
            file.mux(video.encode(frame))
        if video:
            file.mux(video.encode())
        if audio:
            _hum(file, audio, times[-1])
    return path


def _hum(file: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for start in range(0, round(seconds * 44_100), 1024):
        wave = 0.2 * np.sin(np.arange(start, start + 1024) * 2 * np.pi * 440 / 44_100)
        samples = np.asarray(wave * 32767, np.int16)[None].repeat(2, 0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
        file.mux(stream.encode(frame))
    file.mux(stream.encode())


def break_packet(path: Path, number: int) -> None:
    """Overwrite the data of a frame."""
    with av.open(str(path)) as file:
        place, size = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size][number]
    data = bytearray(path.read_bytes())
    data[place + 5 : place + size] = bytes((37 * i) % 256 for i in range(size - 5))
    path.write_bytes(data)


def turn(path: Path) -> None:
    """Mark an MP4 as rotated by 90 degrees clockwise, as phones do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    quarter = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4")
    data[matrix : matrix + 36] = quarter.tobytes()
    path.write_bytes(data)


def shown(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """The times and images of a video as a player shows them."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    return [frame.time for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


def heard(path: Path) -> list[float]:
    """The times of the audio packets."""
    with av.open(str(path)) as file:
        return [float(packet.pts * packet.time_base) for packet in file.demux(audio=0) if packet.size]
