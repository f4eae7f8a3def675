"""What a weights file is, and its metadata; nothing here needs PyTorch."""

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from rsn.errors import WeightsError
from rsn.weights.metadata import METADATA_KEY, Metadata, parse_metadata


def has_metadata(path: Path) -> bool:
    """Whether a file has metadata of this package.

    Raises:
        WeightsError: it cannot be read.
    """
    return is_safetensors(path) and METADATA_KEY in _read_fields(path)


def read_metadata(path: Path) -> Metadata:
    """The metadata in a weights file of this package.

    Raises:
        WeightsError: no safetensors file, or one without valid metadata.
    """
    fields = _read_fields(path)
    try:
        return parse_metadata(fields)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _read_fields(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: {explain_damage(path, error)}") from error


def is_safetensors(path: Path) -> bool:
    """Whether a file begins like one, whatever its name: eight bytes, then a JSON object."""
    return _first_bytes(path)[8:9] == b"{"


def _first_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error


def explain_damage(path: Path, error: Exception) -> str:
    """Why a file cannot be read. PyTorch's own message is long, and recommends running the code in the file."""
    start = _first_bytes(path).lstrip()
    if not start:
        return "is empty; copy or download it again"
    if start.startswith(b"<"):
        return "is a web page, not weights; download the file itself"
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused:
        return (
            f"contains more than tensors: it asks for {refused[1]}, which could run code; if you trust it, save its"
            " state dict alone"
        )
    if "TorchScript" in str(error):
        return "is a program (TorchScript), which could run any code; save its state dict alone"
    return "holds no weights that can be read: it is damaged, truncated, or something else; download it again"
