"""rsn score: how good results in a file are, whoever made them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.progress import info


@dataclass(frozen=True)
class Score:
    """Measure a file of COCO keypoint results, ours or another tool's, and print the ten COCO metrics."""

    results: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULTS")]
    """JSON: a list of image_id, category_id, keypoints, score."""
    annotations: Path
    """COCO-keypoints JSON."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file, where the annotations do not name their keypoints."""
    parts: bool = False
    """Also print the metrics of each part of the body."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the metrics to."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.extras import require

        require("hotcoco", extra="train", feature="COCO evaluation")
        from rsn.data.categories import resolve_skeleton
        from rsn.data.coco import read_json
        from rsn.errors import AnnotationError
        from rsn.evaluation.body_parts import measure
        from rsn.evaluation.coco import GroundTruth
        from rsn.io.files import check_writable, write_atomically
        from rsn.results import to_raw
        from rsn.skeleton_files import read_skeleton
        from rsn.skeletons import with_sigmas

        if self.json:
            check_writable(self.json)
        document, results = read_json(self.annotations), read_json(self.results)
        if not isinstance(results, list):
            raise AnnotationError(f"{self.results}: not a list of COCO keypoint results")
        info(f"people: {len(results)} of {self.results}")
        given = read_skeleton(self.skeleton) if self.skeleton else None
        skeleton = resolve_skeleton(document, str(self.annotations), given).skeleton
        truth = GroundTruth.from_coco(document, with_sigmas(skeleton), str(self.annotations))
        table, metrics = measure(truth, [to_raw(entry) for entry in results], parts=self.parts)
        print(table)
        if self.json:
            about = {"results": str(self.results), "annotations": str(self.annotations)}
            write_atomically(self.json, (json.dumps(about | metrics, indent=1) + "\n").encode())
        return 0
