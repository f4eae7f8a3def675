"""YAML files as typed dataclasses, and what a mistake in one gets: one sentence that names the setting."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rsn.errors import RsnError

T = TypeVar("T")


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


def validated(
    kind: type[T], document: dict[str, Any], *, path: Path, known: Mapping[str, str], error: type[RsnError]
) -> T:
    """The document as a typed dataclass.

    known: by its own name, the place of every setting, for the hint at a misspelt one.

    Raises:
        error: settings that do not exist, are missing or cannot be; all of them are named.
    """
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as problem:
        sentence = "; ".join(_problem(detail, known) for detail in problem.errors())
        raise error(f"{path}: {sentence}") from problem


def _problem(problem: ErrorDetails, known: Mapping[str, str]) -> str:
    setting = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "unexpected_keyword_argument":
        nearest = get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"there is no setting {setting}" + (f"; did you mean {known[nearest[0]]}?" if nearest else "")
    if problem["type"] == "value_error":  # from __post_init__, which names the setting itself
        return str(problem["ctx"]["error"])
    if problem["type"] == "missing":
        return f"{setting} is missing"
    return f"{setting}: {problem['msg'].lower()} (got {problem['input']!r})"
