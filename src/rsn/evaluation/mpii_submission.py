"""MPII's single-person test: predictions in the file that its evaluation reads, pred_keypoints_mpii.mat.

MPII's evaluation page describes the file: `pred` is the struct array `annolist` of all test images
(`RELEASE.annolist(RELEASE.img_train == 0)`), and the people in `RELEASE.single_person` have their keypoints in
`pred(image).annorect(person).annopoints.point(k)` as x and y. From public evaluation code: all test images must be
present, people keep their index and objpos, and keypoints are found by their id, 0 to 15. We assume that coordinates
count from 1, as in the annotations. The test annotations are not public, so no file was ever scored.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data.annotations import PersonAnnotation, PoseDataset
from rsn.data.image_files import check_files
from rsn.data.matlab import EMPTY, struct_array, structs, write_mat
from rsn.data.mpii import ReleaseImage, read_release, to_mpii
from rsn.errors import AnnotationError
from rsn.evaluation.matching import match_results
from rsn.inference.box_checks import usable_boxes
from rsn.io.images import read_image
from rsn.skeletons import MPII_16

Index = tuple[int, int]  # of a test image and of a person in it, from 0


@dataclass(frozen=True, eq=False)
class SinglePersonTest:
    """The test images of the release, in its order, and the index of each person of the single-person test."""

    images: tuple[ReleaseImage, ...]
    indices: dict[PersonAnnotation, Index]

    @classmethod
    def read(cls, release: Path, images: Path) -> "SinglePersonTest":
        """Read the official release; `images` is the folder of the images.

        Raises:
            AnnotationError: as `read_release`; no test people; missing images; a box outside its image.
            ImageError: an image cannot be read.
        """
        test_images = tuple(image for image in read_release(release) if not image.train)
        indices: dict[PersonAnnotation, Index] = {}
        for number, image in enumerate(test_images):
            for rect in image.single & set(range(len(image.rects))):
                person = image.person(rect, images)
                if person is not None:  # MPII's evaluation skips people without objpos, too
                    indices[person] = number, rect
        if not indices:
            raise AnnotationError(f"{release}: contains no people of the single-person test")
        check_files({person.image.path for person in indices}, images)
        with ThreadPoolExecutor(cpu_count()) as threads:
            inside = threads.map(_is_inside, indices)
            outside = [person for person, fits in zip(indices, inside, strict=True) if not fits]
        if outside:
            raise AnnotationError(
                f"{release}: the boxes of {len(outside)} of {len(indices)} people lie outside their image, the first in"
                f" {outside[0].image.id}; take the images of the release at their full size"
            )
        return cls(test_images, indices)

    @property
    def people(self) -> PoseDataset:
        """The people to predict."""
        return PoseDataset(MPII_16, tuple(self.indices))


def write_mpii_submission(path: Path, test: SinglePersonTest, results: Iterable[dict[str, Any]]) -> None:
    """Write the file for MPII's single-person test.

    results: COCO results of all people of the test, as `evaluation.prediction.predict_poses` returns them.

    Raises:
        AnnotationError: a person of the test has no result, or a keypoint is not finite. Nothing is written then.
        RsnError: the file cannot be written.
    """
    found = to_mpii(match_results(test.people.people, results, keypoints=len(MPII_16)))
    if not np.isfinite(found).all():
        raise AnnotationError("Invalid keypoints: a coordinate is not a finite number")
    keypoints = dict(zip(test.indices.values(), found, strict=True))
    images = [_image(number, image, keypoints) for number, image in enumerate(test.images)]
    write_mat(path, pred=struct_array(images, ("image", "annorect")))


def _is_inside(person: PersonAnnotation) -> bool:
    size = read_image(person.image.path).shape[:2]
    return bool(usable_boxes(person.box[None], np.ones(1), size)[0].all())


def _image(number: int, image: ReleaseImage, keypoints: dict[Index, NDArray[np.float64]]) -> dict[str, Any]:
    people = [_rect(fields, keypoints.get((number, rect))) for rect, fields in enumerate(image.rects)]
    return {
        "image": struct_array([{"name": image.name}], ("name",)),
        "annorect": struct_array(people, ("scale", "objpos", "annopoints")),
    }


def _rect(fields: dict[str, Any], keypoints: NDArray[np.float64] | None) -> dict[str, Any]:
    position = structs(fields.get("objpos"))
    rect = {
        "scale": fields.get("scale", EMPTY),
        "objpos": struct_array(position, ("x", "y")) if position else EMPTY,
        "annopoints": EMPTY,
    }
    if keypoints is not None:
        points = [{"x": x, "y": y, "id": float(number)} for number, (x, y) in enumerate(keypoints)]
        rect["annopoints"] = struct_array([{"point": struct_array(points, ("x", "y", "id"))}], ("point",))
    return rect
