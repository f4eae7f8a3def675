"""rsn data: what is in a data set, and what is wrong with it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.overrides import Overrides, flatten_overrides
from rsn.cli.progress import info, track
from rsn.errors import RsnError


@dataclass(frozen=True)
class Check:
    """Look for mistakes in COCO-keypoints annotations and their images; exit status 1 where there are errors."""

    annotations: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS")]
    """COCO-keypoints JSON."""
    images: Path
    """Folder of the images that the annotations name."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file, where the annotations do not name their keypoints."""
    sample: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Open only so many images, chosen by --seed; annotations are all looked at."""
    seed: int = 0
    """Chooses the images."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the report to, with the ids of all that was found."""

    def run(self) -> int:
        """Exit status 0, or 1 where there are errors."""
        from rsn.data.checks import check_dataset
        from rsn.io.files import check_writable, write_atomically
        from rsn.skeleton_files import read_skeleton

        if self.json:
            check_writable(self.json)
        report = check_dataset(
            self.annotations,
            self.images,
            read_skeleton(self.skeleton) if self.skeleton else None,
            sample=self.sample,
            seed=self.seed,
            track=lambda items, total: track(items, total=total, unit="image"),
        )
        print(report.table())
        if self.json:
            write_atomically(self.json, (json.dumps(report.as_dict(), indent=1) + "\n").encode())
        return 1 if report.errors else 0


@dataclass(frozen=True)
class Preview:
    """Show a data set, or what a recipe trains on, as one HTML page with images.

    Of a data set: what `rsn data check` finds, and images with the keypoints in them. Of a recipe (.yaml): the same of
    each of its sets, and augmented crops with their target heatmaps; with --output NAME.png those crops alone.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS|RECIPE")]
    """Annotations as JSON or MPII's .mat, or a recipe such as those in recipes/."""
    images: Path | None = None
    """Folder of the images that the annotations name; a recipe knows it."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file, where the annotations do not name their keypoints; a recipe knows it."""
    set: Overrides = ()
    """Settings of a recipe to change, as in rsn train."""
    output: Path = Path("out/preview.html")
    """Page to write, or image (.png, .jpg)."""
    people: int = 24
    """Images and crops to show."""
    seed: int = 0
    """Chooses the images, the people and the augmentations."""

    def run(self) -> int:
        """Exit status 0; what is wrong with how it was asked is raised, what is wrong with the data is shown."""
        is_recipe, is_page = self.source.suffix in (".yaml", ".yml"), self.output.suffix == ".html"
        if not is_recipe and (self.images is None or not is_page):
            raise RsnError(
                f"{self.source}: annotations are shown on a page (--output NAME.html) and need --images FOLDER;"
                " a recipe ends in .yaml"
            )
        if is_recipe and (self.images or self.skeleton):
            raise RsnError(
                f"{self.source}: a recipe names images and skeletons itself; change them with --set"
            )
        from rsn.extras import require

        require("pydantic", extra="train", feature="reading a recipe")
        from rsn.io.files import check_writable, write_atomically
        from rsn.io.images import write_image
        from rsn.training.preview_page import dataset_page, recipe_page
        from rsn.training.recipe import DatasetConfig, read_recipe

        check_writable(self.output)
        if is_recipe:
            recipe = read_recipe(self.source, flatten_overrides(self.set))
            if not is_page:
                from rsn.training.preview import draw_preview

                write_image(self.output, draw_preview(recipe, people=self.people, seed=self.seed))
            else:
                page = recipe_page(self.source.name, recipe, people=self.people, seed=self.seed)
                write_atomically(self.output, page)
        else:
            assert self.images is not None
            source = DatasetConfig(self.source, self.images, self.skeleton)
            write_atomically(self.output, dataset_page(source, people=self.people, seed=self.seed))
        info(f"wrote {self.output}")
        return 0


@dataclass(frozen=True)
class Data:
    """Look at what a network is trained on, and for what is wrong with it."""

    what: tyro.conf.OmitArgPrefixes[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[Check, tyro.conf.subcommand("check")]
            | Annotated[Preview, tyro.conf.subcommand("preview")]
        ]
    ]
    """What to do."""

    def run(self) -> int:
        """Exit status of what was asked for."""
        return self.what.run()
