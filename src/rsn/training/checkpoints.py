"""The state that a run resumes from: two checkpoints, so that a write that fails costs one round and not the run."""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from rsn.errors import RecipeError, RsnWarning

STATE = "last.ckpt"
STATE_BEFORE = "previous.ckpt"


class TwoStates(TorchCheckpointIO):
    """Writes a checkpoint beside the last one, which is kept as the previous one once the new one is complete.

    At every moment a complete one is there to resume from: a last one that is damaged is not kept. Where a checkpoint
    cannot be written (a full disk), the run goes on with those it has and says so. Lightning's own writer does neither:
    it copies from the folder for temporary files, so that a run that is killed may leave half a file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        try:
            with open(part, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if _is_complete(path):
                path.replace(path.with_name(STATE_BEFORE))
            part.replace(path)
        except (OSError, RuntimeError) as error:  # the latter is PyTorch's for a disk that is full
            part.unlink(missing_ok=True)
            _warn(
                f"{path}: could not be written ({error}); the run goes on, and resumes from the state before"
            )


def folder_of(trainer: Trainer) -> Path:
    """Where a run writes its states."""
    keeper = trainer.checkpoint_callback
    assert isinstance(keeper, ModelCheckpoint)
    assert keeper.dirpath is not None
    return Path(keeper.dirpath)


def last_state(folder: Path) -> Path | None:
    """The last checkpoint of a run that is there, complete or not; None where there is none."""
    return next(iter(_states(folder)), None)


def usable_state(folder: Path) -> Path:
    """The last checkpoint of a run that is complete.

    Raises:
        RecipeError: there is none.
    """
    states = _states(folder)
    if not states:
        raise RecipeError(f"{folder / STATE}: there is nothing to resume from; train without --resume")
    for state in states:
        if _is_complete(state):
            return state
        _warn(f"{state}: is damaged and cannot be resumed from; looking for the state before it")
    raise RecipeError(
        f"{folder}: every state in it is damaged; train anew, from last.safetensors as pretrained"
    )


def _states(folder: Path) -> list[Path]:
    """Those that are there, the last one first."""
    return [folder / name for name in (STATE, STATE_BEFORE) if (folder / name).is_file()]


def _is_complete(state: Path) -> bool:
    """Whether a checkpoint is there as it was written. PyTorch alone does not look at its checksums."""
    try:
        with zipfile.ZipFile(state) as archive:
            if archive.testzip() is not None:
                return False
        torch.load(state, map_location="cpu", mmap=True, weights_only=True)  # mapped: tensors are not read
    except Exception:  # bytes that are no checkpoint can fail in either reader in any way
        return False
    return True


def _warn(sentence: str) -> None:
    warnings.warn(sentence, RsnWarning, stacklevel=2)  # ours: those of Lightning, the caller, are not shown
