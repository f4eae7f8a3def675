"""What threads and processes may do with whatever runs a network.

Threads take turns: a run uses all cores or the GPU anyway. A process that was forked after a network had run would
hang, since the threads of PyTorch, OpenVINO and ONNX Runtime do not exist in it; it gets an error instead. An
estimator is sent to another process as the arguments that it was made with.
"""

import os
import pickle
from collections.abc import Iterable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from rsn.errors import RsnError

if TYPE_CHECKING:
    from torch import Tensor

    from rsn.inference.backends import Backend

_first_process: int | None = None  # the process in which a network was first made ready


def check_process() -> None:
    """Refuse to run a network in a process that was forked from one where a network had been made ready to run.

    Raises:
        RsnError: this is such a process.
    """
    global _first_process
    if _first_process is None:
        _first_process = os.getpid()
    elif _first_process != os.getpid():
        raise RsnError(
            "this process was forked from one that had already prepared a network, and running one here could hang;"
            " start processes with multiprocessing.get_context('spawn'), or make the first estimator after the fork"
        )


def shared(backend: "Backend") -> "Backend":
    """The same backend, for any number of threads: their calls run one after the other."""
    lock = Lock()

    def run(crops: "Tensor") -> "Tensor":
        check_process()
        with lock:
            return backend(crops)

    return run


class PickledByArguments:
    """An object that pickle stores as the arguments of its constructor, and makes anew from them.

    Attributes that `_kept` names are stored too, for they may have changed since.
    """

    _kept: tuple[str, ...] = ()
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._arguments = args, kwargs
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Raises RsnError where an argument is a network, or cannot be pickled itself."""
        args, kwargs = self._arguments
        name = type(self).__name__
        if any(isinstance(value, nn.Module) for value in _flat((*args, *kwargs.values()))):
            raise RsnError(
                f"a {name} of a network in memory cannot be pickled; save its weights (`rsn.weights.loading`)"
                f" and make the {name} of the file"
            )
        try:
            pickle.dumps(self._arguments)
        except Exception as error:  # whatever an argument's own pickling raises
            raise RsnError(
                f"this {name} cannot be pickled, since one of its arguments cannot be ({error}); name models and"
                " detectors by name or file, or make one in each process"
            ) from error
        return partial(type(self), *args, **kwargs), (), {name: getattr(self, name) for name in self._kept}


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
