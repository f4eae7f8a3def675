"""One HTML page on a data set: what is wrong with it, its joints and boxes, photos with the joints on them.

The page holds its pictures and styles itself and runs nothing.
"""

import random
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np

from rsn.crops import Image
from rsn.datasets.checks import check_dataset
from rsn.datasets.findings import LEVELS, Report
from rsn.datasets.labelled import ImageFile, LabelledPerson
from rsn.datasets.mpii import is_mpii
from rsn.datasets.reading import read_people_file
from rsn.errors import ImageError, RsnError
from rsn.images import read_image
from rsn.inference.drawing import draw_boxes, draw_people
from rsn.people import EMPTY, Person
from rsn.skeleton_files import read_skeleton
from rsn.skeletons import Skeleton
from rsn.training.recipe import Recipe, Source

LONGEST_SIDE = 480  # pixels of a picture on the page
JPEG_QUALITY = 82
MOST_SUSPECTS = 12  # photos shown because of what was found in them
MOST_OPENED = 1000  # pictures that are opened for the page; `rsn data check` opens all
MOST_IDS = 12  # listed of a finding

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2333; --soft: #5c667d; --paper: #fff; --card: #f4f6fa; --line: #dde2ec;
  --error: #b3261e; --suspicion: #9a5b00; --note: #3d6b9e; --left: #3aa0ff; --middle: #d7b320; --right: #ff7a33; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf2; --soft: #9aa4b8; --paper: #12161f; --card: #1b212d;
  --line: #2d3546; --error: #ff8a80; --suspicion: #ffc266; --note: #8ec1ff; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 76rem;
  margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .3rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; } p { margin: .3rem 0; color: var(--soft); }
ul { list-style: none; padding: 0; margin: .8rem 0; }
li { background: var(--card); border-left: 4px solid; border-radius: 6px; padding: .45rem .8rem; margin: .4rem 0; }
li.error { border-color: var(--error); } li.suspicion { border-color: var(--suspicion); }
li.note { border-color: var(--note); }
li b { margin-right: .3rem; } li small { display: block; color: var(--soft); overflow-wrap: anywhere; }
.error b { color: var(--error); } .suspicion b { color: var(--suspicion); } .note b { color: var(--note); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem 2.5rem;
  align-items: start; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--soft); } th, td { padding: .12rem .5rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:last-child { width: 45%; padding-right: 0; }
.bar { display: flex; height: .7rem; border-radius: 3px; overflow: hidden; background: var(--line); }
.bar i { background: var(--note); } .bar i + i { opacity: .45; }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--card); border-radius: 8px; overflow: hidden; }
figure img { width: 100%; display: block; } figcaption { padding: .5rem .7rem; font-size: .85rem;
  overflow-wrap: anywhere; }
