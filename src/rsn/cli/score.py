"""rsn score: metrics of results in a file, from any tool."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.evaluate import DATASETS
from rsn.cli.progress import info


@dataclass(frozen=True)
class Score:
    """Evaluate a file of COCO keypoint results, from rsn or another tool, by the metric of a dataset."""

    results: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULTS")]
    """JSON: a list of entries with image_id, category_id, keypoints and score."""
    annotations: Path
    """COCO-keypoints JSON, or the file of the dataset."""
    dataset: Annotated[str, tyro.conf.arg(metavar=DATASETS)] = "coco"
    """The dataset, which decides the format of the annotations and the metrics."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file, if the annotations do not name their keypoints."""
    parts: bool = False
    """Also print the metrics of each body part."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the metrics to."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.evaluation import evaluate
        from rsn.io.files import atomic_write, check_writable

        if self.json:
            check_writable(self.json)
        evaluation = evaluate(
            self.results, self.annotations, dataset=self.dataset, parts=self.parts, skeleton=self.skeleton
        )
        info(f"people: {len(evaluation.results)} of {self.results}")
        print(evaluation.table())
        if self.json:
            files = {"results": str(self.results), "dataset": self.dataset, "annotations": str(self.annotations)}
            document = files | evaluation.as_dict()
            atomic_write(self.json, (json.dumps(document, indent=1) + "\n").encode())
        return 0
