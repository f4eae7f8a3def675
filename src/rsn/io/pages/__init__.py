"""HTML pages that contain their styles and images, and run no scripts."""

from base64 import b64encode
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_page(template: str, **values: Any) -> bytes:
    """A page from one of the templates beside this file; values are escaped."""
    return _environment().get_template(template).render(**values).encode()


def data_uri(image: bytes, kind: str) -> str:
    """The address of an image ("png", "jpeg") that is contained in the page."""
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


@cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader(__name__, "."), autoescape=True, undefined=StrictUndefined)
