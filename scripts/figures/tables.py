"""Tables of the documentation pages."""

Table = list[list[str]]  # the first row is the header


def as_markdown(table: Table) -> str:
    """Return the table as Markdown."""
    header, *rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
