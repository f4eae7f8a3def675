"""rsn submit: results in the format of evaluation servers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rsn.cli.model_options import ModelOptions, SelectionOptions
from rsn.cli.progress import info, track_images
from rsn.distributed import is_main_process


@dataclass(frozen=True, kw_only=True)
class CocoTestdev(SelectionOptions):
    """Predict the people of COCO test-dev and write the zip for its evaluation server."""

    annotations: Path
    """image_info_test-dev2017.json, which lists the images."""
    images: Path
    """Folder of the images, test2017."""
    boxes: Path
    """Boxes of the people: JSON of COCO detections."""
    algorithm: str = "rsn"
    """Name of the submission: letters, digits, dashes."""
    output: Path = Path("out")
    """Folder for the zip, which gets the name that the server expects; or OUT.zip."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.evaluation import coco_submission as submission
        from rsn.io.files import check_writable

        path = submission.testdev_path(self.output, self.algorithm)
        check_writable(path)
        results = submission.predict_testdev(
            self.estimator(), self.annotations, self.images, self.boxes, report=info, track=track_images,
            **self.selection(),
        )  # fmt: skip
        if is_main_process():
            submission.write_testdev(results, path, algorithm=self.algorithm)
            images = submission.read_image_list(self.annotations)
            info(f"{submission.check_testdev(path, images).summary()}; test-dev has {len(images)} images")
            name = submission.testdev_path(Path(), self.algorithm).name
            if path.name != name:
                info(f"the server expects the name {name}; rename the zip before you upload it")
        return 0


@dataclass(frozen=True, kw_only=True)
class MpiiTest(ModelOptions):
    """Predict the people of MPII's single-person test and write the .mat that its evaluation reads."""

    annotations: Path
    """The official release, mpii_human_pose_v1_u12_1.mat."""
    images: Path
    """Folder of the images."""
    output: Path = Path("pred_keypoints_mpii.mat")
    """File to write; MPII asks for this name."""

    def run(self) -> int:
        """Exit status 0; errors are raised."""
        from rsn.evaluation.mpii_submission import SinglePersonTest, write_mpii_submission
        from rsn.evaluation.prediction import DatasetBoxes, predict_dataset
        from rsn.io.files import check_writable

        check_writable(self.output)
        estimator = self.estimator()
        test = SinglePersonTest.read(self.annotations, self.images)
        boxes = DatasetBoxes.from_annotations(test.people)
        results = predict_dataset(estimator, boxes, test.people.skeleton, report=info, track=track_images)
        if is_main_process():
            write_mpii_submission(self.output, test, results)
            info(f"{self.output}: {len(test.indices)} people in {len(test.images)} test images")
        return 0


@dataclass(frozen=True)
class Check:
    """Check a zip for COCO test-dev as the evaluation server would."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.zip")]
    """The zip."""
    annotations: Path | None = None
    """image_info_test-dev2017.json, to check the image ids too."""

    def run(self) -> int:
        """Exit status 0 if the zip is valid; errors are raised."""
        from rsn.evaluation.coco_submission import check_testdev, read_image_list

        images = read_image_list(self.annotations) if self.annotations else None
        info(check_testdev(self.file, images).summary())
        return 0


@dataclass(frozen=True)
class Submit:
    """Write and check result files for evaluation servers."""

    what: tyro.conf.OmitArgPrefixes[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[CocoTestdev, tyro.conf.subcommand("coco-testdev")]
            | Annotated[MpiiTest, tyro.conf.subcommand("mpii-test")]
            | Annotated[Check, tyro.conf.subcommand("check")]
        ]
    ]
    """What to do."""

    def run(self) -> int:
        """Exit status of the chosen subcommand."""
        return self.what.run()
