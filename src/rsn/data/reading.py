"""Read annotated persons from a file of any supported format."""

from pathlib import Path

from rsn.data.annotations import PoseDataset
from rsn.data.coco import read_coco
from rsn.data.mpii import is_mpii, read_mpii, with_ground_truth
from rsn.errors import AnnotationError
from rsn.skeletons import Skeleton


def read_dataset(
    annotations: Path, images: Path, *, skeleton: Path | None = None, head_sizes: Path | None = None
) -> PoseDataset:
    """Read annotated persons; a .mat file or a JSON list is read as MPII, a JSON mapping as COCO.

    skeleton: a skeleton file, if a COCO file does not describe its skeleton, see `Skeleton.from_file`.
    head_sizes: the gt_valid.mat that belongs to an MPII list, see `with_ground_truth`.

    Raises:
        AnnotationError: as `read_coco`, `read_mpii` and `with_ground_truth`; `head_sizes` with a COCO file, or
            `skeleton` with an MPII file.
    """
    if is_mpii(annotations):
        if skeleton is not None:
            raise AnnotationError(
                f"{annotations}: an MPII file, whose skeleton is known; {skeleton} is only for COCO files"
            )
        dataset = read_mpii(annotations, images)
        return dataset if head_sizes is None else with_ground_truth(dataset, head_sizes)
    if head_sizes is not None:
        raise AnnotationError(f"{annotations}: a COCO file; head sizes ({head_sizes}) are only for MPII lists")
    return read_coco(annotations, images, Skeleton.from_file(skeleton) if skeleton else None)
