"""A real HTTP server on localhost that serves one file in the ways in which servers fail."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `data` below any path; what the path's first part is called decides how."""

    daemon_threads = True

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(data: bytes) -> Iterator[FileServer]:
    with FileServer(data) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        way = self.path.split("/")[1]
        self.server.requests[way] += 1
        count, data = self.server.requests[way], self.server.data
        asked = self.headers.get("Range")
        if asked:
            self.server.ranges.append(asked)
        if way == "missing" or (way == "vanishing" and count > 1):
            self.send_error(404)
        elif way == "busy" and count < 3:
            self.send_error(503)
        elif way == "html":
            self._send(b"<!DOCTYPE html><html>not found</html>", 0)
        elif way == "wrong":
            self._send(data[::-1], 0)
        elif way == "stingy":  # never more than the first half
            self._send(data[: len(data) // 2], 0, length=len(data))
        else:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and way != "stubborn" else 0
            self._serve(way, count, start)

    def _serve(self, way: str, count: int, start: int) -> None:
        data = self.server.data
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
        elif way in ("cut", "vanishing", "stubborn") and count == 1:
            self._send(data[: len(data) // 2], 0, length=len(data))
        elif way == "silent" and count == 1:
            self._send(data[: len(data) // 2], 0, length=len(data), then_wait=2)
        elif way == "late":
            time.sleep(0.5)
            self._send(data[start:], start)
        else:
            self._send(data[start:], start)

    def _send(self, data: bytes, start: int, *, length: int | None = None, then_wait: float = 0) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(length or len(data)))
        self.end_headers()
        with suppress(ConnectionError):  # of a client that has heard enough
            self.wfile.write(data)
            self.wfile.flush()
        time.sleep(then_wait)

    def log_message(self, *_: object) -> None:
        pass
