"""Turn trained weights into weights of the package: half precision, measured figures and notes in the card.

Usage: python scripts/ship_weights.py RUN/best.safetensors FIGURES.json NAME "notes"

FIGURES.json is what `rsn evaluate ... --json` wrote for the same file, or scripts/measure_detector.py for a detector.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from rsn.networks.weights import load_model, save_weights

PACKAGE = Path(__file__).parents[1] / "src" / "rsn" / "weights"


def main(trained: Path, figures: Path, name: str, notes: str) -> None:
    """Write src/rsn/weights/NAME.safetensors."""
    network, card = load_model(trained)
    measured = json.loads(figures.read_text())["figures"]
    rounded = {figure: round(value, 4) for figure, value in measured.items()}
    PACKAGE.mkdir(exist_ok=True)
    save_weights(
        PACKAGE / f"{name}.safetensors", network, replace(card, figures=rounded, notes=notes), half=True
    )


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
