"""Threads and processes of whatever runs a network.

Threads take turns, since a run uses all cores or the GPU. A process that was forked after a network had run would hang,
because the threads of PyTorch, OpenVINO and ONNX Runtime do not exist in it; it gets an error instead. An estimator is
sent to another process as the arguments of its constructor.
"""

import os
import pickle
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from rsn.errors import RsnError

if TYPE_CHECKING:
    from rsn.geometry import Image
    from rsn.inference.backends import Backend

_first_process: int | None = None  # the process that prepared the first network


def check_process() -> None:
    """Refuse to run a network in a process that was forked from one that had prepared a network.

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
    """The same backend for any number of threads: their calls run one after the other."""
    lock = Lock()

    def run(crops: "Image") -> Any:
        check_process()
        with lock:
            return backend(crops)

    return run


class PickledByArguments:
    """An object that is pickled as the arguments of its constructor, and created anew from them.

    _kept: names of attributes that are pickled, too, since they may have changed.
    """

    _kept: tuple[str, ...] = ()
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        created = super().__new__(cls)
        created._arguments = args, kwargs
        return created

    def __reduce__(self) -> tuple[Any, ...]:
        """Raises RsnError for an argument that cannot be pickled."""
        args, kwargs = self._arguments
        name = type(self).__name__
        try:
            pickle.dumps(self._arguments)
        except Exception as error:  # pickling raises errors of any type
            raise RsnError(
                f"this {name} cannot be pickled, since one of its arguments cannot be ({error}); pass names or files of"
                f" models and detectors, or make a {name} in each process"
            ) from error
        return partial(type(self), *args, **kwargs), (), {name: getattr(self, name) for name in self._kept}
