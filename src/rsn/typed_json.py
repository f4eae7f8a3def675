"""JSON as dataclasses: every value is what its field's type says, or a sentence tells which one is not.

For what anybody may have written into a file. Known are dataclasses, tuples, frozensets, dictionaries by name, unions
with None, Literal, str, bool, int and float.
"""

import json
from dataclasses import MISSING, fields, is_dataclass
from reprlib import repr as shortened
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def read_typed(kind: type[T], text: str) -> T:
    """A JSON text as a dataclass.

    Raises:
        ValueError: it is not JSON, a setting is missing, unknown, or of another type; the setting is named.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON that can be read") from None
    built: T = _typed(kind, document, "")
    return built


def _typed(hint: Any, value: Any, name: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return None if value is None and NoneType in arguments else _typed(arguments[0], value, name)
    if is_dataclass(hint):
        return _built(hint, value, name)
    if origin is Literal:
        _expect(value in arguments, value, name, f"one of {', '.join(map(str, arguments))}")
        return value
    if origin is dict:
        _expect(isinstance(value, dict), value, name, "an object")
        return {key: _typed(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    if origin in (tuple, frozenset):
        _expect(isinstance(value, list), value, name, "a list")
        if origin is frozenset or arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        _expect(len(value) == len(arguments), value, name, f"a list of {len(arguments)}")
        items = zip(arguments, value, strict=True)
        return origin(_typed(kind, item, f"{name}[{place}]") for place, (kind, item) in enumerate(items))
    _expect(_is_plain(hint, value), value, name, _WORDS[hint])
    return value


def _built(kind: Any, value: Any, name: str) -> Any:
    _expect(isinstance(value, dict), value, name, "an object")
    hints, inside = get_type_hints(kind), f"{name}." if name else ""
    for field in fields(kind):
        if field.name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{inside}{field.name} is missing")
    for key in value:
        if key not in hints:
            raise ValueError(
                f"{inside}{shortened(key)} is unknown here, as a setting of a later rsn would be"
            )
    return kind(**{key: _typed(hints[key], item, f"{inside}{key}") for key, item in value.items()})


def _is_plain(kind: type, value: Any) -> bool:
    if kind is float:
        return type(value) is float or (type(value) is int and abs(value) < 2**53)
    return type(value) is kind  # true and false are whole numbers to isinstance


def _expect(holds: bool, value: Any, name: str, words: str) -> None:
    if not holds:
        raise ValueError(f"{name or 'it'} is {shortened(value)}, not {words}")
