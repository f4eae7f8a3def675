"""The service on a port of this machine, and a client for arbitrary requests."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fastapi import FastAPI

from rsn.inference.estimator import PoseEstimator
from rsn.serving.app import create_app
from rsn.serving.run import create_server, open_port
from rsn.serving.settings import Limits


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client(NamedTuple):
    """A client of one service."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            lower = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, lower, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, image: bytes, kind: str = "image/jpeg", **query: str) -> Answer:
        """Send an image to /api/people or /api/heatmaps."""
        return self.ask("POST", f"{path}?{urlencode(query)}", image, {"Content-Type": kind})

    def people(self, image: bytes, boxes: Any = None, **query: str) -> Answer:
        given = {} if boxes is None else {"boxes": json.dumps(boxes)}
        return self.post("/api/people", image, **given, **query)


@contextmanager
def serving(estimators: Mapping[str, PoseEstimator], limits: Limits | None = None) -> Iterator[Client]:
    """Run a service in a thread until the block ends."""
    with running(create_app(estimators, limits)) as client:
        yield client


@contextmanager
def running(app: FastAPI) -> Iterator[Client]:
    server = create_server(app, Limits())
    with open_port("127.0.0.1", 0) as opened:
        opened.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Client(opened.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def estimator_of(weights: Path, **options: Any) -> PoseEstimator:
    return PoseEstimator(weights, device="cpu", **{"detector": None} | options)
