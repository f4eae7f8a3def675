"""MATLAB files as plain Python: structs as dicts, struct arrays and cells as lists or arrays."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.errors import AnnotationError
from rsn.extras import require
from rsn.io.files import write_atomically

EMPTY = np.zeros((0, 0))

VERSION_5 = 1  # as scipy counts
HEADER = 128  # bytes before the first variable of a MAT-file of version 5
TAG = 8  # bytes before each variable: its type and its length
MATRIX, COMPRESSED = 14, 15


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a MAT-file (version 5, which MATLAB writes up to `-v7`), by name.

    Dimensions of one are dropped, so an array of a single struct comes out as that struct: see `structs`.

    Raises:
        AnnotationError: no such file, another kind of file, a truncated or damaged one.
        DeviceError: scipy is not installed.
    """
    require("scipy", extra="train", feature="reading MATLAB files")
    import scipy.io
    from scipy.io.matlab import matfile_version

    try:
        data = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        if matfile_version(io.BytesIO(data))[0] == VERSION_5:
            _check_whole(data)
        return dict(scipy.io.loadmat(io.BytesIO(data), simplify_cells=True))
    except NotImplementedError as error:  # what scipy says to HDF5
        raise AnnotationError(
            f"{path}: a MAT-file of version 7.3; save it from MATLAB with save(..., '-v7')"
        ) from error
    except Exception as error:  # scipy meets damage with errors of every type
        raise AnnotationError(f"{path}: not a MATLAB file, or damaged ({error}); fetch it again") from error


def structs(value: object) -> list[dict[str, Any]]:
    """The structs of an array of any length, as `read_mat` has left it: none, a single one, or several."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if hasattr(value, "__iter__") else []


def struct_array(rows: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> NDArray[np.void]:
    """The opposite of `structs`: a 1xN struct array for `write_mat`; empty, as in MATLAB, where a row lacks a field."""
    array = np.empty((1, len(rows)), [(field, object) for field in fields])
    for place, row in enumerate(rows):
        for field in fields:
            array[field][0, place] = row.get(field, EMPTY)
    return array


def write_mat(path: Path, **variables: Any) -> None:
    """Write variables to a MAT-file (version 5, compressed); never half of one.

    Raises:
        RsnError: it cannot be written.
        DeviceError: scipy is not installed.
    """
    require("scipy", extra="train", feature="writing MATLAB files")
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=True)
    write_atomically(path, file.getvalue())


def _check_whole(data: bytes) -> None:
    """Compare the checksums, since scipy's compiled reader may crash the whole process on damaged data."""
    place = HEADER
    order = ">" if data[HEADER - 2 : HEADER] == b"MI" else "<"
    while place < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        if place + TAG + length > len(data):
            raise ValueError("it ends too early")
        if kind == COMPRESSED:
            zlib.decompress(data[place + TAG : place + TAG + length])
        elif kind != MATRIX:
            raise ValueError(f"it holds something of kind {kind}")
        place += TAG + length
