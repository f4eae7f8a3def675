"""A real HTTP server on localhost that serves one file, and can fail in several ways."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `data` below any path; the first part of the path decides how."""

    daemon_threads = True

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data

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
        way, data = self.path.split("/")[1], self.server.data
        if way == "missing":
            self.send_error(404)
        elif way == "busy":
            self.send_error(503)
        elif way == "html":
            self._send(b"<!DOCTYPE html><html>not found</html>")
        elif way == "to-ftp":
            self.send_response(302)
            self.send_header("Location", f"ftp://127.0.0.1:{self.server.server_port}/x")
            self.end_headers()
        elif way == "wrong":
            self._send(data[::-1])
        elif way == "stingy":  # closes the connection early
            self._send(data[: len(data) // 2], length=len(data))
        elif way == "silent":  # sends nothing after the first half
            self._send(data[: len(data) // 2], length=len(data), then_wait=2)
        else:
            time.sleep(0.5 if way == "late" else 0)
            self._send(data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(b"[]")

    def _send(self, data: bytes, *, length: int | None = None, then_wait: float = 0) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(data)))
        self.end_headers()
        with suppress(ConnectionError):  # the client has closed the connection
            self.wfile.write(data)
            self.wfile.flush()
        time.sleep(then_wait)

    def log_message(self, *_: object) -> None:
        pass
