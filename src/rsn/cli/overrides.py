"""`--set KEY=VALUE ...`, which may be given several times."""

from itertools import chain
from typing import Annotated

import tyro

Overrides = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="KEY=VALUE...")]


def flatten_overrides(overrides: Overrides) -> tuple[str, ...]:
    """All KEY=VALUE pairs in the order in which they were given."""
    return tuple(chain.from_iterable(overrides))
