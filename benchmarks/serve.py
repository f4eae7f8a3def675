"""Load test of `rsn serve`: requests per second with 1, 8 and 64 clients, each response checked, and memory.

    python benchmarks/serve.py --requests 3000 --output benchmarks/serve.csv

The network is a random RSN-18 at 64x64, so that what is measured is the service. Client and server share the machine.
Every request has its own box. The exit status is 1 if an answer had another box, or other keypoints than a first run
with one client.
"""

import argparse
import csv
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import torch

from rsn.weights.loading import save_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.transfer import create_model

CASES = 200  # different requests
SAME_KEYPOINTS = 15  # of 17: two cells of a random heatmap may be nearly equal, so rounding decides


def main() -> int:
    """Run the test; exit status 1 if a response is lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=3000, help="per number of clients")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], help="number of clients; one row each")
    parser.add_argument("--warm-up", type=int, default=2000, help="requests before the measurement")
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (port, process):
        cases = [make_case(number) for number in range(CASES)]
        expected = [ask(HTTPConnection("127.0.0.1", port), case) for case in cases]
        # PyTorch caches what it prepares for each batch size, so memory grows until all sizes have occurred.
        measure(port, process, cases, expected, max(options.clients), options.warm_up)
        rows, wrong = [], 0
        for clients in options.clients:
            row = measure(port, process, cases, expected, clients, options.requests)
            print(row)
            rows.append(row)
            wrong += row["wrong"] + row["lost"]
    if options.output:
        with open(options.output, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return 1 if wrong else 0


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """Start a service with a random network; return its port and process id."""
    torch.manual_seed(0)
    weights = folder / "random.safetensors"
    save_weights(weights, create_model("rsn18"), ModelMetadata("rsn18", input_size=(64, 64)))
    settings = ["--boxes", "whole", "--port", "0", "--device", "cpu"]  # each request has its own boxes
    command = [sys.executable, "-m", "rsn", "serve", str(weights), *settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            found = re.search(r":(\d+);", line)
            if not found:
                raise SystemExit(f"the service did not start: {line}")
            yield int(found[1]), process.pid
        finally:
            process.terminate()


def make_case(number: int) -> dict[str, Any]:
    """Return an image of noise and a box, different for each seed."""
    noise = np.random.default_rng(number)
    height, width = noise.integers(100, 400, 2).tolist()
    small = noise.integers(0, 255, (height // 20, width // 20, 3)).astype(np.uint8)
    image = cv2.imencode(".jpg", cv2.resize(small, (width, height)))[1].tobytes()
    return {"image": image, "box": [number / 4, 10.0, width / 2, height / 2], "size": [width, height]}


def ask(connection: HTTPConnection, case: dict[str, Any]) -> dict[str, Any]:
    """Send one request; return {} if there was no valid response."""
    path = f"/api/people?boxes={quote(json.dumps([case['box']]))}"
    connection.request("POST", path, case["image"], {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    skeleton = answer.read()
    return json.loads(skeleton) if answer.status == 200 else {}


def is_right(case: dict[str, Any], answer: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Check that the response belongs to the request."""
    (person,), (other,) = answer["people"], expected["people"]
    keypoints, others = (np.reshape(one["keypoints"], (-1, 3))[:, :2] for one in (person, other))
    distance = np.linalg.norm(keypoints - others, axis=1)
    same_box = np.allclose(person["bbox"], case["box"], atol=0.01)
    return [answer["width"], answer["height"]] == case["size"] and same_box and (distance < 1).sum() >= SAME_KEYPOINTS


def measure(
    port: int, process: int, cases: list[Any], expected: list[Any], clients: int, requests: int
) -> dict[str, Any]:
    """Run clients that send one request after the other on persistent connections."""
    seconds: list[float] = []
    counts = {"wrong": 0, "lost": 0}
    lock = threading.Lock()

    def client(seed: int) -> None:
        connection, choose = HTTPConnection("127.0.0.1", port, timeout=120), random.Random(seed)
        for _ in range(requests // clients):
            number = choose.randrange(len(cases))
            start = time.perf_counter()
            answer = ask(connection, cases[number])
            took = time.perf_counter() - start
            right = bool(answer) and is_right(cases[number], answer, expected[number])
            with lock:
                seconds.append(took)
                counts["lost"] += not answer
                counts["wrong"] += bool(answer) and not right
        connection.close()

    before, start = megabytes(process), time.perf_counter()
    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - start
    counts["lost"] += requests // clients * clients - len(seconds)
    return {
        "clients": clients,
        "requests": len(seconds),
        "requests_per_second": round(len(seconds) / total, 1),
        "median_ms": round(1000 * float(np.median(seconds)), 1),
        "p95_ms": round(1000 * float(np.quantile(seconds, 0.95)), 1),
        **counts,
        "memory_before_mb": before,
        "memory_after_mb": megabytes(process),
        "cores": os.cpu_count(),
    }


def megabytes(process: int) -> int:
    """Return the memory of a process in MB (Linux)."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) // 1000  # type: ignore[index]


if __name__ == "__main__":
    sys.exit(main())
