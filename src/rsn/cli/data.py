"""rsn data: look at what a network is trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rsn.cli.progress import say
from rsn.cli.settings import Settings, flat


@dataclass(frozen=True)
class Data:
    """Look at what a network is trained on: `preview` draws augmented crops, their joints and target heatmaps."""

    what: Annotated[Literal["preview"], tyro.conf.Positional]
    """What to do."""
    recipe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """A YAML file, such as those in recipes/."""
    set: Settings = ()
    """Settings to change, as in rsn train."""
    output: Path = Path("out/preview.png")
    """Picture to write."""
    people: int = 24
    """Crops to draw."""
    seed: int = 0
    """Chooses the people and the augmentations."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.extras import require

        require("pydantic", extra="train", for_what="reading a recipe")
        from rsn.files import make_folder
        from rsn.images import write_image
        from rsn.training.preview import draw_preview
        from rsn.training.recipe import read_recipe

        picture = draw_preview(read_recipe(self.recipe, flat(self.set)), people=self.people, seed=self.seed)
        make_folder(self.output.parent)
        write_image(self.output, picture)
        say(f"wrote {self.output}")
        return 0
