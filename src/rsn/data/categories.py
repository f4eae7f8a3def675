"""Whose keypoints a COCO-keypoints document has: one skeleton, which several of its categories may share."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.data.references import Id, listed_id, plain_id
from rsn.errors import AnnotationError, RsnWarning
from rsn.skeleton_files import skeleton_from_category
from rsn.skeletons import Skeleton

Order = tuple[int, ...]


@dataclass(frozen=True)
class SkeletonCategories:
    """Whose keypoints a document has: the skeleton, and the categories that are of it.

    category_ids: as they are listed; what results carry is the first. orders: for each of them, by plain id, where the
    keypoints of the skeleton stand in its annotations. others: plain ids of the other categories. remarks: sentences on
    what is odd.
    """

    skeleton: Skeleton
    category_ids: tuple[Id, ...]
    orders: Mapping[Id, Order] = field(default_factory=dict)
    others: frozenset[Id] = frozenset()
    remarks: tuple[str, ...] = ()

    def has(self, entry: Mapping[str, Any]) -> bool:
        """Whether an annotation is of this skeleton; one without category is."""
        return self.has_category(entry.get("category_id"))

    def has_category(self, category: Any) -> bool:
        """Whether a category is of this skeleton, whichever form its id has; no category is."""
        return category is None or plain_id(category) in self.orders

    def lists_category(self, category: Any) -> bool:
        """Whether the document lists a category."""
        return self.has_category(category) or plain_id(category) in self.others

    def ordered_map(self, keypoints: NDArray[np.float64], category: Any) -> NDArray[np.float64]:
        """Keypoints (K, ...) as an annotation of a category has them, in the order of the skeleton."""
        plain = plain_id(self.category_ids[0] if category is None else category)
        assert plain is not None
        order = self.orders[plain]
        return keypoints if order == tuple(range(len(order))) else keypoints[list(order)]


@dataclass
class _Found:
    """A skeleton that categories describe: those of the same keypoints in any order are one."""

    skeleton: Skeleton
    orders: dict[Id, Order]
    ids: list[Id]


def resolve_skeleton(document: Any, where: str, given: Skeleton | None = None) -> SkeletonCategories:
    """The one skeleton that a COCO-keypoints document is of.

    given: the skeleton, where `categories` do not describe it, or describe several. With the same keypoints in another order,
        its order is taken. Where they number their keypoints instead of naming them, its names are taken for them, and an
        RsnWarning says so.

    Raises:
        AnnotationError: not a COCO keypoints document, keypoints of another skeleton, or of several skeletons.
    """
    categories = _categories(document)
    described = [category for category in categories if category.get("keypoints")]
    if not categories or (given is None and not described):
        raise AnnotationError(
            f"{where}: not a COCO keypoints file (needs images, annotations, and categories, one of them with"
            " keypoints where no skeleton file names the keypoints)"
        )
    ids = {id(category): _id_of(category, where) for category in categories}
    if not described and given is not None:
        all_ids = tuple(ids.values())
        return SkeletonCategories(given, all_ids, {_plain(one): tuple(range(len(given))) for one in all_ids})
    remarks: list[str] = []
    skeletons: list[_Found] = []
    for category in described:
        _add(skeletons, skeleton_from_category(category, where, remarks), ids[id(category)])
    if given is not None:
        same = [resolved for resolved in skeletons if resolved.skeleton.order_in(given) is not None]
        skeletons = same or skeletons
    if len(skeletons) > 1:
        names = ", ".join(resolved.skeleton.name for resolved in skeletons)
        raise AnnotationError(
            f"{where}: has skeletons with different keypoints ({names}); name the keypoints of one in a skeleton file"
        )
    resolved = skeletons[0]
    others = frozenset(_plain(one) for one in ids.values()) - resolved.orders.keys()
    skeleton, orders = resolved.skeleton, resolved.orders
    if given is not None:
        order = skeleton.order_in(given) or _renamed(skeleton, given, where)
        skeleton = given
        orders = {one: tuple(old[place] for place in order) for one, old in orders.items()}
    return SkeletonCategories(skeleton, tuple(resolved.ids), orders, others, tuple(remarks))


def _categories(document: Any) -> list[dict[str, Any]]:
    """The categories of a document that has what COCO's have; none of anything else."""
    if not isinstance(document, dict):
        return []
    lists = [document.get(name) for name in ("images", "annotations", "categories")]
    if not all(isinstance(entries, list) for entries in lists):
        return []
    categories = document["categories"]
    return categories if all(isinstance(category, dict) for category in categories) else []


def _id_of(category: dict[str, Any], where: str) -> Id:
    one = listed_id(category.get("id"))
    if one is None:
        raise AnnotationError(
            f"{where}: category {category.get('name')!r} has the id {category.get('id')!r}; give it a number or a text"
        )
    return one


def _plain(one: Id) -> Id:
    plain = plain_id(one)
    assert plain is not None
    return plain


def _add(skeletons: list[_Found], skeleton: Skeleton, one: Id) -> None:
    """Add a category to the skeletons; with the keypoints of one that is there it is of that."""
    for resolved in skeletons:
        order = skeleton.order_in(resolved.skeleton)
        if order is not None:
            resolved.orders.setdefault(_plain(one), order)
            resolved.ids.append(one)
            return
    skeletons.append(_Found(skeleton, {_plain(one): tuple(range(len(skeleton)))}, [one]))


def _renamed(found: Skeleton, given: Skeleton, where: str) -> Order:
    """The order of the keypoints, if the names of the given skeleton can stand for those of the file, which differ."""
    if len(found) != len(given) or found.positions_in(given):
        raise AnnotationError(
            f"{where}: its keypoints are {', '.join(found.keypoint_names)}, those of {given.name} are {', '.join(given.keypoint_names)};"
            " name as many, in the file's order"
        )
    warnings.warn(
        f"{where}: its keypoints {', '.join(found.keypoint_names)} are taken for those of {given.name} in their order",
        RsnWarning,
        stacklevel=3,
    )
    return tuple(range(len(given)))
