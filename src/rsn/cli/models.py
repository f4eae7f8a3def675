"""rsn models: networks and weights."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.progress import info


@dataclass(frozen=True)
class List:
    """List all networks with size, published AP and weights."""

    def run(self) -> int:
        """Exit status 0."""
        from rsn.weights.model_table import all_networks

        print(all_networks())
        return 0


@dataclass(frozen=True)
class Show:
    """Describe a network, published weights, or a weights file."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")]
    """For example rsn50, rsn50.openmmlab, or a weights file."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.weights.model_table import describe

        print(describe(self.name))
        return 0


@dataclass(frozen=True)
class Pull:
    """Download published weights into the cache ($RSN_CACHE, else ~/.cache/rsn) for use without a network."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME...")]
    """For example rsn50.openmmlab."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.errors import RsnError
        from rsn.weights.sources import weights_path

        if not self.names:
            raise RsnError("Invalid names: expected at least one of the weights that rsn models list shows")
        for name in self.names:
            info(f"{name} is {weights_path(name)}")
        return 0


@dataclass(frozen=True)
class Convert:
    """Convert a third-party checkpoint to a safetensors file with model metadata."""

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """Checkpoint of the RSN or MSPN repository, of MMPose or of rsn; or a weights name."""
    output: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT.safetensors")]
    """File to write."""
    skeleton: Annotated[str | None, tyro.conf.arg(metavar="coco_17|mpii_16|...")] = None
    """Skeleton of the model; by default COCO's for 17 keypoints and MPII's for 16."""
    input_size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="HEIGHT WIDTH")] = None
    """Input size of the training; by default 256 192, for MPII's skeleton 256 256."""
    half: bool = False
    """Store half precision, which halves the size."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.skeletons import find_skeleton
        from rsn.weights.loading import convert_weights

        skeleton = find_skeleton(self.skeleton) if self.skeleton else None
        metadata = convert_weights(
            self.checkpoint, self.output, skeleton=skeleton, input_size=self.input_size, half=self.half
        )
        info(f"wrote {self.output}: {metadata.summary()}")
        return 0


@dataclass(frozen=True)
class Models:
    """List, describe, download and convert networks and weights."""

    what: tyro.conf.OmitArgPrefixes[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[List, tyro.conf.subcommand("list")]
            | Annotated[Show, tyro.conf.subcommand("show")]
            | Annotated[Pull, tyro.conf.subcommand("pull")]
            | Annotated[Convert, tyro.conf.subcommand("convert")]
        ]
    ] = field(default_factory=List)
    """What to do."""

    def run(self) -> int:
        """Exit status of the chosen subcommand."""
        return self.what.run()
