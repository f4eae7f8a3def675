"""Train the starter's recipe on 4,000 crops from the weights in the package, and measure them with other weights.

    python benchmarks/short_training.py recipes/starter/rsn18.yaml --set output=runs/short [--weights FILE ...]

Prints AP and mean OKS on the recipe's validation set (labeled boxes, no flip test) of the weights in the package, of
the run, and of further files of the same network, such as those that another trainer made from the same start with as
many crops. Half of the steps have crops of 128x96, half of 256x192, so that the gains of the last layers change.
"""

import argparse
from pathlib import Path

from rsn.training.recipe import read_recipe
from rsn.training.run import PoseValidation, read_people, train
from rsn.weights.loading import load_model, load_weights
from rsn.weights.metadata import ModelMetadata
from rsn.weights.sources import load_metadata

START = "rsn18.starter"
SHORT = (
    f"pretrained={START}",
    "stages=[{input_size: [128, 96], share: 0.5, batch_size: 32}, {input_size: [256, 192], share: 0.5}]",
    "optimization.batch_size=18",
    "optimization.steps=160",
    "optimization.warmup_steps=20",
    "val_interval=80",
)


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="files to measure, too")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the recipe")
    options = parser.parse_args()
    recipe = read_recipe(options.recipe, (*SHORT, *options.set))
    validate = PoseValidation(recipe.validation, read_people(recipe.validation))
    train(recipe)
    crops = sum(interval.batch_size for interval in recipe.intervals()) * recipe.val_interval
    print(f"| weights | AP | mean OKS |\n|---|---|---|\n{row(START, START, validate)}")
    print(row(f"after {crops} crops of the recipe", recipe.output / "last.safetensors", validate))
    for path in options.weights:
        print(row(str(path), path, validate))


def row(name: str, weights: str | Path, validate: PoseValidation) -> str:
    """A row of the table. Weights of other trainers have no metadata, and get those of the start."""
    metadata = load_metadata(START)
    assert isinstance(metadata, ModelMetadata)
    network = load_model(START).network
    load_weights(network, weights)
    metrics = validate(network.eval(), metadata, "cpu").metrics
    return f"| {name} | {100 * metrics['ap']:.1f} | {metrics['mean_oks']:.3f} |"


if __name__ == "__main__":
    main()
