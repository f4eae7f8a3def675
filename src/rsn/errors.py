"""What can go wrong through no fault of the program; the command line prints the message and nothing else."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class RsnError(Exception):
    """A mistake in what was given: one sentence that says what was wrong, where, and what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        """As pickled, for the process that waits for an answer: the sentence, whatever the constructor takes."""
        return _restored, (type(self), *self.args), self.__dict__


class RsnWarning(UserWarning):
    """Something that was assumed or left out, and that the user should know."""


class ImageError(RsnError):
    """An image that cannot be read or used."""


class AnnotationError(RsnError):
    """An annotation, box or result file that does not hold what it should."""


class WeightsError(RsnError):
    """A weights file that cannot be read or does not fit the network."""


class RecipeError(RsnError):
    """A training recipe with a setting that does not exist or cannot be."""


class TrainingError(RsnError):
    """A run that cannot go on."""


class DownloadError(RsnError):
    """A file that cannot be fetched, or is not the one that was meant."""


class DeviceError(RsnError):
    """A device or backend that was asked for and is not there."""


class MissingDependencyError(RsnError, ImportError):
    """An optional library that is not installed."""


class UnknownNameError(RsnError):
    """A model, skeleton or setting by a name that does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        nearest = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known: {', '.join(known)}"
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        super().__init__(f"there is no {kind} named {shown!r}; {hint}")


def _restored(kind: type[RsnError], *args: Any) -> RsnError:
    return kind.__new__(kind, *args)
