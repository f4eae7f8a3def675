"""What the name of a keypoint says: its words, its side, and which other name is that of its counterpart."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

Words = tuple[str, ...]
Counterparts = tuple[int, int, Words]

# Words for left and right. Those of one letter are also found within short words (FL, FR) and glued to others (Lwrist).
_SIDES = (
    ("left", "right"), ("l", "r"), ("lft", "rgt"), ("lt", "rt"), ("near", "off"), ("links", "rechts"),
    ("gauche", "droite"), ("gauche", "droit"), ("izquierda", "derecha"), ("izquierdo", "derecho"), ("izq", "der"),
    ("sinistra", "destra"), ("sinistro", "destro"), ("sx", "dx"), ("esquerda", "direita"), ("esquerdo", "direito"),
    ("左", "右"),
)  # fmt: skip
_SIDE_WORDS = {"l": "left", "r": "right"}  # also where there is no counterpart
_CODE = 4  # letters of a word that may be an abbreviation with the side anywhere in it, as in FL

_SHORT = {
    "sho": "shoulder", "shou": "shoulder", "shld": "shoulder", "shldr": "shoulder", "shoul": "shoulder",
    "elb": "elbow", "elbo": "elbow", "wri": "wrist", "wrs": "wrist", "wrst": "wrist", "hp": "hip", "kne": "knee",
    "ank": "ankle", "ankl": "ankle", "ft": "foot",
}  # fmt: skip
# Words that l and r may be glued to where there is no counterpart. Not the ear: "rear" is a word of its own.
_GLUED_TO = frozenset(_SHORT) | frozenset(_SHORT.values()) | {
    "eye", "hand", "paw", "arm", "leg", "toe", "heel", "thumb", "forearm", "thigh", "shin",
}  # fmt: skip

# What stands between spaces, signs and changes to capitals; a side may also be glued to what follows it.
_WORD = re.compile(r"[Ll]eft(?=[a-z])|[Rr]ight(?=[a-z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")


def composed(text: str) -> str:
    """A text with its accents composed (Unicode NFC), as texts are compared: file systems and tools differ in this."""
    return unicodedata.normalize("NFC", text)


def normalize_name(name: str) -> str:
    """A keypoint's name in small letters with underscores, its side in front: wrist.L, LWrist, "Left Wrist", lwri.

    All of these are left_wrist. The side may stand anywhere: front_left_paw is left_front_paw.
    """
    words = _words(name)
    place = next((place for place, word in enumerate(words) if word in ("left", "right")), None)
    if place is None or len(words) == 1:
        return "_".join(words) or composed(name)
    return _joined(words[place], words[:place] + words[place + 1 :])


def says_side(name: str) -> bool:
    """Whether a name says left or right, whatever the names beside it."""
    words = _words(name)
    return len(words) > 1 and ("left" in words or "right" in words)


def counterparts(names: Sequence[str]) -> list[Counterparts]:
    """The names that are each other's counterpart on the other side: (left, right) places, and the words they share.

    Where a name says several sides (left_eye_right_corner), its counterpart is that with all of them exchanged, or else
    that with one of them. A name that could belong to two others belongs to none.
    """
    words = [_words(name) for name in names]
    found: list[Counterparts] = []
    for readings in (_all_sides, _one_side, _side_within):
        taken = {place for pair in found for place in pair[:2]}
        found += _unique(words, taken, readings)
    return sorted(found)


def normalize_names(names: Sequence[str]) -> tuple[str, ...]:
    """The plain names of keypoints that belong together.

    Their counterparts tell more sides than a single name does (see `normalize_name`): lear beside rear is left_ear.
    """
    alone = [normalize_name(name) for name in names]
    process_group = list(alone)
    for left, right, shared in counterparts(names):
        process_group[left], process_group[right] = _joined("left", shared), _joined("right", shared)
    repeated = Counter(process_group)
    return tuple(
        plain if repeated[plain] == 1 else single for plain, single in zip(process_group, alone, strict=True)
    )


def _words(name: str) -> Words:
    """The words of a name in small letters; those that say a side are left and right, keypoints are spelled out."""
    words = [part for word in _WORD.findall(composed(name)) for part in _divided(word.lower())]
    if len(words) > 1:
        words = [_SIDE_WORDS.get(word, word) for word in words]
    return tuple(_SHORT.get(word, word) for word in words)


def _divided(word: str) -> list[str]:
    """A word, or the side and the keypoint that are glued together in it."""
    for side in ("left", "right"):
        if word.startswith(side) and word != side:
            return [side, word.removeprefix(side)]
        if word.endswith(side) and word.removesuffix(side) in _GLUED_TO:
            return [word.removesuffix(side), side]
    return [word[0], word[1:]] if word[0] in "lr" and word[1:] in _GLUED_TO else [word]


def _joined(side: str, others: Words) -> str:
    return "_".join([side, *(_SHORT.get(word, word) for word in others)])


# How the counterpart of a name on the left may be called, and the words that both share.
_Readings = Iterator[tuple[Words, Words]]


def _all_sides(words: Words) -> _Readings:
    sides = [place for place, word in enumerate(words) if word in ("left", "right")]
    if sides and words[sides[0]] == "left":
        other = {"left": "right", "right": "left"}
        yield tuple(other.get(word, word) for word in words), words[: sides[0]] + words[sides[0] + 1 :]


def _one_side(words: Words) -> _Readings:
    for place, word in enumerate(words):
        before, after = words[:place], words[place + 1 :]
        if word == "left":
            yield (*before, "right", *after), before + after


def _side_within(words: Words) -> _Readings:
    for place, word in enumerate(words):
        before, after = words[:place], words[place + 1 :]
        for left, right in _SIDES:
            for start in _starts(word, left):
                head, tail = word[:start], word[start + len(left) :]
                shared = (head + tail,) if head + tail else ()
                yield (*before, head + right + tail, *after), before + shared + after


def _starts(word: str, side: str) -> list[int]:
    """Where a side may stand in a word: at its ends, and anywhere in a short one where it is a letter."""
    anywhere = len(side) == 1 and len(word) <= _CODE
    places = range(len(word)) if anywhere else (0, len(word) - len(side))
    return sorted({place for place in places if place >= 0 and word.startswith(side, place)})


def _unique(
    words: Sequence[Words], taken: set[int], readings: Callable[[Words], _Readings]
) -> list[Counterparts]:
    """The pairs of names that are not taken of which both have one possible counterpart only."""
    places: dict[Words, list[int]] = {}
    for place, name in enumerate(words):
        if place not in taken:
            places.setdefault(name, []).append(place)
    possible = {
        (left, right): shared
        for name, lefts in places.items()
        for other, shared in readings(name)
        for right in places.get(other, ())
        for left in lefts
        if left != right
    }
    ends = Counter(place for pair in possible for place in pair)
    return [(*pair, shared) for pair, shared in possible.items() if all(ends[place] == 1 for place in pair)]
