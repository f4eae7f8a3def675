"""MPII's single-person test: predictions in the file that its evaluation reads, pred_keypoints_mpii.mat.

As MPII's evaluation page has it, the file holds `pred`: the struct array `annolist` of all test images
(`RELEASE.annolist(RELEASE.img_train == 0)`), in which the people of `RELEASE.single_person` have got their keypoints as
`pred(image).annorect(person).annopoints.point(k)` with x and y. Known only from evaluation code in public: there must
be as many images as in the release, people keep their place and their objpos, by which they are counted, and keypoints
are found by their id, 0 to 15. That coordinates count from 1, as in the labels, is our reading: we found no page
that says it. The test labels are not public, so no file of ours was ever scored.
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
from rsn.evaluation.mpii import match_results
from rsn.inference.box_checks import usable_boxes
from rsn.io.images import read_image
from rsn.skeletons import MPII_16

Place = tuple[int, int]  # the number of a test image and of a person in it, from 0


@dataclass(frozen=True, eq=False)
class SinglePersonTest:
    """The test images of the release, in its order, and where in them the people are that are asked for."""

    images: tuple[ReleaseImage, ...]
    places: dict[PersonAnnotation, Place]

    @classmethod
    def read(cls, release: Path, images: Path) -> "SinglePersonTest":
        """Read the official release; `images` is the folder of the images.

        Raises:
            AnnotationError: as `read_release`; no test people in it; missing images; a box outside its image.
            ImageError: one cannot be read.
        """
        tested = tuple(image for image in read_release(release) if not image.train)
        places: dict[PersonAnnotation, Place] = {}
        for number, image in enumerate(tested):
            for rect in image.single & set(range(len(image.rects))):
                person = image.person(rect, images)
                if person is not None:  # MPII's evaluation passes over people without objpos, too
                    places[person] = number, rect
        if not places:
            raise AnnotationError(f"{release}: holds no people of the single-person test")
        check_files({person.image.path for person in places}, images)
        with ThreadPoolExecutor(cpu_count()) as threads:
            outside = [
                person for person, fits in zip(places, threads.map(_fits, places), strict=True) if not fits
            ]
        if outside:
            raise AnnotationError(
                f"{release}: {len(outside)} of {len(places)} people have no box inside their image, first someone in"
                f" {outside[0].image.id}; take the images of the release at their full size"
            )
        return cls(tested, places)

    @property
    def people(self) -> PoseDataset:
        """Those who are asked for."""
        return PoseDataset(MPII_16, tuple(self.places))


def write_mpii_submission(path: Path, test: SinglePersonTest, results: Iterable[dict[str, Any]]) -> None:
    """Write the file for MPII's single-person test.

    results: COCO results of all people of the test, as `evaluation.prediction.predict_poses` gives them.

    Raises:
        AnnotationError: a person of the test is missing, or a keypoint is not finite. Nothing is written then.
        RsnError: the file cannot be written.
    """
    found = to_mpii(match_results(test.people.people, results))
    if not np.isfinite(found).all():
        raise AnnotationError("a keypoint was found at something that is not a finite number")
    keypoints = dict(zip(test.places.values(), found, strict=True))
    write_mat(
        path,
        pred=struct_array(
            [_image(n, image, keypoints) for n, image in enumerate(test.images)], ("image", "annorect")
        ),
    )


def _fits(person: PersonAnnotation) -> bool:
    size = read_image(person.image.path).shape[:2]
    return bool(usable_boxes(person.box[None], np.ones(1), size)[0].all())


def _image(number: int, image: ReleaseImage, keypoints: dict[Place, NDArray[np.float64]]) -> dict[str, Any]:
    people = [_rect(fields, keypoints.get((number, rect))) for rect, fields in enumerate(image.rects)]
    return {
        "image": struct_array([{"name": image.name}], ("name",)),
        "annorect": struct_array(people, ("scale", "objpos", "annopoints")),
    }


def _rect(fields: dict[str, Any], keypoints: NDArray[np.float64] | None) -> dict[str, Any]:
    position = structs(fields.get("objpos"))
    return {
        "scale": fields.get("scale", EMPTY),
        "objpos": struct_array(position, ("x", "y")) if position else EMPTY,
        "annopoints": EMPTY
        if keypoints is None
        else struct_array([{"point": _points(keypoints)}], ("point",)),
    }


def _points(keypoints: NDArray[np.float64]) -> NDArray[np.void]:
    rows = [{"x": x, "y": y, "id": float(number)} for number, (x, y) in enumerate(keypoints)]
    return struct_array(rows, ("x", "y", "id"))
