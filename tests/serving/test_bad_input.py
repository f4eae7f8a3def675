"""Invalid requests: one sentence, the right status, and a service that continues."""

import io
import re
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

import rsn.serving
from pose_service import Answer, Client, estimator_of, serving
from rsn.errors import RsnError
from rsn.inference.estimator import PoseEstimator
from rsn.serving.settings import Limits

MULTIPART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n\xff\xd8\xff\r\n--x--\r\n'


def refused(answer: Answer, status: int) -> str:
    """The error message, after a check that it is one sentence."""
    assert answer.status == status, answer.body
    assert set(answer.json) == {"detail"}
    sentence: str = answer.json["detail"]
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


def gif(width: int, height: int, frames: int = 1) -> bytes:
    images = [Pillow.new("P", (16, 16), n % 255) for n in range(frames)]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:])
    data = buffer.getvalue()
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    row = zlib.compressobj()
    pixels = b"".join(row.compress(bytes(1 + 3 * width)) for _ in range(min(height, 1000))) + row.flush()
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("image", "status", "sentence"),
    [
        (b"", 415, "not a JPEG, PNG, WebP, GIF or BMP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", 415, "not a JPEG, PNG, WebP"),
        (b"<!doctype html><script>alert(1)</script>", 415, "not a JPEG, PNG, WebP"),
        (b"MZ" + bytes(1000), 415, "not a JPEG, PNG, WebP"),
        (png(30_000, 30_000), 413, "has 30000 x 30000 pixels; scale it down to at most 50 megapixels"),
        (
            png(40_000, 10),
            413,
            "has 40000 x 10 pixels; scale it down to at most .* and 32000 pixels per side",
        ),
        (gif(60_000, 60_000), 413, "has 60000 x 60000 pixels"),
        (png(7, 300), 422, "only 7 x 300 pixels; give an image of at least 8 x 8"),
    ],
    ids=["nothing", "svg", "html", "program", "png bomb", "long png", "gif bomb", "tiny"],
)
def test_invalid_or_large_image_is_rejected(service: Client, image: bytes, status: int, sentence: str) -> None:
    for path in ("/api/people", "/api/heatmaps"):
        assert re.search(sentence, refused(service.post(path, image), status))


def test_image_with_maximum_side_is_accepted(service: Client) -> None:
    """It is neither rejected nor too large for OpenCV."""
    assert service.people(png(32_000, 10)).status == 200


def test_gif_with_many_frames_is_accepted(service: Client) -> None:
    data = gif(16, 16, frames=5000)
    assert service.people(data).status == 200


