"""rsn submit: results as evaluation servers want them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.model_options import ModelOptions, SelectionOptions
from rsn.cli.progress import info


@dataclass(frozen=True, kw_only=True)
class CocoTestdev(SelectionOptions):
    """Find the people of COCO's test-dev and write the zip that its evaluation server takes."""

    annotations: Path
    """image_info_test-dev2017.json, which lists the images."""
    images: Path
    """Folder of the images, test2017."""
    boxes: Path
    """Where people are: JSON of COCO detections."""
    algorithm: str = "rsn"
    """Name of what is submitted: letters, digits, dashes."""
    output: Path = Path("out")
    """Folder for the zip, which then has the name that the server wants; or OUT.zip."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.data.annotations import PoseDataset
        from rsn.data.coco import image_files, read_json
        from rsn.distributed import process_group
        from rsn.errors import AnnotationError
        from rsn.evaluation.coco_submission import PERSON, check_testdev, testdev_name, write_testdev
        from rsn.evaluation.prediction import check_same_skeleton
        from rsn.io.files import check_writable
        from rsn.skeletons import COCO_17

        name = f"{testdev_name(self.algorithm)}.zip"
        path = self.output if self.output.suffix == ".zip" else self.output / name
        check_writable(path)
        estimator = self.estimator()
        check_same_skeleton(estimator, PoseDataset(COCO_17, ()))
        listed = image_files(read_json(self.annotations), self.annotations, self.images)
        boxes = self.read_boxes(self.boxes, listed.values(), self.images)
        info(f"boxes: {self.boxes}; {boxes.summary()}")
        with process_group() as processes:
            found, _ = self.estimate(estimator, boxes.images, skeleton=COCO_17, category_id=PERSON)
        if processes.rank > 0:
            return 0
        if not found:
            raise AnnotationError(
                f"{self.boxes}: has no box that can be looked at; there is nothing to submit"
            )
        write_testdev(found, path, algorithm=self.algorithm)
        info(f"{check_testdev(path, listed).summary()}; test-dev has {len(listed)} images")
        if path.name != name:
            info(f"the server wants the zip to be named {name}; rename it before you send it")
        return 0


@dataclass(frozen=True, kw_only=True)
class MpiiTest(ModelOptions):
    """Find the people of MPII's single-person test and write the .mat that its evaluation reads."""

    annotations: Path
    """The official release, mpii_human_pose_v1_u12_1.mat."""
    images: Path
    """Folder of the images."""
    output: Path = Path("pred_keypoints_mpii.mat")
    """File to write; MPII asks for this name."""

    def run(self) -> int:
        """Exit status 0; what is wrong is raised."""
        from rsn.distributed import process_group
        from rsn.evaluation.mpii_submission import SinglePersonTest, write_mpii_submission
        from rsn.evaluation.prediction import check_same_skeleton, labeled_boxes
        from rsn.io.files import check_writable

        check_writable(self.output)
        estimator = self.estimator()
        test = SinglePersonTest.read(self.annotations, self.images)
        check_same_skeleton(estimator, test.people)
        with process_group() as processes:
            found, _ = self.estimate(estimator, labeled_boxes(test.people), skeleton=test.people.skeleton)
        if processes.rank == 0:
            write_mpii_submission(self.output, test, found)
            info(f"{self.output}: {len(test.places)} people in {len(test.images)} test images")
        return 0


@dataclass(frozen=True)
class Check:
    """Look at every number of a zip for COCO's test-dev as the evaluation server would."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.zip")]
    """The zip."""
    annotations: Path | None = None
    """image_info_test-dev2017.json, to check the image ids as well."""

    def run(self) -> int:
        """Exit status 0 where it is in order; what is wrong is raised."""
        from rsn.data.coco import image_files, read_json
        from rsn.evaluation.coco_submission import check_testdev

        images = None
        if self.annotations:
            images = image_files(read_json(self.annotations), self.annotations, Path())
        info(check_testdev(self.file, images).summary())
        return 0


@dataclass(frozen=True)
class Submit:
    """Write and check results for evaluation servers."""

    what: tyro.conf.OmitArgPrefixes[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[CocoTestdev, tyro.conf.subcommand("coco-testdev")]
            | Annotated[MpiiTest, tyro.conf.subcommand("mpii-test")]
            | Annotated[Check, tyro.conf.subcommand("check")]
        ]
    ]
    """What to do."""

    def run(self) -> int:
        """Exit status of what was asked for."""
        return self.what.run()
