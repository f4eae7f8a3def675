"""rsn data: check a dataset, and show it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.convert_labels import Convert
from rsn.cli.label_images import Label
from rsn.cli.overrides import Overrides, flatten_overrides
from rsn.cli.progress import info, track
from rsn.errors import RsnError


@dataclass(frozen=True)
class Check:
    """Check COCO-keypoints annotations and their images; exit status 1 if there are errors."""

    annotations: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS")]
    """COCO-keypoints JSON."""
    images: Path
    """Folder of the images."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file; needed if the annotations do not name their keypoints."""
    sample: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of images to open, chosen by --seed (default: all). Annotations are always all checked."""
    seed: int = 0
    """Seed of the choice of images."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the report to, with the ids of all issues."""

    def run(self) -> int:
        """Print the report; exit status 1 if there are errors."""
        from rsn.data.checks import check_dataset
        from rsn.io.files import atomic_write, check_writable
        from rsn.skeletons import Skeleton

        if self.json:
            check_writable(self.json)
        report = check_dataset(
            self.annotations,
            self.images,
            Skeleton.from_file(self.skeleton) if self.skeleton else None,
            sample=self.sample,
            seed=self.seed,
            track=lambda items, total: track(items, total=total, unit="image"),
        )
        print(report.table())
        if self.json:
            atomic_write(self.json, (json.dumps(report.to_dict(), indent=1) + "\n").encode())
        return 1 if report.errors else 0


@dataclass(frozen=True)
class Preview:
    """Show a dataset, or the training data of a recipe, as one HTML page.

    For a dataset: the issues that `rsn data check` finds, and images with their keypoints. For a recipe (.yaml): the
    same for each of its datasets, and augmented crops with their target heatmaps; with --output NAME.png only those.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS|RECIPE")]
    """Annotations (JSON, or MPII's .mat), or a recipe (.yaml)."""
    images: Path | None = None
    """Folder of the images of the annotations."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file; needed if the annotations do not name their keypoints."""
    set: Overrides = ()
    """Settings of the recipe to change, as in rsn train."""
    output: Path = Path("out/preview.html")
    """Page to write, or image (.png, .jpg)."""
    people: int = 24
    """Number of images and of crops to show."""
    seed: int = 0
    """Seed of the choice of images and people, and of the augmentation."""

    def run(self) -> int:
        """Write the page; issues of the data are shown in it and are no error."""
        is_recipe, is_page = self.source.suffix in (".yaml", ".yml"), self.output.suffix == ".html"
        if not is_recipe and (self.images is None or not is_page):
            raise RsnError(
                f"{self.source}: annotations need --images FOLDER, and a page as output (--output NAME.html); recipes"
                " end in .yaml"
            )
        if is_recipe and (self.images or self.skeleton):
            raise RsnError(
                f"{self.source}: a recipe contains its images and skeletons; change them with --set, not with --images"
                " or --skeleton"
            )
        from rsn.io.files import atomic_write, check_writable
        from rsn.io.images import write_image
        from rsn.preview import dataset_page, draw_crops, recipe_page
        from rsn.training.recipe import DatasetConfig, read_recipe

        check_writable(self.output)
        if is_recipe:
            recipe = read_recipe(self.source, flatten_overrides(self.set))
            if not is_page:
                write_image(self.output, draw_crops(recipe, people=self.people, seed=self.seed))
            else:
                page = recipe_page(self.source.name, recipe, people=self.people, seed=self.seed)
                atomic_write(self.output, page)
        else:
            assert self.images is not None
            source = DatasetConfig(self.source, self.images, self.skeleton)
            atomic_write(self.output, dataset_page(source, people=self.people, seed=self.seed))
        info(f"wrote {self.output}")
        return 0


@dataclass(frozen=True)
class Data:
    """Check, show and convert datasets."""

    action: tyro.conf.OmitArgPrefixes[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[Check, tyro.conf.subcommand("check")]
            | Annotated[Preview, tyro.conf.subcommand("preview")]
            | Annotated[Convert, tyro.conf.subcommand("convert")]
            | Annotated[Label, tyro.conf.subcommand("label")]
        ]
    ]
    """What to do."""

    def run(self) -> int:
        """Run the chosen subcommand."""
        return self.action.run()
