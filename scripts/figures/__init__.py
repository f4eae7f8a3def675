"""The metrics of docs/how-it-works.md and docs/coordinates.md, drawn from the real modules and the real codec."""
