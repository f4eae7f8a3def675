"""The precision that is chosen for a processor."""

from pathlib import Path

import pytest
import torch

from rsn.errors import RsnWarning
from rsn.training import precision
from rsn.training.precision import multiplies_bf16, resolve_precision


@pytest.fixture
def cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that describes the CPU of a machine without a GPU."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 avx512_vnni", "bf16-mixed"),
        ("flags\t\t: fpu sse2 amx_bf16 amx_tile", "bf16-mixed"),
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_vnni", "32-true"),
        ("Features\t: fp asimd bf16 i8mm", "bf16-mixed"),
        ("Features\t: fp asimd", "32-true"),
    ],
)
def test_auto_is_bf16_where_the_cpu_multiplies_it(cpu: Path, line: str, chosen: str) -> None:
    cpu.write_text(f"processor\t: 0\n{line}\n", encoding="utf-8")
    assert resolve_precision("auto") == chosen


def test_explicit_bf16_warns_where_it_is_emulated(cpu: Path) -> None:
    cpu.write_text("flags\t\t: fpu avx2\n", encoding="utf-8")
    with pytest.warns(RsnWarning, match="emulates them, which made a training step ten times slower; choose auto"):
        assert resolve_precision("bf16-mixed") == "bf16-mixed"
    assert resolve_precision("32-true") == "32-true"


def test_other_systems_ask_pytorch_for_the_instructions_of_the_cpu(cpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64", "avx512_bf16": True}, raising=False
    )
    assert multiplies_bf16(torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False)
    assert not multiplies_bf16(torch.device("cpu"))
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # an old version of PyTorch
    assert not multiplies_bf16(torch.device("cpu"))
