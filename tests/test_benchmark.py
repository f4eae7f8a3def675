"""rsn benchmark: all stages, several backends, and errors."""

import json
import subprocess
import sys
import time
from pathlib import Path

from command import rsn
from rsn.benchmark import milliseconds, take_turns


def test_backends_are_compared_stage_by_stage(random_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "times.json"
    done = rsn(
        "benchmark", random_weights, "--backend", "torch", "torch-bf16", "--device", "cpu",
        "--batch-size", 3, "--repeats", 2, "--flip", "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    for stage in ("read", "crop", "decode"):
        assert 0 < document[stage]["median"] <= document[stage]["p90"] <= document[stage]["p99"]
        assert stage in done.stdout
    assert [entry["backend"] for entry in document["backends"]] == ["torch", "torch-bf16"]
    for entry in document["backends"]:
        assert entry["throughput"] * entry["infer"]["median"] > 999
        assert entry["backend"] in done.stdout
    assert document["peak_memory"] > 50
    assert "peak memory" in done.stdout


def test_benchmark_runs_without_the_module_resource(random_weights: Path) -> None:
    """Windows does not have it."""
    options = ["benchmark", str(random_weights), "--backend", "torch", "--device", "cpu", "--repeats", "1"]
    code = f"import sys; sys.modules['resource'] = None; from rsn.cli import main; sys.argv += {options}; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "peak memory: unknown" in done.stdout


def test_benchmark_rejects_zero_repeats(random_weights: Path) -> None:
    done = rsn("benchmark", random_weights, "--repeats", 0)
    assert done.returncode == 1
    assert done.stderr == "rsn: Invalid batch size and repeats: expected at least 1, got 32 and 0\n"


def test_tasks_take_turns_and_warm_up_runs_are_not_counted() -> None:
    order: list[str] = []
    times = take_turns({"a": lambda: order.append("a"), "b": lambda: (order.append("b"), time.sleep(0.01))}, 3)
    assert "".join(order) == "ab" * 5
    assert [len(seconds) for seconds in times.values()] == [3, 3]
    assert min(times["b"]) >= 0.01  # as long as it sleeps, or longer


def test_times_are_milliseconds_per_item() -> None:
    assert milliseconds([0.02, 0.04, 0.06], 2)["median"] == 20
