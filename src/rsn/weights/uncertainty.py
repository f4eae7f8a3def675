"""The expected error of keypoints, from what their heatmaps look like."""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from rsn.codecs.arrays import Array, library_of
from rsn.errors import WeightsError

MIN_SPREAD = 1.0  # input pixels


@dataclass(frozen=True)
class Uncertainty:
    """How to calculate the expected error of a keypoint; measured on labeled people for some weights.

    expected error = scale * spread ** spread_exponent * exp(-score_decay * score), in pixels of the crop; spread is
    `Codec.spread`, and score the keypoint's score in [0, 1]. It rises with the spread and falls with the score.

    Raises:
        WeightsError: a number that is not finite or below 0; a scale of 0.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    scale: float
    spread_exponent: float
    score_decay: float

    def __post_init__(self) -> None:
        values = (self.scale, self.spread_exponent, self.score_decay)
        if not all(map(isfinite, values)) or min(values) < 0 or self.scale == 0:
            raise WeightsError(
                "Invalid uncertainty: expected a scale above 0, and a spread_exponent and a score_decay from 0, got"
                f" {values}"
            )

    def expected_error(self, spread: Array, scores: Array) -> Array:
        """Spreads in pixels of the crop and scores in [0, 1] -> expected errors in pixels of the crop, of any shape."""
        library = library_of(spread)
        by_spread = library.clip(spread, MIN_SPREAD, None) ** self.spread_exponent
        error: Array = self.scale * by_spread * library.exp(-self.score_decay * scores)
        return error
