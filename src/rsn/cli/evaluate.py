"""rsn evaluate: how good a model is on labelled people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rsn.cli.progress import say, track
from rsn.inference.engines import Choice


@dataclass(frozen=True)
class Evaluate:
    """Measure a model, or several averaged, on a labelled data set and print the ten COCO figures."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")]
    """Names of weights, or weights files; of several the heatmaps are averaged (an ensemble)."""
    annotations: Path
    """COCO-keypoints JSON."""
    images: Path
    """Folder of the pictures that the annotations name."""
    dataset: Literal["coco"] = "coco"
    """Form of the annotations."""
    boxes: Annotated[str, tyro.conf.arg(metavar="gt|FILE")] = "gt"
    """Where people are: `gt` takes the labelled boxes, FILE is JSON of COCO detections."""
    weights: tuple[float, ...] = ()
    """How much each model of an ensemble counts; equally by default."""
    one_at_a_time: bool = False
    """Hold only one model of an ensemble in memory."""
    flip: bool = False
    """Average with the mirrored crops (flip test)."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the figures to."""
    results: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the predicted joints to, as COCO results."""
    engine: Choice = "auto"
    """What runs the networks; auto takes the fastest that is installed and as exact as PyTorch."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA where there is one."""
    batch_size: int = 32
    """People that the network looks at together."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.extras import require

        require("hotcoco", extra="train", for_what="COCO evaluation")
        from rsn.datasets.coco import read_coco
        from rsn.evaluation.coco import evaluate_keypoints
        from rsn.evaluation.run import check_same_body, estimate_boxes, labelled_boxes, read_boxes
        from rsn.files import make_folder, write_atomically
        from rsn.inference.estimator import PoseEstimator

        for file in (self.json, self.results):
            if file is not None:
                make_folder(file.parent)
        estimator = PoseEstimator(
            self.models,
            weights=self.weights or None,
            one_at_a_time=self.one_at_a_time,
            engine=self.engine,
            device=self.device,
            flip=self.flip,
            batch_size=self.batch_size,
        )
        if self.engine == "auto":
            say(f"engine: {estimator.engine} on {estimator.device}")
        people = read_coco(self.annotations, self.images)
        check_same_body(estimator, people)
        if self.boxes == "gt":
            people = people.with_joints()
            boxes = labelled_boxes(people)
            say(f"boxes: the labelled ones; {people.summary()}")
        else:
            boxes = read_boxes(Path(self.boxes), people)
            count = sum(len(image.boxes) for image in boxes)
            say(f"boxes: {count} of {self.boxes}, in {len(boxes)} images")
        found = [
            entry
            for entries in track(estimate_boxes(estimator, boxes), total=len(boxes), unit="image")
            for entry in entries
        ]
        scores = evaluate_keypoints(self.annotations, found, estimator.card.skeleton)
        print(scores.table())
        if self.results:
            write_atomically(self.results, json.dumps(found).encode())
        if self.json:
            document = {
                "models": self.models, "annotations": str(self.annotations), "boxes": self.boxes, "flip": self.flip,
                "input_size": estimator.card.input_size, "figures": scores.as_dict(),
            }  # fmt: skip
            write_atomically(self.json, (json.dumps(document, indent=1) + "\n").encode())
        return 0
