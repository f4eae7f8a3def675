"""rsn evaluate: how good a model is on labeled people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rsn.cli.model_options import SelectionOptions
from rsn.cli.progress import info
from rsn.errors import RsnError
from rsn.io.files import write_atomically

if TYPE_CHECKING:
    from rsn.data.annotations import PoseDataset
    from rsn.evaluation.prediction import DatasetBoxes
    from rsn.inference.estimator import PoseEstimator


@dataclass(frozen=True, kw_only=True)
class Evaluate(SelectionOptions):
    """Measure a model, or several averaged, on a labeled data set: the ten COCO metrics, or MPII's PCKh."""

    annotations: Path
    """COCO-keypoints JSON; for MPII its .mat release or a list in JSON (valid.json)."""
    images: Path
    """Folder of the images that the annotations name."""
    dataset: Literal["coco", "mpii"] = "coco"
    """Form of the annotations, and with it what is measured."""
    head_sizes: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """For an MPII list: the gt_valid.mat that goes with it, which has the head boxes."""
    skeleton: Annotated[Path | None, tyro.conf.arg(metavar="YAML")] = None
    """Skeleton file, where COCO-keypoints JSON does not name its keypoints."""
    boxes: Annotated[str, tyro.conf.arg(metavar="gt|FILE")] = "gt"
    """Where people are: `gt` takes the labeled boxes, FILE is JSON of COCO detections."""
    parts: bool = False
    """Also print the metrics of each part of the body."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the metrics to."""
    results: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """File to write the predicted keypoints to, as COCO results; `rsn score` reads it."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.extras import require
        from rsn.io.files import check_writable

        self._check_options()
        if self.dataset == "coco":
            require("hotcoco", extra="train", feature="COCO evaluation")
        for file in (self.json, self.results):
            if file is not None:
                check_writable(file)
        measure = self._measure_pckh if self.dataset == "mpii" else self._measure_coco
        measure(self.estimator())
        return 0

    def _check_options(self) -> None:
        """Refuse options that would have no effect, or would leave people without a result that PCKh needs."""
        if self.dataset == "coco" and self.head_sizes is not None:
            raise RsnError("--head-sizes goes with MPII's lists; say --dataset mpii")
        if self.dataset == "mpii" and self.skeleton is not None:
            raise RsnError("--skeleton goes with COCO-keypoints JSON; MPII's skeleton is known")
        if self.dataset == "mpii" and (self.boxes != "gt" or self.parts or self.nms != "none"):
            raise RsnError(
                "MPII is measured by keypoint, everybody in the box of their center and scale; leave out --boxes, --parts"
                " and --nms"
            )

    def _measure_coco(self, estimator: "PoseEstimator") -> None:
        from rsn.data.coco import people_in, read_json
        from rsn.distributed import process_group
        from rsn.evaluation.body_parts import measure
        from rsn.evaluation.coco import GroundTruth
        from rsn.evaluation.prediction import check_same_skeleton
        from rsn.skeleton_files import read_skeleton
        from rsn.skeletons import with_sigmas, with_sigmas_of

        document = read_json(self.annotations)
        given = read_skeleton(self.skeleton) if self.skeleton else None
        people = people_in(document, self.annotations, self.images, given)
        check_same_skeleton(estimator, people)
        skeleton = with_sigmas_of(people.skeleton, estimator.metadata.skeleton)
        truth = GroundTruth.from_coco(document, with_sigmas(skeleton), str(self.annotations))
        boxes = self._boxes(document, people)
        info(f"boxes: {'the labeled ones' if self.boxes == 'gt' else self.boxes}; {boxes.summary()}")
        with process_group() as processes:
            found, notes = self.estimate(
                estimator, boxes.images, skeleton=skeleton, category_id=people.category_id
            )
        if processes.rank == 0:
            self._write_results(found)
            table, metrics = measure(truth, found, parts=self.parts)
            skipped = {"skipped": boxes.skipped + notes.skipped, "images_without_boxes": boxes.nobody}
            self._report(estimator, table, skipped | metrics)

    def _measure_pckh(self, estimator: "PoseEstimator") -> None:
        from rsn.data.mpii import read_mpii, with_ground_truth
        from rsn.distributed import process_group
        from rsn.evaluation.mpii import check_head_sizes, evaluate_pckh
        from rsn.evaluation.prediction import check_same_skeleton, labeled_boxes

        people = read_mpii(self.annotations, self.images)
        check_same_skeleton(estimator, people)
        if self.head_sizes is not None:
            people = with_ground_truth(people, self.head_sizes)
        people = people.filter_valid()
        check_head_sizes(people.people)
        info(f"boxes: those of the centers and scales; {people.summary()}")
        with process_group() as processes:
            found, _ = self.estimate(estimator, labeled_boxes(people), skeleton=people.skeleton)
        if processes.rank == 0:
            self._write_results(found)
            scores = evaluate_pckh(people.people, found)
            self._report(estimator, scores.table(), {"skipped": people.skipped, "metrics": scores.as_dict()})

    def _boxes(self, document: Any, people: "PoseDataset") -> "DatasetBoxes":
        from rsn.data.coco import image_files
        from rsn.evaluation.prediction import DatasetBoxes, labeled_boxes

        if self.boxes == "gt":
            known = people.filter_valid()
            return DatasetBoxes(labeled_boxes(known), known.skipped)
        files = image_files(document, self.annotations, self.images).values()
        return self.read_boxes(Path(self.boxes), files, self.images, people.category_ids)

    def _write_results(self, found: list[dict[str, Any]]) -> None:
        if self.results:
            write_atomically(self.results, json.dumps(found).encode())

    def _report(self, estimator: "PoseEstimator", table: str, metrics: dict[str, Any]) -> None:
        print(table)
        if self.json:
            about = {
                "models": self.models, "annotations": str(self.annotations), "boxes": self.boxes, "flip": self.flip,
                "input_size": estimator.metadata.input_size, "box_threshold": self.box_threshold, "nms": self.nms,
                "nms_threshold": self.nms_threshold,
            }  # fmt: skip
            write_atomically(self.json, (json.dumps(about | metrics, indent=1) + "\n").encode())
