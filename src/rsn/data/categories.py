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


@dataclass
class _Group:
    """Categories with the same keypoints, in any order."""

    skeleton: Skeleton
    orders: dict[Id, Order] = field(default_factory=dict)
    ids: list[Id] = field(default_factory=list)


def resolve_skeleton(document: Any, where: str, given: Skeleton | None = None) -> SkeletonCategories:
    """Find the one skeleton of a COCO-keypoints document.

    given: needed if `categories` describe no skeleton, or several. Its order of the same keypoints is used. If the
        categories number their keypoints instead of naming them, its names are used, with an RsnWarning.

    Raises:
        AnnotationError: not a COCO-keypoints document, several skeletons, or another skeleton than `given`.
    """
    categories = _categories(document)
    described = [category for category in categories if category.get("keypoints")]
    if not categories or (given is None and not described):
        raise AnnotationError(
            f"{where}: not a COCO keypoints file (needs images, annotations, and categories, one of them with"
            " keypoints unless a skeleton file names the keypoints)"
        )
    ids = [_id_of(category, where) for category in categories]
    everyone = {one for shown in ids if (one := normalize_id(shown)) is not None}
    if given is not None and not described:
        return SkeletonCategories(given, tuple(ids), dict.fromkeys(everyone, tuple(range(len(given)))))
    remarks: list[str] = []
    groups: list[_Group] = []
    for category, shown in zip(categories, ids, strict=True):
        if category.get("keypoints"):
            _add(groups, Skeleton.from_category(category, where, remarks), shown)
    if given is not None:
        groups = [group for group in groups if group.skeleton.permutation_to(given) is not None] or groups
    if len(groups) > 1:
        names = ", ".join(group.skeleton.name for group in groups)
        raise AnnotationError(
            f"{where}: has skeletons with different keypoints ({names}); name the keypoints of one in a skeleton file"
        )
    group = groups[0]
    skeleton, orders = group.skeleton, group.orders
    others = frozenset(everyone - orders.keys())
    if given is not None:
        permutation = skeleton.permutation_to(given) or _rename(skeleton, given, where)
        skeleton = given
        orders = {one: tuple(order[index] for index in permutation) for one, order in orders.items()}
    return SkeletonCategories(skeleton, tuple(group.ids), orders, others, tuple(remarks))


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


def _add(groups: list[_Group], skeleton: Skeleton, shown: Id) -> None:
    """Add a category to the group with the same keypoints, or as a new group."""
    group = next((group for group in groups if skeleton.permutation_to(group.skeleton) is not None), None)
    if group is None:
        group = _Group(skeleton)
        groups.append(group)
    order, one = skeleton.permutation_to(group.skeleton), normalize_id(shown)
    assert order is not None
    assert one is not None
    group.orders.setdefault(one, order)
    group.ids.append(shown)


def _rename(found: Skeleton, given: Skeleton, where: str) -> Order:
    """Use the names of the given skeleton for the keypoints of the file, in order, if no name is in both."""
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
    return tuple(range(len(given)))
