"""The figures of docs/architecture.md and docs/coordinates.md, drawn from the real modules and the real codec."""
