"""Ids of images, annotations and categories, which tools write as numbers or as texts."""

import math
import unicodedata
from typing import Any


def plain_id(value: Any) -> int | str | None:
    """An id in the one form by which ids are compared; None for what is neither a number nor a text.

    139, 139.0, "139" and "000000000139" mean the same, and so do texts that Unicode composes differently.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else str(value)
    if not isinstance(value, str):
        return None
    text = unicodedata.normalize("NFC", value.strip())
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20:
        return int(text)
    whole = text.removesuffix(".0")
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 20 else text