figcaption span { display: block; color: var(--soft); } figcaption .error { color: var(--error); }
figcaption .suspicion { color: var(--suspicion); } .wide { max-width: 100%; border-radius: 8px; }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; margin: 0 .3rem 0 .8rem; }
"""


def source_page(source: Source, *, people: int, seed: int) -> str:
    """The page of one set: what the check finds in it, and `people` photos at random.

    Raises:
        AnnotationError: annotations that cannot be looked at at all (see `check_dataset`).
    """
    return _page("What is in the data", _sections(source, people, seed))


def recipe_page(name: str, recipe: Recipe, *, people: int, seed: int) -> str:
    """The page of a recipe: the crops as the network sees them, and each of its sets as in `source_page`."""
    from rsn.training.preview import draw_preview  # with it comes lightning, which takes seconds

    sections = ["<h2>As the network sees them</h2>"]
    try:
        crops = _embedded(draw_preview(recipe, people=people, seed=seed))
        sections += [
            "<p>Augmented crops; beside each the targets of the last stage at their finest.</p>",
            f'<img class="wide" alt="Augmented crops and target heatmaps" src="{crops}">',
        ]
    except RsnError as error:  # what is wrong is told here and, in full, below
        sections.append(f'<ul><li class="error"><b>Training stops:</b> {escape(str(error))}</li></ul>')
    for source in dict.fromkeys((*recipe.train, recipe.validation)):
        try:
            sections += _sections(source, people, seed)
        except RsnError as error:
            sections.append(f"<h2>{escape(str(source.annotations))}</h2>")
            sections.append(f'<ul><li class="error">{escape(str(error))}</li></ul>')
    return _page(name, sections)


def _page(title: str, sections: Iterable[str]) -> str:
    key = "".join(f'<i style="background:var(--{side})"></i>{side}' for side in ("left", "middle", "right"))
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f'<h1>{escape(title)}</h1><p class="key">The person\'s own sides:{key}</p>',
            *sections,
            "</body></html>\n",
        ]
    )


def _sections(source: Source, people: int, seed: int) -> Iterator[str]:
    report = _report(source, seed)
    yield f"<h2>{escape(source.annotations.name)}</h2><p>{escape(report.summary())}</p>"
    yield from _findings(report)
    yield from _facts(report)
    photos = list(_photos(report))
    suspects = [photo for photo in photos if photo.said]
    if suspects:
        yield f"<h3>Where something was found ({min(len(suspects), MOST_SUSPECTS)} of {len(suspects)} photos)</h3>"
        yield from _gallery(suspects[:MOST_SUSPECTS], report.skeleton)
    drawn = random.Random(seed).sample(photos, min(people, len(photos)))
    yield f"<h3>At random ({len(drawn)} of {len(photos)} photos)</h3>"
    yield from _gallery(drawn, report.skeleton)


def _report(source: Source, seed: int) -> Report:
    if not is_mpii(source.annotations):
        skeleton = read_skeleton(source.skeleton) if source.skeleton else None
        return check_dataset(source.annotations, source.images, skeleton, sample=MOST_OPENED, seed=seed)
    # MPII's files are read strictly: what is wrong with them is raised.
    dataset = read_people_file(source.annotations, source.images, head_sizes=source.head_sizes)
    images = len({person.image for person in dataset.people})
    return Report(str(source.annotations), dataset.skeleton, images, dict(enumerate(dataset.people, start=1)))


@dataclass(frozen=True)
class _Photo:
    """A picture, the people in it by annotation id, and what was found.

    said: about it or them, (level, sentence). meant: whom, by annotation id; nobody where it is about the picture.
    """

    file: ImageFile
    people: dict[int | str, LabelledPerson] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    meant: set[int | str] = field(default_factory=set)


def _photos(report: Report) -> Iterable[_Photo]:
    """The photos that people are in, with the errors and suspicions that are about them."""
    photos: dict[ImageFile, _Photo] = {}
    for one, person in report.people.items():
        photos.setdefault(person.image, _Photo(person.image)).people[one] = person
    of_image = {file.id: photo for file, photo in photos.items()}
    of_person = {one: photo for photo in photos.values() for one in photo.people}
    for kind, ids in report.findings.items():
        of = of_image if kind.of == "image" else of_person if kind.of == "annotation" else {}
        for one, about in zip(ids, report.about(kind), strict=True):
            if one in of and kind.level != "note":
                of[one].said.append((kind.level, f"{kind.says}: {kind.of} {about}"))
                of[one].meant.update({one} if of is of_person else ())
    return photos.values()


def _findings(report: Report) -> Iterator[str]:
    if not report.findings:
        yield "<ul><li class='note'>Nothing was found.</li></ul>"
        return
    yield "<ul>"
    for level in LEVELS:
        for kind, ids in report.of_level(level).items():
            about = report.about(kind)
            more = f" and {len(about) - MOST_IDS} more" if len(about) > MOST_IDS else ""
            of = "" if kind.of == "set" else f"{kind.of} "
            yield (
                f'<li class="{level}"><b>{len(ids)}</b>{escape(kind.says)}'
                f"<small>{escape(kind.advice)}</small>"
                f"<small>{escape(of + ', '.join(about[:MOST_IDS]) + more)}</small></li>"
            )
    yield "</ul>"


def _facts(report: Report) -> Iterator[str]:
    joints = [(joint, counts[:2]) for joint, counts in report.joints().items()]
    people = [(str(count), (number,)) for count, number in sorted(report.joints_a_person().items())]
    yield "<div class='facts'>"
    yield _bars("joint: visible + occluded", joints)
    yield _bars("joints marked: people", people)
    yield _bars("box height, pixels: people", _heights(report))
    yield "</div>"


def _heights(report: Report) -> list[tuple[str, tuple[int]]]:
    """How many boxes are of which height, in steps of a factor of two."""
    heights = [person.box[3] for person in report.people.values() if person.box[3] > 0]
    octaves = Counter(int(np.log2(max(height, 1))) for height in heights)
    return [
        (f"{2**octave} to {2 ** (octave + 1)}", (octaves[octave],))
        for octave in range(min(octaves, default=0), max(octaves, default=-1) + 1)
    ]


def _bars(title: str, rows: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    """A table of names and counts, and the counts as a bar; the longest bar fills its place."""
    longest = max((sum(counts) for _, counts in rows), default=0) or 1
    lines = [f"<table><tr><th>{escape(title)}</th><th></th><th></th></tr>"]
    for name, counts in rows:
        parts = "".join(f'<i style="width:{100 * count / longest:.1f}%"></i>' for count in counts)
        text = " + ".join(map(str, counts))
        lines.append(
            f'<tr><td>{escape(name)}</td><td>{text}</td><td><div class="bar">{parts}</div></td></tr>'
        )
    return "".join([*lines, "</table>"])


def _gallery(photos: Sequence[_Photo], skeleton: Skeleton) -> Iterator[str]:
    yield '<div class="photos">'
    for photo in photos:
        people = f"image {photo.file.id}, annotations {', '.join(map(str, photo.people))}"
        text = escape(f"image {photo.file.id}, people: {len(photo.people)}")
        said = "".join(f'<span class="{level}">{escape(sentence)}</span>' for level, sentence in photo.said)
        name = escape(photo.file.path.name)
        caption = f'<figcaption>{name}<span title="{escape(people)}">{text}</span>{said}</figcaption>'
        try:
            picture = f'<img loading="lazy" alt="{name}" src="{_embedded(_drawn(photo, skeleton))}">'
        except ImageError:  # the check says so, if it opened it
            picture = ""
        yield f"<figure>{picture}{caption}</figure>"
    yield "</div>"


def _drawn(photo: _Photo, skeleton: Skeleton) -> Image:
    """The photo, small, with everybody's marked joints, and boxes around those in whom something was found."""
    pixels = read_image(photo.file.path)
    scale = LONGEST_SIDE / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
    people = {
        # The centre of the first pixel stays at half a pixel from the edge, whatever the size.
        one: Person.from_joints(
            person.box * scale, (person.keypoints + 0.5) * scale - 0.5, (person.visibility > 0) + EMPTY
        )
        for one, person in photo.people.items()
    }
    boxed = [person for one, person in people.items() if one in photo.meant]
    return draw_boxes(draw_people(small, list(people.values()), skeleton), boxed)


def _embedded(picture: Image) -> str:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return f"data:image/jpeg;base64,{b64encode(data.tobytes()).decode()}"
