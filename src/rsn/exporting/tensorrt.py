"""TensorRT engines, built and run by TensorRT's own program, trtexec.

An engine is made for the GPU that it is built on. We had none with TensorRT: trtexec is called as its help and its
source say, and what is tested is that, by a program that stands in for it.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from rsn.errors import DeviceError, RsnError
from rsn.inference.engines.graphs import Graph
from rsn.inference.exported import Precision

PROGRAM = "trtexec"
_BATCHES = {"min": 1, "opt": 32, "max": 256}  # crops at once, which the engine takes and is tuned for
_OUTPUTS = ("keypoints", "scores", "heatmaps")
# Types are those of the graph: float32 as it is, and float16 where its weights are.
_FLAGS: dict[Precision, str] = {"fp32": "--noTF32", "fp16": "--stronglyTyped"}


def check_trtexec(size: tuple[int, int]) -> None:
    """Refuse what needs trtexec where it is not installed.

    size: (height, width) of the crops, for the command that does the same elsewhere.

    Raises:
        DeviceError: it is not.
    """
    if shutil.which(PROGRAM) is None:
        command = [PROGRAM, "--onnx=FILE.onnx", "--saveEngine=FILE.engine", *_shapes((3, *size))]
        raise DeviceError(
            "a TensorRT engine is built on the GPU that will run it, by TensorRT's trtexec, which is not on the PATH;"
            " install TensorRT there, or export with --format onnx, without --preprocess, and run there:"
            f" {' '.join(command)}"
        )


def write_engine(onnx: Path, path: Path, one: Sequence[int], precision: Precision) -> None:
    """Build the engine of an ONNX file for this machine's GPU. one: the shape of a crop, (3, H, W).

    Raises:
        RsnError: trtexec failed.
    """
    _trtexec(f"--onnx={onnx}", f"--saveEngine={path}", *_shapes(one), _FLAGS[precision], "--skipInference")


def open_engine(path: Path) -> Graph:
    """An engine, run by trtexec once for every batch: slow, and enough to see what it answers."""

    def run(crops: Tensor) -> tuple[Tensor, ...]:
        with TemporaryDirectory() as folder:
            given, answers = Path(folder, "crops"), Path(folder, "answers.json")
            given.write_bytes(crops.contiguous().numpy().tobytes())
            _trtexec(
                f"--loadEngine={path}", f"--shapes=crops:{_by_x(crops.shape)}", f"--loadInputs=crops:{given}",
                f"--exportOutput={answers}", "--iterations=1", "--warmUp=0", "--duration=0",
            )  # fmt: skip
            found = {tensor["name"]: tensor for tensor in json.loads(answers.read_text())}
        return tuple(_tensor(found[name]) for name in _OUTPUTS if name in found)

    return Graph(run, {})


def _trtexec(*arguments: str) -> None:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in lines if "[E]" in line] or lines or ["it said nothing"]
        raise RsnError(f"{PROGRAM} failed with status {done.returncode}: {errors[0]}")


def _tensor(answer: dict[str, str | list[float]]) -> Tensor:
    """An entry of the file that --exportOutput writes: dimensions as in 2x17x64x48, and all values in a row."""
    sides = [int(side) for side in str(answer["dimensions"]).split("x")]
    return torch.tensor(answer["values"]).reshape(sides)


def _shapes(one: Sequence[int]) -> list[str]:
    return [f"--{name}Shapes=crops:{_by_x((count, *one))}" for name, count in _BATCHES.items()]


def _by_x(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
