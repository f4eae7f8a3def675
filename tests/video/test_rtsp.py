"""Videos by RTSP from GStreamer's server, which runs in the system's Python."""

import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from time import sleep

import pytest

from clips import write_clip
from rsn.video.reading import open_frames
from rsn.video.settings import VideoSettings

PYTHON = "/usr/bin/python3"
LIBRARIES = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
"""
SERVER = """
import sys
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
clip = GstRtspServer.RTSPMediaFactory()
clip.set_launch(f"( filesrc location={sys.argv[1]} ! qtdemux ! h264parse ! rtph264pay name=pay0 )")
server.get_mount_points().add_factory("/clip", clip)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The URL of a stream of fifty frames at 25 per second."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", LIBRARIES], capture_output=True).returncode:
        pytest.skip("needs GStreamer's RTSP server (Debian: python3-gi gir1.2-gst-rtsp-server-1.0)")
    clip = write_clip(tmp_path / "clip.mp4", times=[number / 25 for number in range(50)])
    command = [PYTHON, "-c", LIBRARIES + SERVER, str(clip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"rtsp://127.0.0.1:{int(server.stdout.readline())}/clip"
        server.kill()


@pytest.mark.slow
def test_rtsp_frames_arrive_once_in_order(address: str) -> None:
    source = open_frames(address, VideoSettings())
    seconds = []
    for frame in source.frames():
        seconds.append(frame.seconds)
        sleep(0.1)  # longer than until the next frame is sent
    assert (source.corrupt, source.error) == (0, None)
    assert len(seconds) == 50
    assert [after - before for before, after in pairwise(seconds)] == pytest.approx([0.04] * 49, abs=1e-3)
