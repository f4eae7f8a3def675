"""A file of labeled people, whichever form it has."""

from pathlib import Path

from rsn.data.annotations import PoseDataset
from rsn.data.coco import read_coco
from rsn.data.mpii import is_mpii, read_mpii, with_ground_truth
from rsn.errors import AnnotationError
from rsn.skeleton_files import read_skeleton


def read_people_file(
    annotations: Path, images: Path, *, skeleton: Path | None = None, head_sizes: Path | None = None
) -> PoseDataset:
    """Read people with keypoints; the form tells the reader: a .mat or a JSON list is MPII's, a JSON mapping COCO's.

    skeleton: a file that describes the skeleton, where a COCO file does not, see `read_skeleton`.
    head_sizes: the gt_valid.mat that goes with an MPII list, see `with_ground_truth`.

    Raises:
        AnnotationError: as `read_coco`, `read_mpii` and `with_ground_truth`; head sizes for a COCO file, a skeleton for
            MPII's.
    """
    if is_mpii(annotations):
        if skeleton is not None:
            raise AnnotationError(
                f"{annotations}: is MPII's, whose skeleton is known; {skeleton} goes with COCO's form only"
            )
        people = read_mpii(annotations, images)
        return people if head_sizes is None else with_ground_truth(people, head_sizes)
    if head_sizes is not None:
        raise AnnotationError(
            f"{annotations}: is COCO's; head sizes ({head_sizes}) go with MPII's lists only"
        )
    return read_coco(annotations, images, read_skeleton(skeleton) if skeleton else None)
