"""The checkpoints that a run resumes from: the last two, so that a write that fails costs one validation interval."""

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

LAST_CHECKPOINT = "last.ckpt"
PREVIOUS_CHECKPOINT = "previous.ckpt"


class RotatingCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, renames the last one to previous.ckpt, then the new one to last.ckpt.

    There is a complete checkpoint at every moment; a damaged last one does not replace the previous one. If a
    checkpoint cannot be written (a full disk), the run continues with a warning. Lightning's own writer copies from
    the folder of temporary files, so that a run that is killed may leave half a file.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        try:
            with open(part, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if _is_complete(path):
                path.replace(path.with_name(PREVIOUS_CHECKPOINT))
            part.replace(path)
        except (OSError, RuntimeError) as error:  # PyTorch raises the latter for a full disk
            part.unlink(missing_ok=True)
            _warn(f"cannot write {path} ({error}); training continues, and would resume from the checkpoint before")


def checkpoint_folder(trainer: Trainer) -> Path:
    """The folder that a run writes its checkpoints to."""
    callback = trainer.checkpoint_callback
    assert isinstance(callback, ModelCheckpoint)
    assert callback.dirpath is not None
    return Path(callback.dirpath)


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint in a run's folder, complete or not; None if there is none."""
    return next(iter(_checkpoints(folder)), None)


def last_complete_checkpoint(folder: Path) -> Path:
    """The last complete checkpoint in a run's folder.

    Raises:
        RecipeError: there is none.
    """
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        raise RecipeError(f"{folder / LAST_CHECKPOINT}: there is nothing to resume; train without --resume")
    for path in checkpoints:
        if _is_complete(path):
            return path
        _warn(f"{path} is damaged, so the checkpoint before it is tried")
    raise RecipeError(f"every checkpoint in {folder} is damaged; start a new run with pretrained: last.safetensors")


def _checkpoints(folder: Path) -> list[Path]:
    """The existing ones, newest first."""
    paths = (folder / name for name in (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT))
    return [path for path in paths if path.is_file()]


def _is_complete(path: Path) -> bool:
    """Whether a checkpoint is as it was written. `torch.load` does not verify checksums, so zipfile does."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)  # mapped: tensors are not read
    except Exception:  # damaged bytes can fail in either reader in any way
        return False
    return True


def _warn(sentence: str) -> None:
    warnings.warn(sentence, RsnWarning, stacklevel=2)  # rsn's: warnings of Lightning, the caller, are hidden
