"""Read and write MATLAB files: structs become dicts, struct arrays and cells become lists or arrays."""

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
from rsn.io.files import atomic_write

EMPTY = np.zeros((0, 0))

VERSION_5 = 1  # in scipy's numbering
HEADER = 128  # bytes before the first variable of a MAT-file of version 5
TAG = 8  # bytes before each variable: its type and its length
MATRIX, COMPRESSED = 14, 15


def read_mat(path: Path) -> dict[str, Any]:
    """Read the variables of a MAT-file of version 5 (MATLAB's formats up to `-v7`), by name.

    Dimensions of length one are removed, so that an array of one struct becomes that struct: see `structs`.

    Raises:
        AnnotationError: the file is missing, truncated, damaged or no MAT-file of version 5.
        MissingDependencyError: scipy is not installed.
    """
    require("scipy", extra="eval", feature="reading MATLAB files")
    import scipy.io
    from scipy.io.matlab import matfile_version

    try:
        data = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        if matfile_version(io.BytesIO(data))[0] == VERSION_5:
            _check_complete(data)
        return dict(scipy.io.loadmat(io.BytesIO(data), simplify_cells=True))
    except NotImplementedError as error:  # scipy's error for HDF5
        raise AnnotationError(
            f"{path}: a MAT-file of version 7.3; save it from MATLAB with save(..., '-v7')"
        ) from error
    except Exception as error:  # scipy raises errors of every type for damaged files
        raise AnnotationError(f"{path}: not a MATLAB file, or damaged ({error}); download it again") from error


def structs(value: object) -> list[dict[str, Any]]:
    """The structs of an array of any length from `read_mat`: none, one, or several."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if hasattr(value, "__iter__") else []


def struct_array(rows: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> NDArray[np.void]:
    """The inverse of `structs`: a 1xN struct array for `write_mat`; fields that a row lacks are empty."""
    array = np.empty((1, len(rows)), [(field, object) for field in fields])
    for index, row in enumerate(rows):
        for field in fields:
            array[field][0, index] = row.get(field, EMPTY)
    return array


def write_mat(path: Path, **variables: Any) -> None:
    """Write variables to a MAT-file (version 5, compressed), atomically.

    Raises:
        RsnError: it cannot be written.
        MissingDependencyError: scipy is not installed.
    """
    require("scipy", extra="eval", feature="writing MATLAB files")
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=True)
    atomic_write(path, file.getvalue())


def _check_complete(data: bytes) -> None:
    """Check lengths and checksums, since scipy's compiled reader may crash the process on damaged data."""
    position = HEADER
    order = ">" if data[HEADER - 2 : HEADER] == b"MI" else "<"
    while position < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, position)
        if position + TAG + length > len(data):
            raise ValueError("it is truncated")
        if kind == COMPRESSED:
            zlib.decompress(data[position + TAG : position + TAG + length])
        elif kind != MATRIX:
            raise ValueError(f"it has a variable of unknown type {kind}")
        position += TAG + length
