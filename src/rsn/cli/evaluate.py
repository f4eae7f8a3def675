"""rsn evaluate: metrics of a model on an annotated dataset."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.model_options import SelectionOptions
from rsn.cli.progress import info, track_images
from rsn.distributed import is_main_process
from rsn.io.files import atomic_write, check_writable

DATASETS = "coco|mpii|crowdpose|ochuman|aic|wholebody|humanart|jhmdb"


@dataclass(frozen=True, kw_only=True)
class Evaluate(SelectionOptions):
    """Evaluate a model, or an ensemble, on an annotated dataset, by the metric of that dataset."""

    annotations: Path
    """COCO-keypoints JSON, or the file of the dataset; for MPII its .mat release or a JSON list (valid.json)."""
    images: Path
    """Folder of the images that the annotations name."""
    dataset: Annotated[str, tyro.conf.arg(metavar=DATASETS)] = "coco"
    """The dataset, which decides the format of the annotations and the metrics; `coco` also for your own JSON."""
    head_sizes: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """For an MPII list: the gt_valid.mat that belongs to it and contains the head boxes."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file, if the COCO-keypoints JSON does not name its keypoints."""
    boxes: Annotated[str, tyro.conf.arg(metavar="gt|FILE")] = "gt"
    """Boxes of the people: `gt` takes the annotated ones, FILE is JSON of COCO detections."""
    parts: bool = False
    """Also print the metrics of each body part."""
    common_keypoints: bool = False
    """Evaluate only the keypoints that model and dataset share; not comparable with published metrics."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the metrics to."""
    results: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the predicted keypoints to, as COCO results; `rsn score` reads it."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.evaluation import evaluate, find_benchmark

        find_benchmark(self.dataset)
        for file in filter(None, (self.json, self.results)):
            check_writable(file)
        estimator = self.estimator()
        evaluation = evaluate(
            estimator,
            self.annotations,
            self.images,
            dataset=self.dataset,
            boxes=self.boxes,
            parts=self.parts,
            common_keypoints=self.common_keypoints,
            skeleton=self.skeleton,
            head_sizes=self.head_sizes,
            report=info,
            track=track_images,
            **self.selection(),
        )
        if not is_main_process():
            return 0
        print(evaluation.table())
        if self.results:
            atomic_write(self.results, json.dumps(evaluation.results).encode())
        if self.json:
            options = {
                "models": self.models, "dataset": self.dataset, "annotations": str(self.annotations),
                "boxes": self.boxes, "common_keypoints": self.common_keypoints, "flip": self.flip,
                "input_size": estimator.metadata.input_size, **self.selection(),
            }  # fmt: skip
            document = options | evaluation.as_dict()
            atomic_write(self.json, (json.dumps(document, indent=1) + "\n").encode())
        return 0
