"""Damage from a seed, and what must come of it: an answer or an RsnError, never any other exception.

Every trial has a number, by which a failure is found again: `Random(f"{kind} {number}")` damages the same way.
"""

import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from rsn.errors import RsnError, RsnWarning

LONGEST_SENTENCE = 2000  # characters
THINGS: tuple[Any, ...] = (
    None, [], {}, "x", "", "1", "-3.5", "nan", -1, 0, 1, True, 3.5, 0.25, -0.0, 1e400, -1e400, math.nan, 10**30, 2**63,
    [1], ["a"], {"a": 1}, [[1, 2]], [None], "\ud800", "a\x00b", "../../x", "é" * 300, [[[[[]]]]],
)  # fmt: skip


@dataclass(frozen=True)
class Amount:
    """How many trials, and within which seconds: what a slow machine does not get done is left out."""

    trials: int
    seconds: float


def amounts(short: int, long: int, seconds: float = 1.5) -> pytest.MarkDecorator:
    """Run a test as it is in CI, and longer by the marker `slow`."""
    forms = [
        pytest.param(Amount(short, seconds), id="short"),
        pytest.param(Amount(long, 1200.0), id="long", marks=pytest.mark.slow),
    ]
    return pytest.mark.parametrize("amount", forms)


def fuzz(kind: str, amount: Amount, trial: Callable[[Random], None], *, refusals: bool = True) -> None:
    """Run trials, and print how many were answered, and how many were refused in a sentence.

    refusals: whether there must be some of both, where there was time for all trials.
    """
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + amount.seconds
    for number in range(amount.trials):
        if time.monotonic() > end:
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RsnWarning)
                trial(Random(f"{kind} {number}"))
            outcomes["answered"] += 1
        except RsnError as error:
            if not 0 < len(str(error)) < LONGEST_SENTENCE:
                raise AssertionError(f"{kind} {number} is no sentence: {error}") from error
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{kind} {number}: {type(error).__name__}: {error}") from error
    print(f"{kind}: {dict(outcomes)}")
    if refusals and outcomes.total() == amount.trials:
        assert outcomes["answered"] > 0, f"{kind}: the damage is such that nothing is answered"
        assert outcomes["refused"] > 0, f"{kind}: the damage is such that nothing is refused"


def damaged_bytes(data: bytes, random: Random, *, within: int | None = None) -> bytes:
    """Some bytes changed, put in or left out, and maybe cut short; `within`: only the first so many."""
    damaged = bytearray(data)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(min(len(damaged), within or len(damaged)))
        new = random.randbytes(random.randint(0, 4))
        damaged[place : place + random.choice((0, 1, 1, len(new), len(new)))] = new
        if not damaged:
            break
    if random.random() < 0.3:
        del damaged[random.randrange(len(damaged) + 1) :]
    return bytes(damaged)


def damaged_document(document: Any, random: Random) -> Any:
    """A copy of parsed JSON, or YAML, of which one to three places hold something else, are duplicated, or are gone."""
    copy = json.loads(json.dumps(document))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(copy))
        if not places:
            break
        holder, key = random.choice(places)
        action = random.random()
        if action < 0.15:
            del holder[key]
        elif action < 0.25 and isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), holder[key])
        elif action < 0.35:
            other, other_key = random.choice(places)
            holder[key] = json.loads(json.dumps(other[other_key]))
        else:
            holder[key] = deepcopy(random.choice(THINGS))
    return copy


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each container with each of its keys; of long lists the first three and the last."""
    if isinstance(document, dict):
        keys: list[Any] = list(document)
    elif isinstance(document, list):
        keys = [*range(min(len(document), 3)), *([len(document) - 1] if len(document) > 3 else [])]
    else:
        return
    for key in keys:
        yield document, key
        yield from _places(document[key])