def test_truncated_image_is_rejected(service: Client, image: Path) -> None:
    jpeg = cv2.imencode(".jpg", cv2.imread(str(image)))[1].tobytes()
    assert refused(service.people(jpeg[: len(jpeg) // 2]), 422) == ("the image is truncated or damaged; copy it again")
    whole = image.read_bytes()
    assert "is truncated" in refused(service.people(whole[: len(whole) // 2]), 422)


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/html", "application/json", "", "image"])
def test_other_content_type_is_rejected(service: Client, kind: str) -> None:
    sentence = refused(service.post("/api/people", MULTIPART, kind), 415)
    assert "must be one image file" in sentence
    bare = service.ask("POST", "/api/people", b"x")
    assert "got none" in refused(bare, 415)


@pytest.mark.parametrize(
    "boxes",
    [
        "", "nonsense", "{}", "[[1, 2, 3]]", "[1, 2, 3, 4]", "[[1, 2, 3, 4, 5, 6]]", '[["1e999", 1, 1, 1]]',
        "[[0, 0, 1e999, 5]]", "[[0, 0, NaN, 5]]", "[[null, 0, 5, 5]]", "[[0, 0, 0, 5]]", "[[0, 0, -5, 5]]",
        "[[0, 0, 1e-300, 5]]", "[[-1e300, 0, 1e301, 5]]", "[[500, 0, 5, 5]]", "[[0, 0, 9, 9, 2]]", "[" * 9000,
        "[[0, 0, 9, 9]" + ", [0, 0, 9, 9]" * 100 + "]",
    ],
)  # fmt: skip
def test_invalid_boxes_are_rejected(service: Client, image: Path, boxes: str) -> None:
    for path in ("/api/people", "/api/heatmaps"):
        assert "box" in refused(service.post(path, image.read_bytes(), boxes=boxes), 422)


def test_heatmaps_reject_several_boxes(service: Client, image: Path) -> None:
    answer = service.post("/api/heatmaps", image.read_bytes(), boxes="[[0, 0, 9, 9], [0, 0, 9, 9]]")
    assert refused(answer, 422) == "Invalid boxes: expected one box for heatmaps, got 2"


def test_large_upload_is_rejected(random_weights: Path, image: Path) -> None:
    with serving({"random": estimator_of(random_weights)}, Limits(megabytes=0.05)) as client:
        assert "0.05 megabytes" in refused(client.people(image.read_bytes() + bytes(50_000)), 413)
        for declared in (b"Content-Length: 99999999\r\n", b"Transfer-Encoding: chunked\r\n"):
            head = b"POST /api/people HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n" + declared
            with socket.create_connection(("127.0.0.1", client.port), timeout=20) as raw:
                raw.sendall(head + b"\r\n")
                chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n" if b"chunked" in declared else b""
                raw.sendall(chunk)
                assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
        assert client.people(image.read_bytes()).status == 200


def test_slow_upload_times_out(random_weights: Path, image: Path) -> None:
    with serving({"random": estimator_of(random_weights)}, Limits(seconds=0.5)) as client:
        client.people(image.read_bytes())
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as raw:
            raw.sendall(
                b"POST /api/people HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 900\r\n\r\nPNG"
            )
            assert raw.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (b"-1", 400),
        (b"many", 400),
        (b"9" * 400, 400),
        (b"9" * 15, 413),
        (b"5\r\nContent-Length: 6", 400),
        (b"0", 415),
    ],
)
def test_invalid_content_length_is_rejected(service: Client, length: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
        raw.sendall(
            b"POST /api/people HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: "
            + length
            + b"\r\n\r\nabcde"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("data", [b"\0" * 500, b"GET\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc"])
def test_malformed_http_is_rejected(service: Client, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(100)[:12] in (b"HTTP/1.1 400", b"")


def test_disconnected_clients_are_released(service: Client) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
            raw.sendall(
                b"POST /api/people HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 90000\r\n\r\nPNG"
            )
    deadline = time.monotonic() + 60
    while b"rsn_requests_active 0.0" not in service.get("/metrics").body:
        assert time.monotonic() < deadline, "a request whose client has gone is still inside"
    assert b'path="/api/people",status="499"' in service.get("/metrics").body


class Gate:
    """A detector that blocks until it is released."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.calls = 0

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        self.open.wait(20)
        return np.array([[0.0, 0.0, 20.0, 20.0]]), np.ones(1)


def behind(gate: Gate, weights: Path) -> dict[str, PoseEstimator]:
    return {"random": estimator_of(weights, detector=gate)}


def test_late_result_is_status_503(random_weights: Path, image: Path) -> None:
    gate = Gate()
    with serving(behind(gate, random_weights), Limits(seconds=1)) as client:
        late = client.people(image.read_bytes())
        assert "within 1 seconds" in refused(late, 503)
        assert late.headers["retry-after"] == "5"
        gate.open.set()
        assert client.people(image.read_bytes()).status == 200


def test_requests_beyond_limit_are_status_503(random_weights: Path, image: Path) -> None:
    gate = Gate()
    with serving(behind(gate, random_weights), Limits(requests=3)) as client, ThreadPoolExecutor(3) as pool:
        inside = [pool.submit(client.people, image.read_bytes()) for _ in range(3)]
        while b"rsn_requests_active 3.0" not in client.get("/metrics").body:
            time.sleep(0.01)
        over = client.people(image.read_bytes())
        assert "3 requests are being served" in refused(over, 503)
        assert over.headers["retry-after"] == "1"
        with pytest.raises(RsnError, match="3 requests are being served, which is the limit; try again"):
            rsn.serving.Client(client.url)(image)
        gate.open.set()
        assert [answer.result().status for answer in inside] == [200] * 3
        assert client.people(image.read_bytes()).status == 200


def test_disconnected_client_leaves_the_queue(random_weights: Path, image: Path) -> None:
    """Its image is not processed after the requests before it."""
    gate = Gate()
    with serving(behind(gate, random_weights)) as client, ThreadPoolExecutor(2) as pool:
        inside = [pool.submit(client.people, image.read_bytes()) for _ in range(2)]
        while gate.calls < 2:
            time.sleep(0.01)
        connection = HTTPConnection("127.0.0.1", client.port)
        connection.request("POST", "/api/people", image.read_bytes(), {"Content-Type": "image/png"})
        while b"rsn_requests_active 3.0" not in client.get("/metrics").body:
            time.sleep(0.01)
        connection.close()
        while b"rsn_requests_active 2.0" not in client.get("/metrics").body:
            time.sleep(0.01)
        gate.open.set()
        assert [answer.result().status for answer in inside] == [200] * 2
    assert gate.calls == 2


def test_network_error_fails_one_batch_only(random_weights: Path, image: Path) -> None:
    """An error such as missing memory fails the requests of one batch; the next batch succeeds."""
    estimator = estimator_of(random_weights)
    working = estimator.model
    with serving({"random": estimator}) as client:
        estimator.model = None
        assert refused(client.people(image.read_bytes()), 500).startswith("internal error")
        estimator.model = working
        assert client.people(image.read_bytes()).status == 200
