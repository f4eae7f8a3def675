"""Numbers and times of frames, lengths and pixel aspect ratios, for all kinds of timestamps."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clips import turn
from rsn.inference.box_sources import BoxFile
from rsn.video.reading import open_frames
from rsn.video.settings import VideoSettings
from rsn.video.writing import VideoWriter

CODECS = {".webm": "libvpx", ".mpg": "mpeg2video", ".y4m": "rawvideo", ".mjpeg": "mjpeg"}


def write(
    path: Path,
    *,
    count: int = 30,
    rate: Fraction | int = 25,
    times: Sequence[float] | None = None,
    shape: Fraction | None = None,
) -> Path:
    """A clip whose k-th frame has brightness 8k, at a rate or at given times."""
    with av.open(str(path), "w") as file:
        video = file.add_stream(CODECS.get(path.suffix, "libx264"), rate=rate, options={"g": "6"})
        video.width, video.height = 64, 48
        video.pix_fmt = "yuvj420p" if path.suffix == ".mjpeg" else "yuv420p"
        if shape:
            video.codec_context.sample_aspect_ratio = shape
        if times:
            video.codec_context.time_base = Fraction(1, 1000)
        for number in range(len(times) if times else count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * number, np.uint8), format="rgb24")
            if times:
                frame.pts, frame.time_base = round(1000 * times[number]), Fraction(1, 1000)
            file.mux(video.encode(frame))
        file.mux(video.encode())
    return path


def seen(path: Path, **settings: float) -> list[tuple[int, float, int]]:
    """(number, seconds, number encoded in the brightness) of the frames of a complete file."""
    source = open_frames(str(path), VideoSettings(**settings))
    frames = list(source.frames())
    source.close()
    assert (source.error, source.corrupt) == (None, 0)
    return [(frame.number, round(frame.seconds, 3), round(frame.image.mean() / 8)) for frame in frames]


ORDINARY = [(k, round(k / 25, 3), k) for k in range(30)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".ts", ".flv", ".webm", ".mpg", ".y4m", ".mjpeg"])
def test_frames_have_the_same_numbers_and_times_in_every_container(tmp_path: Path, suffix: str) -> None:
    clip = write(tmp_path / f"clip{suffix}")
    assert seen(clip) == ORDINARY
    assert seen(clip, start=0.6) == ORDINARY[15:]
    assert seen(clip, start=0.62, end=0.8, every=2) == ORDINARY[16:20:2]
    assert seen(clip, start=1.16) == ORDINARY[29:]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv"])
@pytest.mark.parametrize("begin", [5.0, 0.4])
def test_start_time_of_file_does_not_matter(tmp_path: Path, suffix: str, begin: float) -> None:
    clip = write(tmp_path / f"later{suffix}", times=[begin + k / 25 for k in range(30)])
    assert seen(clip) == ORDINARY
    assert seen(clip, start=0.8) == ORDINARY[20:]


def test_long_group_before_start_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsn.video.reading.MAX_GROUP", 4)
    assert seen(write(tmp_path / "a.mp4"), start=0.8) == ORDINARY[20:]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm", ".ts"])
@pytest.mark.parametrize("interval", [5, 60])
def test_time_lapse_is_complete(tmp_path: Path, suffix: str, interval: int) -> None:
    clip = write(tmp_path / f"lapse{suffix}", count=4, rate=Fraction(1, interval))
    assert seen(clip) == [(k, interval * k, k) for k in range(4)]
    assert seen(clip, start=2 * interval) == [(k, interval * k, k) for k in (2, 3)]


def test_single_long_frame_is_complete(tmp_path: Path) -> None:
    assert seen(write(tmp_path / "one.mp4", count=1, rate=Fraction(1, 30))) == [(0, 0, 0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_variable_frame_rate_keeps_numbers_and_times(tmp_path: Path, suffix: str) -> None:
    times = [0, 0.04, 0.5, 0.52, 3.0, 3.04, 6.0]
    clip = write(tmp_path / f"variable{suffix}", times=times)
    everything = [(k, second, k) for k, second in enumerate(times)]
    assert seen(clip) == everything
    assert seen(clip, start=0.51) == everything[3:]


def test_truncated_file_with_late_start_time_is_reported(tmp_path: Path) -> None:
    clip = write(tmp_path / "cut.mkv", times=[0.2 + k / 5 for k in range(30)])
    with av.open(str(clip)) as file:
        places = [packet.pos for packet in file.demux(video=0) if packet.size]
    clip.write_bytes(clip.read_bytes()[: places[10]])
    source = open_frames(str(clip), VideoSettings())
    assert 5 < len(list(source.frames())) <= 10
    assert "cut short" in (source.error or "")


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_longer_second_audio_stream_is_no_truncation(tmp_path: Path, suffix: str) -> None:
    clip = tmp_path / f"clip{suffix}"
    with av.open(str(clip), "w") as file:
        video = file.add_stream("libx264", rate=25)
        sounds = [file.add_stream("aac", rate=8000, layout="mono") for _ in range(2)]
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8))))
        file.mux(video.encode())
        for sound, seconds in zip(sounds, (0.4, 8), strict=True):
            for start in range(0, round(8000 * seconds), 1000):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
                samples.sample_rate, samples.pts = 8000, start
                file.mux(sound.encode(samples))
            file.mux(sound.encode())
    source = open_frames(str(clip), VideoSettings())
    assert len(list(source.frames())) == 10
    assert source.error is None
    assert len({packet.stream.index for packet in source.audio}) == 1


@pytest.mark.parametrize("begin", [0, 5])
def test_expected_frames_do_not_depend_on_start_time(tmp_path: Path, begin: int) -> None:
    clip = write(tmp_path / "clip.mkv", times=[begin + k / 25 for k in range(30)])
    assert open_frames(str(clip), VideoSettings()).expected == 30
    assert open_frames(str(clip), VideoSettings(start=0.4, every=2)).expected == 10


def test_boxes_use_frame_numbers_of_whole_video(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4")
    boxes = BoxFile(tmp_path / "b.json", {str(k): [[1.0 + k, 1, 20, 20, 1]] for k in range(30)})
    source = open_frames(str(clip), VideoSettings(start=0.8, every=3))
    found = [boxes(frame.path, frame.image)[0][0, 0] for frame in source.frames()]
    assert found == [21, 24, 27, 30]


def test_folder_frames_are_numbered_before_selection(tmp_path: Path) -> None:
    from rsn.io.images import write_image

    for number in range(6):
        write_image(tmp_path / f"{number}.png", np.full((48, 64, 3), 8 * number, np.uint8))
    assert seen(tmp_path, fps=2, start=1.0, every=2) == [(2, 1.0, 2), (4, 2.0, 4)]


def written(source: Path, out: Path, **settings: float) -> tuple[float, float, tuple[int, int], float]:
    """Length, time of the last frame, size and displayed aspect ratio of a copy by `VideoWriter`."""
    frames = open_frames(str(source), VideoSettings(**settings))
    with VideoWriter(out, frames) as writer:
        for frame in frames.frames():
            writer.write(frame.image, frame.seconds - frames._settings.start, frame.duration)
    frames.close()
    with av.open(str(out)) as file:
        stream = file.streams.video[0]
        length, size = float(stream.duration * stream.time_base), (stream.width, stream.height)
        aspect = float(stream.sample_aspect_ratio or 1) * size[0] / size[1]
        last = max(frame.time for frame in file.decode(stream))
    return length, last, size, aspect


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_written_time_lapse_keeps_length(tmp_path: Path, suffix: str) -> None:
    clip = write(tmp_path / f"lapse{suffix}", count=4, rate=Fraction(1, 5))
    length, last, *_ = written(clip, tmp_path / "out.mp4")
    assert (length, last) == pytest.approx((20, 15), abs=0.01)


def test_written_part_has_length_of_part(tmp_path: Path) -> None:
    length, last, *_ = written(write(tmp_path / "a.mkv"), tmp_path / "out.mp4", start=0.4, every=5)
    assert (length, last) == pytest.approx((0.8, 0.6), abs=0.01)


@pytest.mark.parametrize("shape", [Fraction(16, 9), Fraction(64, 45), Fraction(8, 9), None])
def test_written_video_keeps_pixel_aspect_ratio(tmp_path: Path, shape: Fraction | None) -> None:
    *_, size, aspect = written(write(tmp_path / "a.mp4", count=3, shape=shape), tmp_path / "out.mp4")
    assert size == (64, 48)
    assert aspect == pytest.approx(64 / 48 * float(shape or 1), rel=0.01)


def test_written_rotated_video_keeps_pixel_aspect_ratio(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4", count=3, shape=Fraction(16, 9))
    turn(clip)
    *_, size, aspect = written(clip, tmp_path / "out.mp4")
    assert size == (48, 64)
    assert aspect == pytest.approx(48 / 64 * 9 / 16, rel=0.01)
