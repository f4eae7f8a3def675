"""A file of labelled people, whichever form it has."""

from pathlib import Path

from rsn.datasets.coco import read_coco
from rsn.datasets.labelled import PoseDataset
from rsn.datasets.mpii import is_mpii, read_mpii


def read_people_file(annotations: Path, images: Path) -> PoseDataset:
    """Read people with joints; the form tells the reader: a .mat or a JSON list is MPII's, a JSON mapping COCO's.

    Raises:
        AnnotationError: as `read_coco` and `read_mpii`.
    """
    return (read_mpii if is_mpii(annotations) else read_coco)(annotations, images)
