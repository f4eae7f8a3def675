"""Seconds of commands as a user runs them: `rsn --help`, and `rsn predict` of one image with nothing and all cached.

    git worktree add /tmp/before COMMIT
    python benchmarks/startup.py IMAGE --before /tmp/before/src --output benchmarks/startup.csv

Each run is a process of its own. With --before the same commands run, in turns, with the package in another folder.
Nothing cached means that the cache of rsn is empty; the system may still have the package's files in memory.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import write

RSN = [sys.executable, "-c", "from rsn.cli import main; main()"]
NOW = Path(__file__).parents[1] / "src"
COLD = "rsn predict IMAGE, nothing cached"


def main() -> None:
    """Time the commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path, help="image with persons")
    parser.add_argument("--before", type=Path, help="folder with another version of the package rsn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="CSV to write")
    options = parser.parse_args()
    versions = {"now": NOW} | ({"before": options.before} if options.before else {})
    with tempfile.TemporaryDirectory() as folder:
        predict = ["predict", str(options.image.resolve()), "--device", "cpu", "--output", folder]
        seconds: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.repeats):
            for command, words in (("rsn --help", ["--help"]), (COLD, predict), ("rsn predict IMAGE", predict)):
                for version, source in versions.items():
                    cache = Path(folder, version)
                    if command == COLD:
                        shutil.rmtree(cache, ignore_errors=True)
                    seconds.setdefault((command, version), []).append(run(words, source, cache))
    rows = [
        {"command": command, "version": version, "seconds": f"{statistics.median(runs):.2f}", "runs": len(runs)}
        for (command, version), runs in seconds.items()
    ]
    for row in rows:
        print(row)
    write(rows, options.output)


def run(words: list[str], source: Path, cache: Path) -> float:
    """Seconds of one command with the package in the folder `source` and a cache folder of its own."""
    environment = os.environ | {"PYTHONPATH": str(source), "RSN_CACHE": str(cache)}
    start = time.perf_counter()
    subprocess.run(RSN + words, env=environment, check=True, capture_output=True, cwd=cache.parent)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
