"""Load test of `rsn serve` as users run it: 1 to 160 clients, each answer checked, and memory.

    python benchmarks/serve.py --output benchmarks/serve.csv
    git worktree add /tmp/before COMMIT
    python benchmarks/serve.py --before /tmp/before/src --output benchmarks/serve.csv

Clients and service share the machine. Each client sends one image after the other on one connection; after status 503
it waits as long as `Retry-After` says. An answer is wrong if the same image had other people or keypoints when one
client sent it. The exit status is 1 if an answer is wrong, or a request has no answer.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from skimage.data import astronaut

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from demo_images import portraits  # noqa: E402

IMAGES = 12  # different requests
NEAR = 1.0  # pixels between the keypoints of two right answers
CONFIDENT = 0.2  # score of the keypoints that are compared


class Answer(NamedTuple):
    """What a request got; status 0: nothing."""

    image: int
    status: int
    seconds: float
    body: bytes = b""
    retry_after: float = 0.0


def main() -> int:
    """Run the test; exit status 1 if an answer is lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64, 160], help="one row each")
    parser.add_argument("--seconds", type=float, default=60, help="of each row")
    parser.add_argument("--before", type=Path, help="measure the package rsn in this folder instead")
    parser.add_argument("--output", type=Path, help="CSV; rows of the other version in it stay")
    options = parser.parse_args()
    version, source = ("before", options.before) if options.before else ("now", ROOT / "src")
    images, rows = make_images(), []
    with served(source) as (port, process):
        expected = [ask(HTTPConnection("127.0.0.1", port), number, image) for number, image in enumerate(images)]
        for clients in options.clients:
            row = {"version": version} | measure(port, process, images, expected, clients, options.seconds)
            print(row, flush=True)
            rows.append(row)
    if options.output:
        write(rows, options.output)
    return 1 if any(row["wrong"] or row["lost"] for row in rows) else 0


@contextmanager
def served(source: Path) -> Iterator[tuple[int, int]]:
    """Start a service with the default models; return its port and process id."""
    command = [sys.executable, "-m", "rsn", "serve", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(source.resolve())}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            lines = process.stderr or ()
            port = next((found[1] for line in lines if (found := re.search(r"http://127.0.0.1:(\d+);", line))), None)
            if port is None:
                raise SystemExit("the service did not start")
            yield int(port), process.pid
        finally:
            process.terminate()


def make_images() -> list[bytes]:
    """Return JPEG files of one and of two persons, 0.2 to 2.2 megapixels, each cut out and scaled differently."""
    encoded = []
    for number in range(IMAGES):
        image = astronaut() if number % 3 == 0 else portraits()
        cut = image[: image.shape[0] - 10 * number, 4 * number :]
        scaled = cv2.resize(cut, None, fx=0.8 + 0.15 * number, fy=0.8 + 0.15 * number)
        encoded.append(cv2.imencode(".jpg", scaled[..., ::-1])[1].tobytes())
    return encoded


def ask(connection: HTTPConnection, number: int, image: bytes) -> Answer:
    """Send one request."""
    start = time.perf_counter()
    try:
        connection.request("POST", "/api/people", image, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException):
        connection.close()
        return Answer(number, 0, time.perf_counter() - start)
    wait = float(response.getheader("Retry-After", "0"))
    return Answer(number, response.status, time.perf_counter() - start, body, wait)


def measure(
    port: int, process: int, images: list[bytes], expected: list[Answer], clients: int, seconds: float
) -> dict[str, Any]:
    """Run clients that start requests for some seconds."""
    answers: list[Answer] = []
    before, start = megabytes(process), time.perf_counter()

    def client(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        while time.perf_counter() < start + seconds:
            answer = ask(connection, number % IMAGES, images[number % IMAGES])
            answers.append(answer)
            time.sleep(answer.retry_after)
            number += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    good = [answer for answer in answers if answer.status == 200]
    median, p95, p99 = np.quantile([answer.seconds for answer in good] or [np.nan], [0.5, 0.95, 0.99]).round(2).tolist()
    return {
        "clients": clients,
        "requests_per_second": round(len(good) / took, 2),
        "median_s": median,
        "p95_s": p95,
        "p99_s": p99,
        "status_200": len(good),
        "status_503": sum(answer.status == 503 for answer in answers),
        "other_status": sum(answer.status not in (0, 200, 503) for answer in answers),
        "wrong": sum(not is_right(answer, expected[answer.image]) for answer in good),
        "lost": sum(answer.status == 0 for answer in answers),
        "memory_before_mb": before,
        "memory_after_mb": megabytes(process),
        "cores": os.cpu_count(),
    }


def is_right(answer: Answer, expected: Answer) -> bool:
    """Check that both have the same people, and their confident keypoints at the same points."""
    found, wanted = json.loads(answer.body), json.loads(expected.body)
    people, others = (sorted(one["people"], key=lambda person: person["bbox"]) for one in (found, wanted))
    if (found["width"], found["height"], len(people)) != (wanted["width"], wanted["height"], len(others)):
        return False
    for person, other in zip(people, others, strict=True):
        keypoints, same = (np.reshape(one["keypoints"], (-1, 3)) for one in (person, other))
        confident = same[:, 2] >= CONFIDENT
        if (np.linalg.norm((keypoints - same)[confident, :2], axis=1) > NEAR).any():
            return False
    return True


def megabytes(process: int) -> int:
    """Return the memory of a process in MB (Linux)."""
    text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) // 1000  # type: ignore[index]


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows to a CSV file, in place of those of the same version and number of clients."""
    kept = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    new = {(row["version"], str(row["clients"])) for row in rows}
    kept = [row for row in kept if (row["version"], row["clients"]) not in new]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept + rows)


if __name__ == "__main__":
    sys.exit(main())
