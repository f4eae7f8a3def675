"""Random damage to images, boxes and queries: every request gets a valid response."""

import io
import json
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from fuzzing import THINGS, Amount, amounts, damaged_bytes, damaged_document, fuzz
from pose_service import Answer, Client

KINDS = (".jpg", ".png", ".webp", ".bmp")


def images() -> list[bytes]:
    image = np.random.default_rng(0).integers(0, 255, (24, 20, 3)).astype(np.uint8)
    alpha = np.dstack([image, image[..., 0]])
    gif = io.BytesIO()
    Pillow.fromarray(image).save(gif, "GIF")  # OpenCV writes it from 4.12 on
    encoded = [cv2.imencode(kind, image)[1].tobytes() for kind in KINDS]
    return [*encoded, cv2.imencode(".png", alpha)[1].tobytes(), gif.getvalue()]


def text_of(random: Random, length: int) -> str:
    return "".join(chr(random.choice((random.randrange(32, 127), random.randrange(0x2000)))) for _ in range(length))


def check(answer: Answer, allowed: set[int]) -> None:
    assert answer.status in allowed, (answer.status, answer.body)
    found = json.loads(answer.body, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    if answer.status == 200:
        keypoints = [number for person in found["people"] for number in person["keypoints"]]
        assert np.isfinite(keypoints).all()
    else:
        assert set(found) == {"detail"}


@amounts(150, 4000)
def test_damaged_images_get_a_response(service: Client, amount: Amount) -> None:
    sound = images()

    def trial(random: Random) -> None:
        data = random.randbytes(random.randrange(300)) if random.random() < 0.2 else None
        data = damaged_bytes(random.choice(sound), random) if data is None else data
        check(service.people(data), {200, 413, 415, 422})

    fuzz("requests with images", amount, trial, refusals=False)


@amounts(150, 4000)
def test_damaged_boxes_get_a_response(service: Client, image: Path, amount: Amount) -> None:
    data = image.read_bytes()

    def trial(random: Random) -> None:
        rows: Any = [[5, 5, 40, 60], [2, 3, 50.5, 60, 0.5]]
        chosen = random.random()
        if chosen < 0.2:
            rows = random.choice(THINGS)
        elif chosen < 0.4:
            rows = [
                [random.uniform(-1e3, 1e3) for _ in range(random.randint(3, 6))] for _ in range(random.randrange(4))
            ]
        elif chosen < 0.9:
            rows = damaged_document(rows, random)
        text = text_of(random, random.randrange(40)) if chosen >= 0.9 else json.dumps(rows)
        check(service.post("/api/people", data, boxes=text), {200, 422})

    fuzz("requests with boxes", amount, trial, refusals=False)


@amounts(150, 4000)
def test_unusual_queries_get_a_response(service: Client, image: Path, amount: Amount) -> None:
    data = image.read_bytes()

    def trial(random: Random) -> None:
        names = [random.choice(("boxes", "model", text_of(random, 3))) for _ in range(random.randrange(5))]
        query = {name: text_of(random, random.randrange(20)) for name in names}
        kind = "".join(chr(random.randrange(32, 127)) for _ in range(random.randrange(30)))
        kind = random.choice((kind, "image/png"))
        answer = service.ask("POST", f"/api/people?{urlencode(query)}", data, {"Content-Type": kind})
        check(answer, {200, 404, 415, 422})

    fuzz("requests with queries", amount, trial, refusals=False)
