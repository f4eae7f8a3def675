"""rsn serve as a process with a port."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

from command import WHOLE, rsn
from drawn_detectors import BOXES, yolox
from drawn_detectors import image as two_people
from pose_service import Client
from rsn.cli.serve import Serve
from rsn.errors import RsnError
from rsn.serving.settings import Limits


def test_serve_runs_until_interrupted(random_weights: Path, image: Path, tmp_path: Path) -> None:
    """Uploads leave no files in the working and temporary folders."""
    code = "from rsn.cli import main; main()"
    places = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", random_weights, *WHOLE, "--port", "0", "--device", "cpu"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=places,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(
            r"rsn: random\.safetensors \(by \w+ on cpu\) at (http://127\.0\.0\.1:\d+); Ctrl-C stops it\n",
            line,
        )
        assert found, line
        request = Request(f"{found[1]}/api/people", image.read_bytes(), {"Content-Type": "image/png"})
        with urlopen(request, timeout=60) as answer:
            assert len(json.load(answer)["people"]) == 1
        with urlopen(found[1], timeout=60) as answer:
            assert b"<title>rsn" in answer.read()
        assert list(tmp_path.iterdir()) == []
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    lines = process.stderr.read().splitlines()
    assert len(lines) == 2
    assert "each image is treated as one person; --boxes detect" in lines[0]
    assert lines[1] == "rsn: stopped"


def test_serve_detects_people(random_weights: Path, tmp_path: Path) -> None:
    """Duplicate detections are removed; an empty image has no people."""
    detector = yolox(tmp_path / "yolox.onnx")
    command = [sys.executable, "-m", "rsn", "serve", random_weights, "--detector", detector]
    with subprocess.Popen([*command, "--port", "0", "--device", "cpu"], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            port = re.search(rb":(\d+);", process.stderr.readline())
            assert port
            client = Client(int(port[1]))
            assert client.get("/api/models").json["models"][0]["has_detector"] is True
            found = client.people(png_of(two_people(2))).json["people"]
            np.testing.assert_allclose(sorted(person["bbox"] for person in found), 2 * BOXES, atol=0.01)
            assert client.people(png_of(np.zeros((50, 60, 3), np.uint8))).json["people"] == []
        finally:
            process.terminate()


def test_serve_answers_waiting_requests_before_it_stops(random_weights: Path, image: Path) -> None:
    command = [sys.executable, "-m", "rsn", "serve", random_weights, *WHOLE, "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process, ThreadPoolExecutor(4) as pool:
        try:
            assert process.stderr is not None
            port = re.search(rb":(\d+);", process.stderr.readline())
            assert port
            client = Client(int(port[1]))
            boxes = [[5, 5, 40, 60]] * 60
            waiting = [pool.submit(client.people, image.read_bytes(), boxes) for _ in range(4)]
            while b"rsn_requests_active 4.0" not in client.get("/metrics").body:
                assert not any(one.done() for one in waiting), "the requests are too short for this test"
        finally:
            process.terminate()
        assert [one.result().status for one in waiting] == [200] * 4
        assert process.wait(20) == -signal.SIGTERM


def png_of(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def test_serve_rejects_port_in_use(random_weights: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = rsn("serve", random_weights, "--port", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"rsn: cannot listen on 127.0.0.1 port {port}: Address already in use; choose another --host or --port\n"
    )


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (Serve(port=99_999), "Invalid port: expected 1 to 65535, got 99999"),
        (Serve(host="203.0.113.1", port=0), "cannot listen on 203.0.113.1 port 0: "),
        (Serve(("missing.safetensors",), port=0), "there is no such weights file"),
        (Serve(("rsn18.starter", "rsn18.starter"), port=0), "have the same name"),
        (Serve(port=0, detector="dfin"), "there is no detector named 'dfin'; did you mean dfine?"),
        (Serve(port=0, detector="none.onnx"), "none.onnx: there is no such detector"),
        (Serve(port=0, boxes="whole", detector="dfine"), "has no effect with --boxes whole"),
        (
            Serve(port=0, backend="torch", limits=Limits(megabytes=-1)),
            "Invalid limit of megabytes: expected a number above 0, got -1",
        ),
    ],
)
def test_serve_rejects_invalid_options(command: Serve, sentence: str) -> None:
    with pytest.raises(RsnError, match=re.escape(sentence)):
        command.run()
