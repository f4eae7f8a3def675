"""Which device "auto" stands for."""

from collections.abc import Sequence

import pytest

from rsn.inference.devices import PREFERRED, choose_device


@pytest.mark.parametrize(
    ("available", "usable", "chosen"),
    [
        ({"cuda", "mps"}, PREFERRED, "cuda"),
        ({"mps"}, PREFERRED, "mps"),
        (set(), PREFERRED, "cpu"),
        ({"mps"}, ("cuda", "cpu"), "cpu"),
        ({"cuda"}, ("cpu",), "cpu"),
    ],
)
def test_auto_takes_the_first_usable_device_that_is_available(
    available: set[str], usable: Sequence[str], chosen: str
) -> None:
    assert choose_device(available, usable) == chosen
