"""rsn finetune: adapt trained weights to keypoints of one's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.overrides import Overrides, flatten_overrides
from rsn.cli.progress import info


@dataclass(frozen=True)
class Finetune:
    """Adapt trained weights to your own keypoints: one command from labels to weights, metrics and a page of results.

    Heads are taken from the weights by keypoint name. A tenth of the images is held out for validation.
    """

    annotations: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS")]
    """A COCO-keypoints file. `rsn data convert` writes one from the labels of other tools."""
    images: Path
    """The folder of the images."""
    pretrained: Annotated[str, tyro.conf.arg(name="from", metavar="MODEL")] = "rsn18.starter"
    """The weights to start from: a name, a file or a third-party checkpoint."""
    output: Path = Path("runs/finetune")
    """The folder for weights, metrics, logs and sample images."""
    val: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Validation labels, instead of a tenth of the images."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Describes the skeleton, if the annotations do not."""
    set: Overrides = ()
    """Settings of the recipe to change: optimization.steps=2000."""
    save_recipe: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Write the recipe that is used, for `rsn train`."""
    resume: bool = False
    """Continue from the last checkpoint in the output folder."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.extras import require

        require("lightning", "hotcoco", extra="train", feature="fine-tuning")
        from rsn.io.files import atomic_write, check_writable
        from rsn.training.finetuning import finetuning_recipe
        from rsn.training.folder import check_unused
        from rsn.training.recipe import write_recipe
        from rsn.training.run import train

        if self.save_recipe is not None:
            check_writable(self.save_recipe)
        if not self.resume:
            check_unused(self.output)  # before the labels in it are replaced
        recipe = finetuning_recipe(
            self.annotations,
            self.images,
            self.output,
            pretrained=self.pretrained,
            validation=self.val,
            skeleton=self.skeleton,
            overrides=flatten_overrides(self.set),
        )
        if self.save_recipe is not None:
            atomic_write(self.save_recipe, write_recipe(recipe).encode())
        best = train(recipe, resume=self.resume)
        info(f"the best weights are {best}, samples are in {best.parent / 'samples.jpg'}")
        info(f"use them with: rsn predict IMAGE --model {best} (with --boxes whole if they are not of people)")
        return 0
