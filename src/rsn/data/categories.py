"""The skeleton of a COCO-keypoints document, which several of its categories may share."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data.values import Id, display_id, normalize_id
from rsn.errors import AnnotationError, RsnWarning
from rsn.skeletons import Skeleton

Order = tuple[int, ...]


@dataclass(frozen=True)
class SkeletonCategories:
    """The skeleton of a document, and the categories that have its keypoints.

    category_ids: as they are listed; results get the first. orders: for each of these categories, by normalized id,
    the index in its annotations of every keypoint of the skeleton. others: normalized ids of the other categories.
    remarks: sentences about irregularities.
    """

    skeleton: Skeleton
    category_ids: tuple[Id, ...]
    orders: Mapping[Id, Order] = field(default_factory=dict)
    others: frozenset[Id] = frozenset()
    remarks: tuple[str, ...] = ()

    def has_category(self, category: Any) -> bool:
        """Whether a category has this skeleton; None, for an annotation without category, counts as one."""
        return category is None or normalize_id(category) in self.orders

    def lists_category(self, category: Any) -> bool:
        """Whether the document lists a category."""
        return self.has_category(category) or normalize_id(category) in self.others

    def reorder(self, keypoints: NDArray[np.float64], category: Any) -> NDArray[np.float64]:
        """Keypoints (K, ...) of an annotation of a category, in the order of the skeleton."""
        one = normalize_id(self.category_ids[0] if category is None else category)
        assert one is not None
        order = self.orders[one]
        return keypoints if order == tuple(range(len(order))) else keypoints[list(order)]


def resolve_skeleton(document: Any, where: str, given: Skeleton | None = None) -> SkeletonCategories:
    """Find the one skeleton of a COCO-keypoints document.

    given: needed if `categories` describe no skeleton, or several. Its order of the same keypoints is used. If the
        categories number their keypoints instead of naming them, its names are used, with an RsnWarning.

    Raises:
        AnnotationError: not a COCO-keypoints document, several skeletons, or another skeleton than `given`.
    """
    categories = _categories(document)
    shown = [_id_of(category, where) for category in categories]
    ids = [one for one in map(normalize_id, shown) if one is not None]
    remarks: list[str] = []
    described = {
        index: Skeleton.from_category(category, where, remarks)
        for index, category in enumerate(categories)
        if category.get("keypoints")
    }
    if not categories or (given is None and not described):
        raise AnnotationError(
            f"{where}: not a COCO keypoints file (needs images, annotations, and categories, one of them with"
            " keypoints unless a skeleton file names the keypoints)"
        )
    if given is not None and not described:
        return SkeletonCategories(given, tuple(shown), dict.fromkeys(ids, tuple(range(len(given)))))
    first = next(iter(described.values()))
    matches_given = given is not None and any(one.permutation_to(given) for one in described.values())
    target = given if given is not None and matches_given else first
    permutations = {index: one.permutation_to(target) for index, one in described.items()}
    if None in permutations.values() and not matches_given:
        names = ", ".join(dict.fromkeys(one.name for one in described.values()))
        raise AnnotationError(
            f"{where}: has skeletons with different keypoints ({names}); name the keypoints of one in a skeleton file"
        )
    if given is not None and not matches_given:
        _check_renaming(first, given, where)
    orders: dict[Id, Order] = {}
    for index, order in permutations.items():
        if order is not None:
            orders.setdefault(ids[index], order)
    return SkeletonCategories(
        first if given is None else given,
        tuple(shown[index] for index, order in permutations.items() if order is not None),
        orders,
        frozenset(ids) - orders.keys(),
        tuple(remarks),
    )


def _categories(document: Any) -> list[dict[str, Any]]:
    """The categories of a document that has the lists of a COCO file; otherwise none."""
    if not isinstance(document, dict):
        return []
    if not all(isinstance(document.get(name), list) for name in ("images", "annotations", "categories")):
        return []
    categories = document["categories"]
    return categories if all(isinstance(category, dict) for category in categories) else []


def _id_of(category: dict[str, Any], where: str) -> Id:
    shown = display_id(category.get("id"))
    if shown is None:
        raise AnnotationError(
            f"{where}: category {category.get('name')!r} has the id {category.get('id')!r}; give it a number or a text"
        )
    return shown


def _check_renaming(found: Skeleton, given: Skeleton, where: str) -> None:
    """Raise an AnnotationError unless the given names can replace all names of the file; otherwise warn."""
    names = ", ".join(found.keypoint_names)
    if len(found) != len(given) or found.common_keypoints(given):
        raise AnnotationError(
            f"{where}: its keypoints are {names}, those of {given.name} are {', '.join(given.keypoint_names)};"
            " name as many, in the order of the file"
        )
    warnings.warn(
        f"{where}: its keypoints {names} are taken for those of {given.name} in their order",
        RsnWarning,
        stacklevel=3,
    )
