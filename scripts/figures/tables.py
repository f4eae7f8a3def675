"""What was measured, as tables of a page."""

Table = list[list[str]]  # the first row is the header


def as_markdown(table: Table) -> str:
    """The table as it stands in a page."""
    header, *rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
