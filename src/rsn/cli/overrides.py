"""`--set KEY=VALUE ...`, which may be given more than once."""

from itertools import chain
from typing import Annotated

import tyro

Settings = Annotated[
    tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="KEY=VALUE...")
]


def flat(settings: Settings) -> tuple[str, ...]:
    """All settings in the order in which they were given."""
    return tuple(chain.from_iterable(settings))
