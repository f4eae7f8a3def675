"""The `rsn` command: one small module a subcommand; what a subcommand does is written elsewhere."""

import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from rsn import __version__
from rsn.cli.benchmark import Benchmark
from rsn.cli.bulk import Bulk
from rsn.cli.data import Data
from rsn.cli.doctor import Doctor
from rsn.cli.evaluate import Evaluate
from rsn.cli.export import Export
from rsn.cli.models import Models
from rsn.cli.predict import Predict
from rsn.cli.report import Report
from rsn.cli.score import Score
from rsn.cli.serve import Serve
from rsn.cli.submit import Submit
from rsn.cli.train import Train
from rsn.errors import RsnError, RsnWarning

DESCRIPTION = "People in images and where their keypoints are: Residual Steps Networks (RSN)."

_Subcommand = (
    Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Score, tyro.conf.subcommand("score")]
    | Annotated[Submit, tyro.conf.subcommand("submit")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Bulk, tyro.conf.subcommand("bulk")]
    | Annotated[Models, tyro.conf.subcommand("models")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Benchmark, tyro.conf.subcommand("benchmark")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)


def parse(arguments: Sequence[str]) -> _Subcommand:
    """What is asked for; who asks for what there is not is told so, and SystemExit is raised."""
    return tyro.cli(
        _Subcommand,
        prog="rsn",
        args=arguments,
        description=DESCRIPTION,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit status 1."""
    if sys.argv[1:] == ["--version"]:
        print(f"rsn {__version__}")
        return
    subcommand = parse(sys.argv[1:])
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        sys.exit(subcommand.run())
    except RsnError as error:
        print(f"rsn: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("rsn: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        sys.stderr.close()
        sys.exit(141)


_show_any_warning = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Our own warnings are one sentence for the user; others are shown as Python does."""
    if issubclass(category, RsnWarning):
        print(f"rsn: {message}", file=sys.stderr)
    else:
        _show_any_warning(message, category, *where)
