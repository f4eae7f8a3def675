"""Read YAML and JSON; as typed dataclasses, where every mistake gets one sentence that names the key."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rsn.errors import AnnotationError, RsnError

T = TypeVar("T")
_MAX_PROBLEMS = 4  # in one error message
_MAX_KEY_LENGTH = 80
_TYPES = {
    "int": "whole number", "float": "number", "string": "text", "bool": "true or false", "tuple": "list",
    "frozen_set": "list", "list": "list", "dict": "mapping", "dataclass": "mapping",
    "int_from_float": "whole number",
}  # fmt: skip
_GIVEN = {bool: "truth value", int: "number", float: "number", str: "text", list: "list", dict: "mapping"}


def read_mapping(path: Path, *, what: str, error: type[RsnError]) -> dict[str, Any]:
    """Parse a YAML file that holds a mapping; raises `error` for anything else, which calls the file `what`."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise error(f"{path}: not valid YAML ({' '.join(str(problem).split())})") from problem
    if not isinstance(document, dict):
        raise error(f"{path}: {what} is a YAML mapping of settings")
    return document


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        AnnotationError: it is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AnnotationError(f"{path}: there is no such file") from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # RecursionError: deeply nested brackets
        raise AnnotationError(f"{path}: not valid JSON ({error})") from error


def validated(kind: type[T], document: dict[str, Any], *, path: Path | str, error: type[RsnError]) -> T:
    """Convert a document to a dataclass, which refuses unknown keys if its `__pydantic_config__` says so.

    Raises:
        error: a key is unknown or missing, or a value invalid; the message names the first four problems.
    """
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as problem:
        raise error(f"{path}: {_describe(problem, kind)}") from problem


def from_json(kind: type[T], text: str) -> T:
    """Convert a JSON text to a dataclass, without converting values to other types.

    Raises:
        ValueError: it is not JSON, or as `validated`.
    """
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as problem:
        raise ValueError(_describe(problem, kind)) from problem


def _describe(error: ValidationError, kind: type) -> str:
    problems = error.errors(include_url=False)
    more = len(problems) - _MAX_PROBLEMS
    described = [_describe_problem(problem, kind) for problem in problems[:_MAX_PROBLEMS]]
    return "; ".join(described) + (f"; and {more} more" if more > 0 else "")


def _describe_problem(problem: ErrorDetails, kind: type) -> str:
    what, location, value = problem["type"], problem["loc"], problem["input"]
    key = _quoted(".".join(map(str, location)))
    if what == "json_invalid":
        return "not valid JSON"
    if what == "unexpected_keyword_argument":
        known = dict(_keys(kind))
        nearest = get_close_matches(str(location[-1]), known, n=1)
        return f"Unknown key: {key}." + (f" Did you mean '{known[nearest[0]]}'?" if nearest else "")
    if what == "missing":
        if isinstance(location[-1], int):
            array = _quoted(".".join(map(str, location[:-1])))
            return f"Invalid length of {array}: expected more than {location[-1]} values"
        return f"Missing key: {key}"
    if what == "value_error":  # from __post_init__, whose message names the key
        return str(problem["ctx"]["error"])
    expected = _TYPES.get(what.removesuffix("_type").removesuffix("_parsing"))
    if expected:
        given = "nothing" if value is None else f"{_GIVEN.get(type(value), 'value')} {shortened(value)}"
        subject = f"Invalid type for {key}" if location else "Invalid type"
        return f"{subject}: expected {expected}, got {given}"
    reason = problem["msg"].removeprefix("Input should be ")
    return f"Invalid value for {key}: expected {reason}, got {shortened(value)}"


def _keys(kind: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, dotted name) of every key of a dataclass and of those inside it; the outer ones come last."""
    if not is_dataclass(kind):
        for part in get_args(kind):
            yield from _keys(part, prefix)
        return
    hints = get_type_hints(kind)
    for field in fields(kind):
        yield from _keys(hints[field.name], f"{prefix}{field.name}.")
    yield from ((field.name, f"{prefix}{field.name}") for field in fields(kind))


def _quoted(key: str) -> str:
    return repr(key if len(key) <= _MAX_KEY_LENGTH else f"{key[:_MAX_KEY_LENGTH]}...")
