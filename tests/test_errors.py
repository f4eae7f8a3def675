"""The errors of the package: what they are derived from, and what they say."""

import pickle

import pytest

from rsn.errors import (
    AnnotationError,
    ImageError,
    MissingDependencyError,
    RecipeError,
    RsnError,
    UnknownNameError,
)
from rsn.extras import require
from rsn.skeletons import find_skeleton


@pytest.mark.parametrize("error", [AnnotationError, ImageError, RecipeError, UnknownNameError])
def test_errors_about_arguments_are_value_errors(error: type[RsnError]) -> None:
    assert issubclass(error, RsnError)
    assert issubclass(error, ValueError)


def test_require_names_the_command_that_installs_a_missing_library() -> None:
    require("numpy", extra="train", feature="arrays")
    with pytest.raises(ImportError, match=r"dancing needs no_such_library: pip install 'rsn-pose\[dance\]'") as caught:
        require("numpy", "no_such_library", extra="dance", feature="dancing")
    assert isinstance(caught.value, MissingDependencyError)


def test_find_skeleton_suggests_similar_names() -> None:
    with pytest.raises(UnknownNameError, match="there is no skeleton named 'coco17'; did you mean coco_17"):
        find_skeleton("coco17")
    with pytest.raises(UnknownNameError, match="known: aic_14, coco_17, crowdpose_14"):
        find_skeleton("x")


def test_errors_keep_their_message_when_pickled() -> None:
    error = pickle.loads(pickle.dumps(UnknownNameError("skeleton", "coco17", ["coco_17"])))
    assert isinstance(error, UnknownNameError)
    assert str(error) == "there is no skeleton named 'coco17'; did you mean coco_17?"
