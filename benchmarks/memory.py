"""Measure the peak memory of `rsn predict` on few and on many images.

python benchmarks/memory.py --output benchmarks/memory.csv
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from images import boxes, write_images
from rsn.benchmark import machine
from side_by_side import command, write

PEOPLE = 3  # per image


def main() -> None:
    """Run the command for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[50, 200, 400])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_images(folder / "images", max(options.images))
        listed = folder / "boxes.json"
        listed.write_text(json.dumps({path.name: boxes(PEOPLE) for path in paths}))
        for count in options.images:
            rsn = [sys.executable, "-m", "rsn", "predict", *map(str, paths[:count]), "--boxes", str(listed)]
            peak = peak_of([*rsn, "--backend", options.backend, "--output", str(folder / "out")])
            rows.append({"images": count, "peak_mib": round(peak), "machine": machine(), "command": command()})
            print(f"{count} images: {peak:.0f} MiB", flush=True)
    write(rows, options.output)


def peak_of(words: list[str]) -> float:
    """Return the peak memory of a program in MiB (Linux)."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words[:4])} ... failed")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
