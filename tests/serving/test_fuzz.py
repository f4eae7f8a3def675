"""Random bytes and random JSON at the doors: always an answer of a known kind, and the service goes on."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_service import Answer, Client

EXAMPLES = pytest.mark.parametrize("examples", [150, pytest.param(4000, marks=pytest.mark.slow)])
KINDS = (".jpg", ".png", ".webp", ".gif", ".bmp")


def pictures() -> list[bytes]:
    image = np.random.default_rng(0).integers(0, 255, (24, 20, 3)).astype(np.uint8)
    alpha = np.dstack([image, image[..., 0]])
    return [cv2.imencode(kind, image)[1].tobytes() for kind in KINDS] + [
        cv2.imencode(".png", alpha)[1].tobytes()
    ]


@st.composite
def broken_pictures(draw: st.DrawFn) -> bytes:
    """A picture with some bytes changed, some put in or left out, maybe cut."""
    data = bytearray(draw(st.sampled_from(pictures())))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data[: draw(st.integers(1, len(data) + 1))])


numbers = st.floats() | st.integers() | st.floats(-1e3, 1e3)
json_like: Any = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
boxes_like = st.lists(st.lists(numbers, min_size=3, max_size=6), max_size=4)


def check(answer: Answer, allowed: set[int]) -> None:
    assert answer.status in allowed, (answer.status, answer.body)
    found = json.loads(answer.body, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    if answer.status == 200:
        joints = [number for person in found["people"] for point in person["keypoints"] for number in point]
        assert np.isfinite(joints).all()
    else:
        assert set(found) == {"detail"}


@EXAMPLES
def test_broken_pictures(service: Client, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(broken_pictures() | st.binary(max_size=300))
    def fuzz(data: bytes) -> None:
        check(service.people(data), {200, 413, 415, 422})

    fuzz()


@EXAMPLES
def test_boxes(service: Client, photo: Path, examples: int) -> None:
    data = photo.read_bytes()

    @settings(max_examples=examples, deadline=None)
    @given((json_like | boxes_like).map(json.dumps) | st.text(max_size=40))
    def fuzz(text: str) -> None:
        check(service.post("/api/people", data, boxes=text), {200, 422})

    fuzz()


@EXAMPLES
def test_queries_and_content_types(service: Client, photo: Path, examples: int) -> None:
    data = photo.read_bytes()
    names = st.sampled_from(["boxes", "model"]) | st.text(max_size=4)
    kinds = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30) | st.just("image/png")

    @settings(max_examples=examples, deadline=None)
    @given(st.dictionaries(names, st.text(max_size=20), max_size=4), kinds)
    def fuzz(query: dict[str, str], kind: str) -> None:
        path = f"/api/people?{urlencode(query)}"
        answer = service.ask("POST", path, data, {"Content-Type": kind})
        check(answer, {200, 404, 415, 422})

    fuzz()
