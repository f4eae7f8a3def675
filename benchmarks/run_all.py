"""Run all side-by-side benchmarks, into benchmarks/speed/, and one more into benchmarks/.

    python benchmarks/run_all.py --labels val2017_labels.npz

Afterwards `python scripts/draw_figures.py` updates the figure and the tables of docs/speed.md. If one benchmark fails,
the others still run.
"""

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
STEPS = ("forward", "decode", "targets_and_loss", "training_samples", "train_step", "oks_nms")


def main() -> int:
    """Return exit status 0 if all ran and all results agreed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", help="input of coco_ap.py, which is skipped without it")
    options = parser.parse_args()
    runs = [[f"{step}.py", "--output", f"speed/{step}.csv"] for step in STEPS]
    runs.append(["branch_widths.py", "--output", "branch_widths.csv"])
    if options.labels:
        labels = str(Path(options.labels).resolve())
        runs.append(["coco_ap.py", labels, "--output", "speed/coco_ap.csv"])
    failed = 0
    for script, *words in runs:
        print(f"\n{script}", flush=True)
        failed += subprocess.run([sys.executable, script, *words], cwd=FOLDER, check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
