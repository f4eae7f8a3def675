"""Videos that end early: interrupted, corrupt, truncated. Processed frames are kept."""

import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from clips import break_packet, heard, shown, write_clip
from command import WHOLE, rsn
from rsn.inference.box_sources import whole_image_boxes
from rsn.inference.estimator import PoseEstimator
from rsn.video.reading import open_frames
from rsn.video.run import predict_video
from rsn.video.settings import VideoSettings
from video_runs import SECOND, predict, records


def test_ctrl_c_leaves_valid_files(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", times=[i / 25 for i in range(800)], sound="aac")
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        "from rsn.cli import main; main()",
        "predict",
        clip,
        *WHOLE,
        "--model",
        random_weights,
    ]
    with subprocess.Popen(
        [*map(str, command), "--output", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.splitlines()[-1] == "rsn: stopped"
    assert {path.name for path in out.iterdir()} == {"long_poses.mp4", "long_poses.jsonl", "long_poses.csv"}
    times, _ = shown(out / "long_poses.mp4")
    assert 5 <= len(times) == len(records(out / "long_poses.jsonl")) < 800
    assert heard(out / "long_poses.mp4")[-1] <= times[-1] + 0.05


def test_closed_generator_keeps_written_frames(estimator: PoseEstimator, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", times=SECOND)
    settings = VideoSettings()
    before = threading.active_count()
    moments = predict_video(estimator, open_frames(str(clip), settings), whole_image_boxes, tmp_path, "out", settings)
    for _ in range(3):
        next(moments)
    moments.close()
    assert len(shown(tmp_path / "out.mp4")[0]) == 3
    assert threading.active_count() == before


def test_corrupt_frame_is_skipped_and_truncated_file_kept(random_weights: Path, tmp_path: Path) -> None:
    broken = write_clip(tmp_path / "broken.mp4", times=SECOND)
    break_packet(broken, 12)
    cut = write_clip(tmp_path / "cut.mp4", times=[i / 25 for i in range(100)], movflags="faststart")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    done = rsn("predict", broken, cut, *WHOLE, "--model", random_weights, "--output", tmp_path / "out")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[1].endswith("broken.mp4: 1 frames could not be decoded and were skipped")
    assert lines[-1].endswith("the file is cut short, its length should be 4.0 seconds; the frames before are written")
    assert len(records(tmp_path / "out/broken_poses.jsonl")) == 24
    assert len(shown(tmp_path / "out/broken_poses.mp4")[0]) == 24
    assert 20 < len(records(tmp_path / "out/cut_poses.jsonl")) < 90


def test_interrupted_stream_keeps_written_frames(random_weights: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.ts", times=[i / 25 for i in range(100)])
    data = clip.read_bytes()

    class HalfOfIt(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), HalfOfIt)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = predict(f"http://127.0.0.1:{server.server_port}/live.ts", random_weights, tmp_path / "out")
    server.shutdown()
    assert done.returncode == 1, done.stderr
    assert "the frames before are written" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(shown(tmp_path / "out/live_poses.mp4")[0]) > 20
