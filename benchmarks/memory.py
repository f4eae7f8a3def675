"""Measure the peak memory of `rsn predict` on few and on many images.

python benchmarks/memory.py IMAGES --output benchmarks/memory.csv
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from folder import link_images
from rsn.benchmark import machine
from rsn.io.images import find_images
from side_by_side import command, write


def main() -> None:
    """Run the command for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of images, which are repeated if there are too few")
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 140, 400])
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        paths = find_images([options.images])
        for count in options.counts:
            images = link_images(paths, count, Path(name, str(count)))
            peak = peak_of([sys.executable, "-m", "rsn", "predict", str(images), "--output", f"{name}/out"])
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
