"""Words that were replaced by the field's own words must not come back, in code and in documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder, pattern in (("src", "*.py"), ("docs", "*.md"), ("recipes", "*.yaml"), (".", "README.md"))
    for path in (ROOT / folder).rglob(pattern)
    if not {".venv", ".git"} & set(path.relative_to(ROOT).parts)
)
# By word: what is written instead.
REPLACED = {
    "aloud": "with a warning",
    "average_decay": "ema_decay",
    "behaviour": "behavior",
    "card": "model metadata",
    "centre": "center",
    "colour": "color",
    "doubles": "duplicates",
    "engine": "backend",
    "engines": "backends",
    "grey": "gray",
    "handover": "cross-stage features",
    "hard_joints": "ohkm_topk",
    "in vain": "",
    "is said": "is reported",
    "is told": "gets",
    "joint": "keypoint",
    "joints": "keypoints",
    "labelled": "labeled",
    "least_score": "person_threshold or box_threshold",
    "licence": "license",
    "mirrored": "flipped",
    "most_unreadable": "max_unreadable_fraction",
    "nobody": "no person",
    "normalise": "normalize",
    "optimisation": "optimization",
    "photo": "image",
    "photos": "images",
    "picture": "image",
    "pictures": "images",
    "recomputed": "checkpointed",
    "somebody": "a person",
    "start_from": "pretrained",
    "validate_every": "val_interval",
    "verb": "subcommand",
    "verbs": "subcommands",
    "whoever": "",
    "whom": "",
}
WORDS = re.compile(rf"\b({'|'.join(REPLACED)})\b", re.IGNORECASE)
# Names that other formats use.
QUOTED = re.compile(
    r"--saveEngine=\S+|joints\.mat|\"joints?\"|joints \(16 x 2\)|joints that are numbers|has joints of shape"
)


def _found(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for match in WORDS.finditer(QUOTED.sub("", line)):
            word = match[0].lower()
            yield f"{path.relative_to(ROOT)}:{number}: {word} (write: {REPLACED[word]})"


def test_replaced_words_do_not_come_back() -> None:
    assert [found for path in FILES for found in _found(path)] == []
