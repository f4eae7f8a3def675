"""The `rsn` command: one small module per subcommand; the work is done by the other packages."""

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
from rsn.cli.finetune import Finetune
from rsn.cli.models import Models
from rsn.cli.predict import Predict
from rsn.cli.progress import info
from rsn.cli.report import Report
from rsn.cli.score import Score
from rsn.cli.serve import Serve
from rsn.cli.submit import Submit
from rsn.cli.train import Train
from rsn.errors import RsnError, RsnWarning

DESCRIPTION = "Multi-person 2-D pose estimation with Residual Steps Networks (RSN)."

_Subcommand = (
    Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Score, tyro.conf.subcommand("score")]
    | Annotated[Submit, tyro.conf.subcommand("submit")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Finetune, tyro.conf.subcommand("finetune")]
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
    """Parse arguments; exits with a usage error if they are invalid."""
    return tyro.cli(
        _Subcommand,
        prog="rsn",
        args=arguments,
        description=DESCRIPTION,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def main() -> None:
    """Run the command line; expected errors are one sentence on stderr and exit status 1."""
    if sys.argv[1:] == ["--version"]:
        print(f"rsn {__version__}")
        return
    subcommand = parse(sys.argv[1:])
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about harmless irregularities of image files
    try:
        sys.exit(subcommand.run())
    except RsnError as error:
        print(f"rsn: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("rsn: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of stdout has ended, such as `head`
        sys.stderr.close()
        sys.exit(141)


_default_showwarning = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print an RsnWarning as one sentence, and other warnings as Python does."""
    if issubclass(category, RsnWarning):
        info(str(message))
    else:
        _default_showwarning(message, category, *where)
