"""Write two public-domain photos of people, which scikit-image and matplotlib bring along, into a folder.

Usage: python scripts/demo_photos.py FOLDER
"""

import shutil
import sys
from pathlib import Path

from matplotlib.cbook import get_sample_data
from skimage.data import astronaut

from rsn.images import write_image


def main(folder: Path) -> None:
    """Save astronaut.png (Eileen Collins) and grace_hopper.jpg, both photos of the US government."""
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / "astronaut.png", astronaut())
    shutil.copy(get_sample_data("grace_hopper.jpg", asfileobj=False), folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/demo_photos.py FOLDER")
    main(Path(sys.argv[1]))
