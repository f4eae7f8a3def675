"""Boxes that cannot be looked at in an image: left out and counted, so that the others are."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsn.data.values import MIN_BOX_SIZE
from rsn.errors import AnnotationError

NOT_FINITE = "with a number that is not finite"
TOO_SMALL = "less than a pixel wide or high"
OUTSIDE = "outside the image"
BEYOND = 0.1  # share of a box: one of which more lies outside is told, since boxes of a larger image do so


@dataclass
class BoxNotes:
    """What is to be said about boxes.

    usable: how many are looked at. skipped: how many are not, by reason. beyond: how many are, though they reach far
    beyond the image.
    """

    usable: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    beyond: int = 0

    def add(self, other: "BoxNotes") -> None:
        """Count those of another image, too."""
        self.usable += other.usable
        self.skipped.update(other.skipped)
        self.beyond += other.beyond

    def check(self, name: str) -> None:
        """Refuse (AnnotationError) what has boxes of which not one can be looked at; `name` is what it is called."""
        if self.skipped and not self.usable:
            raise AnnotationError(f"{name}: no box can be looked at; {self.sentence()}")

    def sentence(self) -> str:
        """All of it in one sentence; empty where there is nothing to say."""
        said = [f"left out: {reasons(self.skipped)}"] if self.skipped else []
        said += [f"{self.beyond} reach far beyond the image"] if self.beyond else []
        doubt = self.beyond or self.skipped[TOO_SMALL] or self.skipped[OUTSIDE]
        said += ["boxes are x, y, width, height in pixels of the image at its full size"] if doubt else []
        return f"boxes{' ' if self.skipped else ': '}{'; '.join(said)}" if said else ""


def reasons(skipped: Counter[str]) -> str:
    """How many were left out for which reason."""
    return ", ".join(f"{count} {reason}" for reason, count in skipped.items())


def usable_boxes(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.bool_], BoxNotes]:
    """Which boxes (N, 4) x, y, width, height with scores (N,) can be looked at in an image of (height, width): (N,).

    Also returns what is to be said about them.
    """
    height, width = size
    finite = np.isfinite(boxes).all(1) & np.isfinite(scores)
    left, top, wide, high = np.where(finite[:, None], boxes, 0.0).T
    small = finite & ((wide < MIN_BOX_SIZE) | (high < MIN_BOX_SIZE))
    inside = _overlap(left, wide, width) * _overlap(top, high, height)
    outside = finite & ~small & (inside <= 0)
    usable = finite & ~small & ~outside
    skipped = Counter(
        {NOT_FINITE: int((~finite).sum()), TOO_SMALL: int(small.sum()), OUTSIDE: int(outside.sum())}
    )
    beyond = usable & (inside < (1 - BEYOND) * wide * high)
    return usable, BoxNotes(int(usable.sum()), +skipped, int(beyond.sum()))


def _overlap(start: NDArray[np.float64], length: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    return np.asarray(np.clip(np.minimum(start + length, most) - np.maximum(start, 0), 0, None))
