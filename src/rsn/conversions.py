"""Results as the objects of other libraries."""

from typing import TYPE_CHECKING, Any

import numpy as np

from rsn.errors import MissingDependencyError
from rsn.skeletons import Skeleton

if TYPE_CHECKING:
    from rsn.results import PoseResult


def to_pandas(result: "PoseResult") -> Any:
    """See `PoseResult.to_pandas`."""
    try:
        import pandas
    except ImportError as error:
        raise MissingDependencyError("to_pandas needs pandas: pip install pandas") from error

    rows = [
        [person.track_id, person.score, *person.bbox, *np.column_stack([person.keypoints, person.scores]).flat, *std]
        for person, std in zip(result, result.std, strict=True)
    ]
    return pandas.DataFrame(rows, columns=table_columns(result.skeleton)).astype({"track_id": "Int64"})


def to_supervision(result: "PoseResult") -> Any:
    """See `PoseResult.to_supervision`."""
    try:
        import supervision

        return supervision.KeyPoints(
            xy=result.keypoints.astype(np.float32),
            class_id=np.zeros(len(result), int),
            keypoint_confidence=result.scores.astype(np.float32),
            detection_confidence=result.person_scores.astype(np.float32),
        )
    except (ImportError, TypeError) as error:
        raise MissingDependencyError(
            "to_supervision needs supervision 0.29 or newer: pip install 'supervision>=0.29'"
        ) from error


def table_columns(skeleton: Skeleton) -> list[str]:
    """The columns of a table with one row per person, see `PoseResult.to_pandas`."""
    names = skeleton.keypoint_names
    keypoints = [f"{name}_{column}" for name in names for column in ("x", "y", "score")]
    errors = [f"{name}_std" for name in names]
    return ["track_id", "score", "x", "y", "width", "height", *keypoints, *errors]
