"""Which categories of a file of boxes are looked at: a detector of 80 kinds of things finds more than people."""

from collections.abc import Collection, Mapping

from rsn.data.values import normalize_id
from rsn.errors import AnnotationError

PEOPLE = ("person", "people", "human", "pedestrian")
PERSON = 1  # of COCO, where nothing names the categories
ANY = "any"
Id = int | str


def chosen_categories(
    used: Collection[Id],
    names: Mapping[Id, str],
    where: str,
    *,
    asked: str | None = None,
    expected: Collection[Id] | None = None,
    with_keypoints: Collection[Id] = (),
) -> frozenset[Id] | None:
    """Plain ids of the categories to look at; None for all.

    Args:
        used: plain ids of the categories that boxes of the file have.
        names: those that the file tells, by plain id.
        where: the file, for messages.
        asked: a name or an id, or "any"; without it `expected`; without these the people.
        expected: plain ids, those of the annotations to compare with.
        with_keypoints: plain ids of categories with keypoints; where none is a person, these are meant.

    Raises:
        AnnotationError: there is no such category, or which are people cannot be told.
    """
    if asked is not None:
        return None if asked == ANY else _by_name(asked, used, names, where)
    if not names and 0 in used and len(used) > 1 and 0 not in (expected or ()):
        raise AnnotationError(
            f"{where}: its categories are counted from 0 ({_shown(used, names)}), so {PERSON} may not be people; say"
            " which are with --box-category, 0 maybe"
        )
    if expected is not None:
        return frozenset(expected)
    people = frozenset(one for one, name in names.items() if name.strip().casefold() in PEOPLE)
    if people or with_keypoints:
        return people or frozenset(with_keypoints)
    if not names and set(used) == {0}:  # the one category of a detector that counts from 0
        return frozenset(used)
    if names and used:
        raise AnnotationError(
            f"{where}: none of its categories is a person ({_shown(used, names)}); say which to look at with"
            " --box-category, or any"
        )
    return frozenset({PERSON})


def _by_name(asked: str, used: Collection[Id], names: Mapping[Id, str], where: str) -> frozenset[Id]:
    plain = normalize_id(asked)
    found = {one for one, name in names.items() if name.strip().casefold() == asked.strip().casefold()}
    if plain is not None and (plain in used or plain in names):
        found.add(plain)
    if not found:
        raise AnnotationError(
            f"{where}: no box is of category {asked!r}; there are {_shown(used, names) or 'none'}"
        )
    return frozenset(found)


def _shown(used: Collection[Id], names: Mapping[Id, str]) -> str:
    shown = [f"{one} {names[one]}" if one in names else str(one) for one in sorted(used, key=str)[:10]]
    return ", ".join(shown) + (" and more" if len(used) > len(shown) else "")
