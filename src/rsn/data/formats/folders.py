"""Write a folder of labels and copies of its images, atomically."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from rsn.data.formats.labels import LabeledImage
from rsn.errors import RsnError
from rsn.io.files import make_folder


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes `path` at the end of the block; an error deletes it.

    Raises:
        RsnError: `path` exists and is not an empty folder, or cannot be written.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise RsnError(f"cannot write the folder {path}: it exists and is not empty; name another")
    make_folder(path.parent)
    temporary = path.parent / f".{token_hex(8)}.part"
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rmdir()
        temporary.rename(path)
    except OSError as error:
        raise RsnError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_image(image: LabeledImage, target: Path) -> None:
    """Copy the file of an image, if it is known, and create the folder of the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if image.path is not None:
        shutil.copyfile(image.path, target)
