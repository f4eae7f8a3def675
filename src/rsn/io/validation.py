"""YAML and JSON as typed dataclasses; a mistake in them gets one sentence that names the key."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rsn.errors import RsnError

T = TypeVar("T")
_NAMED_AT_MOST = 4  # mistakes that an error spells out
_LONGEST_KEY = 80
_TYPES = {
    "int": "whole number", "float": "number", "string": "text", "bool": "true or false", "tuple": "list",
    "frozen_set": "list", "list": "list", "dict": "mapping", "dataclass": "mapping",
}  # fmt: skip
_GIVEN = {bool: "truth value", int: "number", float: "number", str: "text", list: "list", dict: "mapping"}


def read_mapping(path: Path, *, what: str, error: type[RsnError]) -> dict[str, Any]:
    """Parse a YAML file that holds a mapping; `what` it is stands in the sentence where it does not (`error`)."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise error(f"{path}: not valid YAML ({' '.join(str(problem).split())})") from problem
    if not isinstance(document, dict):
        raise error(f"{path}: {what} is a YAML mapping of settings")
    return document


def validated(kind: type[T], document: dict[str, Any], *, path: Path | str, error: type[RsnError]) -> T:
    """The document as a typed dataclass, which refuses unknown keys if its `__pydantic_config__` says so.

    Raises:
        error: keys that do not exist or are missing, or values that are invalid; the first four are named.
    """
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as problem:
        raise error(f"{path}: {_sentence(problem, kind)}") from problem


def from_json(kind: type[T], text: str) -> T:
    """A JSON text as a typed dataclass; no value is converted to another type.

    Raises:
        ValueError: it is not JSON, or as `validated`.
    """
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as problem:
        raise ValueError(_sentence(problem, kind)) from problem


def _sentence(error: ValidationError, kind: type) -> str:
    problems = error.errors(include_url=False)
    more = len(problems) - _NAMED_AT_MOST
    named = [_problem(problem, kind) for problem in problems[:_NAMED_AT_MOST]]
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _problem(problem: ErrorDetails, kind: type) -> str:
    what, place, value = problem["type"], problem["loc"], problem["input"]
    key = _quoted(".".join(map(str, place)))
    if what == "json_invalid":
        return "not valid JSON"
    if what == "unexpected_keyword_argument":
        known = dict(_keys(kind))
        nearest = get_close_matches(str(place[-1]), known, n=1)
        return f"Unknown key: {key}." + (f" Did you mean '{known[nearest[0]]}'?" if nearest else "")
    if what == "missing":
        if isinstance(place[-1], int):
            return f"Invalid length of {_quoted('.'.join(map(str, place[:-1])))}: expected more than {place[-1]} values"
        return f"Missing key: {key}"
    if what == "value_error":  # from __post_init__, which names the key itself
        return str(problem["ctx"]["error"])
    expected = _TYPES.get(what.removesuffix("_type").removesuffix("_parsing"))
    if what == "int_from_float":
        expected = "whole number"
    if expected:
        given = "nothing" if value is None else f"{_GIVEN.get(type(value), 'value')} {shortened(value)}"
        subject = f"Invalid type for {key}" if place else "Invalid type"
        return f"{subject}: expected {expected}, got {given}"
    reason = problem["msg"].removeprefix("Input should be ")
    return f"Invalid value for {key}: expected {reason}, got {shortened(value)}"


def _keys(kind: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(name, dotted name) of every key in a dataclass and those inside it; the outer ones come last."""
    if not is_dataclass(kind):
        for part in get_args(kind):
            yield from _keys(part, place)
        return
    hints = get_type_hints(kind)
    for field in fields(kind):
        yield from _keys(hints[field.name], f"{place}{field.name}.")
    yield from ((field.name, f"{place}{field.name}") for field in fields(kind))


def _quoted(key: str) -> str:
    return repr(key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}...")
