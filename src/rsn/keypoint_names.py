"""Read keypoint names: their words, their side (left or right), and which name is the counterpart of which."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

Words = tuple[str, ...]
Counterparts = tuple[int, int, Words]

# Words for left and right. Single letters are also found in short words (FL, FR) and before other words (Lwrist).
_SIDES = (
    ("left", "right"), ("l", "r"), ("lft", "rgt"), ("lt", "rt"), ("near", "off"), ("links", "rechts"),
    ("gauche", "droite"), ("gauche", "droit"), ("izquierda", "derecha"), ("izquierdo", "derecho"), ("izq", "der"),
    ("sinistra", "destra"), ("sinistro", "destro"), ("sx", "dx"), ("esquerda", "direita"), ("esquerdo", "direito"),
    ("左", "右"),
)  # fmt: skip
_SIDE_LETTERS = {"l": "left", "r": "right"}  # recognized without a counterpart too
_MAX_ABBREVIATION = 4  # letters of a word that may contain the letter of a side anywhere, such as FL

_ABBREVIATIONS = {
    "sho": "shoulder", "shou": "shoulder", "shld": "shoulder", "shldr": "shoulder", "shoul": "shoulder",
    "elb": "elbow", "elbo": "elbow", "wri": "wrist", "wrs": "wrist", "wrst": "wrist", "hp": "hip", "kne": "knee",
    "ank": "ankle", "ankl": "ankle", "ft": "foot",
}  # fmt: skip
# Words that l and r may directly precede even without a counterpart. The ear is missing, since "rear" is a word.
_AFTER_SIDE_LETTER = frozenset(_ABBREVIATIONS) | frozenset(_ABBREVIATIONS.values()) | {
    "eye", "hand", "paw", "arm", "leg", "toe", "heel", "thumb", "forearm", "thigh", "shin",
}  # fmt: skip

# Words are separated by spaces, signs and capital letters; "left" and "right" may directly precede another word.
_WORD = re.compile(r"[Ll]eft(?=[a-z])|[Rr]ight(?=[a-z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")


def normalize_unicode(text: str) -> str:
    """Compose accents (Unicode NFC), in which file systems and tools differ."""
    return unicodedata.normalize("NFC", text)


def normalize_name(name: str) -> str:
    """Write a keypoint name in lower case with underscores, its side first.

    wrist.L, LWrist, "Left Wrist" and lwri become left_wrist. The side may be anywhere: front_left_paw becomes
    left_front_paw.
    """
    words = _words(name)
    index = next((index for index, word in enumerate(words) if word in ("left", "right")), None)
    if index is None or len(words) == 1:
        return "_".join(words) or normalize_unicode(name)
    return _join(words[index], words[:index] + words[index + 1 :])


def says_side(name: str) -> bool:
    """Whether a name contains left or right, judged without the other names."""
    words = _words(name)
    return len(words) > 1 and ("left" in words or "right" in words)


def counterparts(names: Sequence[str]) -> list[Counterparts]:
    """Find the names that differ only in their side: (left index, right index, the words that both share).

    If a name contains several sides (left_eye_right_corner), its counterpart has all of them exchanged, or else one
    of them. A name with two possible counterparts has none.
    """
    words = [_words(name) for name in names]
    found: list[Counterparts] = []
    for candidates in (_all_sides, _one_side, _side_within):
        paired = {index for pair in found for index in pair[:2]}
        found += _unique_pairs(words, paired, candidates)
    return sorted(found)


def normalize_names(names: Sequence[str]) -> tuple[str, ...]:
    """Normalize the names of a skeleton.

    Counterparts reveal more sides than a name alone (see `normalize_name`): lear, if there is a rear, is left_ear.
    """
    alone = [normalize_name(name) for name in names]
    paired = list(alone)
    for left, right, shared in counterparts(names):
        paired[left], paired[right] = _join("left", shared), _join("right", shared)
    count = Counter(paired)
    return tuple(name if count[name] == 1 else single for name, single in zip(paired, alone, strict=True))


def _words(name: str) -> Words:
    """The words of a name in lower case; sides are left and right, abbreviated keypoints are spelled out."""
    words = [part for word in _WORD.findall(normalize_unicode(name)) for part in _split_side(word.lower())]
    if len(words) > 1:
        words = [_SIDE_LETTERS.get(word, word) for word in words]
    return tuple(_ABBREVIATIONS.get(word, word) for word in words)


def _split_side(word: str) -> list[str]:
    """The word, or its side and its keypoint if it consists of both."""
    for side in ("left", "right"):
        if word.startswith(side) and word != side:
            return [side, word.removeprefix(side)]
        if word.endswith(side) and word.removesuffix(side) in _AFTER_SIDE_LETTER:
            return [word.removesuffix(side), side]
    return [word[0], word[1:]] if word[0] in "lr" and word[1:] in _AFTER_SIDE_LETTER else [word]


def _join(side: str, others: Words) -> str:
    return "_".join([side, *(_ABBREVIATIONS.get(word, word) for word in others)])


# For the words of a name on the left: possible words of its counterpart, and the words that both share.
_Candidates = Iterator[tuple[Words, Words]]


def _all_sides(words: Words) -> _Candidates:
    sides = [index for index, word in enumerate(words) if word in ("left", "right")]
    if sides and words[sides[0]] == "left":
        other = {"left": "right", "right": "left"}
        yield tuple(other.get(word, word) for word in words), words[: sides[0]] + words[sides[0] + 1 :]


def _one_side(words: Words) -> _Candidates:
    for index, word in enumerate(words):
        before, after = words[:index], words[index + 1 :]
        if word == "left":
            yield (*before, "right", *after), before + after


def _side_within(words: Words) -> _Candidates:
    for index, word in enumerate(words):
        before, after = words[:index], words[index + 1 :]
        for left, right in _SIDES:
            for start in _starts(word, left):
                head, tail = word[:start], word[start + len(left) :]
                shared = (head + tail,) if head + tail else ()
                yield (*before, head + right + tail, *after), before + shared + after


def _starts(word: str, side: str) -> list[int]:
    """Where a side begins in a word: at either end, and a single letter anywhere in a short word."""
    anywhere = len(side) == 1 and len(word) <= _MAX_ABBREVIATION
    starts = range(len(word)) if anywhere else (0, len(word) - len(side))
    return sorted({start for start in starts if start >= 0 and word.startswith(side, start)})


def _unique_pairs(
    words: Sequence[Words], paired: set[int], candidates: Callable[[Words], _Candidates]
) -> list[Counterparts]:
    """The pairs of names, of those not yet paired, in which either name has only one possible counterpart."""
    by_words: dict[Words, list[int]] = {}
    for index, name in enumerate(words):
        if index not in paired:
            by_words.setdefault(name, []).append(index)
    possible = {
        (left, right): shared
        for name, lefts in by_words.items()
        for other, shared in candidates(name)
        for right in by_words.get(other, ())
        for left in lefts
        if left != right
    }
    count = Counter(index for pair in possible for index in pair)
    return [(*pair, shared) for pair, shared in possible.items() if all(count[index] == 1 for index in pair)]
