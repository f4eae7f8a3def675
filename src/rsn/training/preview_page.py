"""One HTML page on a data set: what is wrong with it, its joints and boxes, photos with the joints on them."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from rsn.training.html_page import html_image, html_page
from rsn.training.recipe import Recipe, Source

LONGEST_SIDE = 480  # pixels of a picture on the page
JPEG_QUALITY = 82
MOST_SUSPECTS = 12  # photos shown because of what was found in them
MOST_OPENED = 1000  # pictures that are opened for the page; `rsn data check` opens all
MOST_IDS = 12  # listed of a finding
SIDES = (
    "<p>The person's own sides: <b style='color:#3aa0ff'>left</b>, <b style='color:#d7b320'>middle</b>,"
    " <b style='color:#ff7a33'>right</b></p>"
)


def source_page(source: Source, *, people: int, seed: int) -> str:
    """The page of one set: what the check finds in it, and `people` photos at random.

    Raises:
        AnnotationError: annotations that cannot be looked at at all (see `check_dataset`).
    """
    return html_page("What is in the data", [SIDES, *_sections(source, people, seed)])


def recipe_page(name: str, recipe: Recipe, *, people: int, seed: int) -> str:
    """The page of a recipe: the crops as the network sees them, and each of its sets as in `source_page`."""
    from rsn.training.preview import draw_preview  # with it comes lightning, which takes seconds

    sections = [SIDES, "<h2>As the network sees them</h2>"]
    try:
        crops = draw_preview(recipe, people=people, seed=seed)
        sections.append("<p>Augmented crops; beside each the targets of the last stage at their finest.</p>")
        sections.append(_embedded(crops, "Augmented crops and target heatmaps"))
    except RsnError as error:  # what is wrong is told here and, in full, below
        sections.append(f'<p class="error"><b>Training stops: </b>{escape(str(error))}</p>')
    for source in dict.fromkeys((*recipe.train, recipe.validation)):
        try:
            sections += _sections(source, people, seed)
        except RsnError as error:
            sections.append(f"<h2>{escape(str(source.annotations))}</h2>")
            sections.append(f'<p class="error">{escape(str(error))}</p>')
    return html_page(name, sections)


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
    yield "<ul>" if report.findings else "<p>Nothing was found.</p><ul>"
    for level in LEVELS:
        for kind, ids in report.of_level(level).items():
            yield (
                f'<li class="{level}"><b>{len(ids)}</b>{escape(kind.says)}'
                f"<small>{escape(kind.advice)}</small>"
                f"<small>{escape(report.found.listed(kind, MOST_IDS))}</small></li>"
            )
    yield "</ul>"


def _facts(report: Report) -> Iterator[str]:
    yield '<div class="grid">'
    yield _bars("joint: visible + occluded", {joint: row[:2] for joint, row in report.joints().items()})
    marked = {str(count): (number,) for count, number in sorted(report.joints_a_person().items())}
    yield _bars("joints marked: people", marked)
    yield _bars("box height, pixels: people", _heights(report))
    yield "</div>"


def _heights(report: Report) -> dict[str, tuple[int, ...]]:
    """How many boxes are of which height, in steps of a factor of two."""
    heights = [person.box[3] for person in report.people.values() if person.box[3] > 0]
    octaves = Counter(int(np.log2(max(height, 1))) for height in heights)
    return {
        f"{2**octave} to {2 ** (octave + 1)}": (octaves[octave],)
        for octave in range(min(octaves, default=0), max(octaves, default=-1) + 1)
    }


def _bars(title: str, counts: Mapping[str, tuple[int, ...]]) -> str:
    """A table of names and counts, and their sum as a bar; the longest bar fills its place."""
    longest = max(map(sum, counts.values()), default=0) or 1
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{' + '.join(map(str, row))}</td>"
        f'<td><meter max="{longest}" value="{sum(row)}"></meter></td></tr>'
        for name, row in counts.items()
    )
    return f"<table><tr><th>{escape(title)}</th><th></th><th></th></tr>{rows}</table>"


def _gallery(photos: Sequence[_Photo], skeleton: Skeleton) -> Iterator[str]:
    yield '<div class="grid">'
    for photo in photos:
        name = photo.file.path.name
        annotations = f"image {photo.file.id}, annotations {', '.join(map(str, photo.people))}"
        text = f"image {photo.file.id}, people: {len(photo.people)}"
        said = "".join(f'<span class="{level}">{escape(sentence)}</span>' for level, sentence in photo.said)
        try:
            picture = _embedded(_drawn(photo, skeleton), name)
        except ImageError:  # the check says so, if it opened it
            picture = ""
        yield (
            f"<figure>{picture}<figcaption>{escape(name)}"
            f'<span title="{escape(annotations)}">{escape(text)}</span>{said}</figcaption></figure>'
        )
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


def _embedded(picture: Image, what: str) -> str:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return html_image(data.tobytes(), "jpeg", what)
