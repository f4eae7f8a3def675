"""The errors of rsn that users can fix; the command line prints the message only, without a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Real
from typing import Any


class RsnError(Exception):
    """A mistake in the input: one sentence that says what is wrong, where, and what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message, whatever the arguments of the constructor are."""
        return _restore, (type(self), *self.args), self.__dict__


class RsnWarning(UserWarning):
    """Something was assumed or skipped, and the user should know."""


class ImageError(RsnError, ValueError):
    """An image cannot be read or used."""


class AnnotationError(RsnError, ValueError):
    """A file of annotations, boxes or results, or an entry of one, is invalid."""


class WeightsError(RsnError):
    """A weights file cannot be read, or does not fit the network."""


class RecipeError(RsnError, ValueError):
    """A training recipe has an unknown or invalid setting."""


class TrainingError(RsnError):
    """A training run cannot continue."""


class DownloadError(RsnError):
    """A file cannot be downloaded, or has another hash than expected."""


class DeviceError(RsnError):
    """A device or backend is not available."""


class MissingDependencyError(RsnError, ImportError):
    """An optional library is not installed."""


class UnknownNameError(RsnError, ValueError):
    """There is no model, skeleton or setting with this name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        nearest = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known)}"
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        super().__init__(f"there is no {kind} named {shown!r}; {hint}")


def check_threshold(name: str, value: Any) -> None:
    """Refuse a threshold on scores that is not between 0 and 1 (RsnError)."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        got = f"{value:g}" if is_number else repr(value)[:80]
        raise RsnError(f"Invalid {name}: expected a number from 0 to 1, got {got}")


def _restore(kind: type[RsnError], *args: Any) -> RsnError:
    return kind.__new__(kind, *args)
