"""Runs told in tables, curves and images: one in its own folder, several side by side."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from rsn.io.files import make_folder, write_atomically
from rsn.training.html_page import html_image, html_page, html_table
from rsn.training.run_log import Run
from rsn.weights.published import published_results

CURVES, SAMPLES, REPORT = "curves.png", "samples.jpg", "report.md"
_SHOWN = {
    "ap": ("AP", "AP50", "AP75", "APM", "APL", "AR"),
    "pckh": ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean"),
}  # by the figure that chooses a run's weights
_PUBLISHED_ON = {"ap": "COCO val", "pckh": "MPII val"}
_PANELS = (
    ("train/loss", "loss", "log"),
    ("validation/{headline}", "validation AP (MPII: PCKh)", "linear"),
    ("train/learning_rate", "learning rate", "linear"),
)


_LEGEND = """\
AP and AR, or PCKh@0.5 by keypoint for MPII, in percent, of the best round, with the labeled boxes of the run's
validation set; published rows are the authors', of all of COCO val2017 with detected boxes or of MPII's
validation set. Hours include validation; waiting is the share of training time without data."""


def write_run_report(folder: Path) -> Path:
    """Write curves.png and report.md into the folder of a run; returns the path of the latter.

    Raises:
        RecipeError: there is no run in it, or none with a finished round.
    """
    run = Run.read(folder)
    environment = {
        "device": "an unknown device",
        "processes": "?",
        "python": "?",
        "rsn": "?",
    } | run.environment
    libraries = environment.get("libraries", {})
    versions = ", ".join(f"{name} {number}" for name, number in libraries.items() if number)
    ran = (
        f"Ran on {environment['device']} ({environment['processes']} processes), Python {environment['python']},"
        f" {versions}; rsn {environment['rsn']}, revision {environment.get('revision') or 'unknown'}.\n"
        f"Validated on `{run.recipe.validation.annotations.name}`."
    )
    parts = [f"# {folder.name}", _markdown([run]), _LEGEND, ran, f"![Curves]({CURVES})"]
    if (folder / SAMPLES).is_file():
        parts.append(f"![What the best weights so far find in images of the validation set]({SAMPLES})")
    write_atomically(folder / CURVES, draw_curves([run]))
    write_atomically(folder / REPORT, ("\n\n".join(parts) + "\n").encode())
    return folder / REPORT


def write_comparison(folders: Sequence[Path], output: Path) -> Path:
    """Write report.md, report.html (one self-contained page) and curves.png about several runs.

    Returns:
        The path of report.html.

    Raises:
        RecipeError: a folder without a run, or without a finished round.
    """
    runs = [Run.read(folder) for folder in folders]
    curves = draw_curves(runs)
    header, *rows = _cells(runs)
    page = [
        html_table(header, rows),
        f"<p>{escape(_LEGEND)}</p>",
        html_image(curves, "png", "Loss, validation AP and learning rate"),
    ]
    for run in runs:
        name, samples = run.folder.name, run.folder / SAMPLES
        if samples.is_file():
            image = html_image(samples.read_bytes(), "jpeg", f"People that {name} found")
            page.append(f"<h2>{escape(name)}</h2>{image}")
    text = "\n\n".join(["# Training runs", _markdown(runs), _LEGEND, f"![Curves]({CURVES})\n"])
    make_folder(output)
    write_atomically(output / CURVES, curves)
    write_atomically(output / REPORT, text.encode())
    write_atomically(output / "report.html", html_page("Training runs", page).encode())
    return output / "report.html"


def draw_curves(runs: Sequence[Run]) -> bytes:
    """Loss, validation AP and learning rate of runs over the steps, as the bytes of a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(_PANELS), 3.4), layout="constrained")
    for axes, (name, title, scale) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for run in runs:
            entries = run.series.get(name.format(headline=run.headline), [])
            axes.plot(*zip(*entries, strict=True), label=run.folder.name) if entries else None
        axes.set(title=title, xlabel="step", yscale=scale)
        axes.grid(alpha=0.3)
    if len(runs) > 1:
        figure.axes[1].legend()
    data = BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return data.getvalue()


def _markdown(runs: Sequence[Run]) -> str:
    header, *rows = _cells(runs)
    return "\n".join(
        f"| {' | '.join(row)} |" for row in (header, ["---", *["---:"] * (len(header) - 1)], *rows)
    )


def _cells(runs: Sequence[Run]) -> Iterator[list[str]]:
    """The header, and a row for each run, followed by those that were published of its network."""
    shown = list(dict.fromkeys(name for run in runs for name in _SHOWN[run.headline]))
    yield ["run", "model", "input", "steps", *shown, "hours", "crops/s", "waiting"]
    for run in runs:
        height, width = run.recipe.input_size
        metrics = run.best.as_dict()
        yield [
            run.folder.name, run.recipe.model, f"{height}x{width}",
            f"{run.steps:,} x {run.recipe.optimization.batch_size}",
            *(_percent(metrics.get(name, -1.0)) for name in shown),
            f"{run.seconds / 3600:.2f}", f"{run.mean('train/crops_per_second'):.0f}",
            f"{run.mean('train/waiting_for_data'):.0%}",
        ]  # fmt: skip
        for row in published_results(run.recipe.model):
            if row.dataset != _PUBLISHED_ON[run.headline] or row.input_size != run.recipe.input_size:
                continue
            yield [
                f"published: {row.source}", run.recipe.model, f"{height}x{width}", "",
                *(_percent(row.metrics.get(name, -100.0) / 100) for name in shown), "", "", "",
            ]  # fmt: skip


def _percent(figure: float) -> str:
    return "-" if figure < 0 or math.isnan(figure) else f"{100 * figure:.1f}"
