"""rsn submit: predictions for the tests whose labels nobody has, in the files that their servers read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rsn.cli.progress import say, track


@dataclass(frozen=True)
class Submit:
    """Write predictions for a test server: `mpii-test`, the .mat that MPII's single-person evaluation reads."""

    what: Annotated[Literal["mpii-test"], tyro.conf.Positional]
    """For which test."""
    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")]
    """Names of weights, or weights files; of several the heatmaps are averaged (an ensemble)."""
    annotations: Path
    """The official release, mpii_human_pose_v1_u12_1.mat."""
    images: Path
    """Folder of the pictures."""
    output: Path = Path("pred_keypoints_mpii.mat")
    """File to write; MPII asks for this name."""
    flip: bool = False
    """Average with the mirrored crops (flip test)."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA where there is one."""
    batch_size: int = 32
    """People that the network looks at together."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.evaluation.mpii_submission import SinglePersonTest, write_mpii_submission
        from rsn.evaluation.run import check_same_body, estimate_boxes, labelled_boxes
        from rsn.files import make_folder
        from rsn.inference.estimator import PoseEstimator

        make_folder(self.output.parent)
        estimator = PoseEstimator(self.models, device=self.device, flip=self.flip, batch_size=self.batch_size)
        test = SinglePersonTest.read(self.annotations, self.images)
        check_same_body(estimator, test.people)
        boxes = labelled_boxes(test.people)
        found = [
            entry
            for entries in track(estimate_boxes(estimator, boxes), total=len(boxes), unit="image")
            for entry in entries
        ]
        write_mpii_submission(self.output, test, found)
        say(
            f"wrote {self.output}: {len(test.places)} people in {len(test.images)} test images; read back and checked"
        )
        return 0
