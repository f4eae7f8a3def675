"""HTML pages that hold their styles and images themselves and run nothing."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; border-radius: 6px; }
li, figcaption { overflow-wrap: anywhere; }
li > b::after { content: " "; }
small, figcaption span { display: block; opacity: .8; }
.error { color: #e0403a; } .suspicion { color: #c07000; } .note { color: #4a86c8; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
figure { margin: 0; }"""


def html_page(title: str, parts: Iterable[str]) -> str:
    """A page of these parts, which are HTML, under a title, which is text."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return "\n".join(
        [
            f'<!doctype html><html lang="en">{head}<title>{escape(title)}</title><style>{_STYLE}</style>',
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</html>\n",
        ]
    )


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_image(data: bytes, kind: str, what: str) -> str:
    """An image whose bytes ("png", "jpeg") are in the page; `what` describes it."""
    encoded = b64encode(data).decode()
    return f'<img loading="lazy" alt="{escape(what)}" src="data:image/{kind};base64,{encoded}">'
