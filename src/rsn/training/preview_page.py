"""One HTML page on a data set: what is wrong with it, its keypoints and boxes, images with the keypoints on them."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np

from rsn.data.annotations import ImageFile, PersonAnnotation
from rsn.data.checks import check_dataset
from rsn.data.issues import LEVELS, Report
from rsn.data.mpii import is_mpii
from rsn.data.reading import read_people_file
from rsn.errors import ImageError, RsnError
from rsn.geometry import Image
from rsn.io.images import read_image
from rsn.results import EMPTY, Person
from rsn.skeleton_files import read_skeleton
from rsn.skeletons import Skeleton
from rsn.training.html_page import html_image, html_page
from rsn.training.recipe import DatasetConfig, Recipe
from rsn.visualization.drawing import draw_boxes, draw_people

LONGEST_SIDE = 480  # pixels of an image on the page
JPEG_QUALITY = 82
MOST_SUSPECTS = 12  # images shown because of what was found in them
MOST_OPENED = 1000  # images that are opened for the page; `rsn data check` opens all
MOST_IDS = 12  # listed of a finding
SIDES = (
    "<p>The person's own sides: <b style='color:#3aa0ff'>left</b>, <b style='color:#d7b320'>middle</b>,"
    " <b style='color:#ff7a33'>right</b></p>"
)


def source_page(source: DatasetConfig, *, people: int, seed: int) -> str:
    """The page of one set: what the check finds in it, and `people` images at random.

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


def _sections(source: DatasetConfig, people: int, seed: int) -> Iterator[str]:
    report = _report(source, seed)
    yield f"<h2>{escape(source.annotations.name)}</h2><p>{escape(report.summary())}</p>"
    yield from _findings(report)
    yield from _facts(report)
    images = list(_images(report))
    suspects = [image_file for image_file in images if image_file.said]
    if suspects:
        yield f"<h3>Where something was found ({min(len(suspects), MOST_SUSPECTS)} of {len(suspects)} images)</h3>"
        yield from _gallery(suspects[:MOST_SUSPECTS], report.skeleton)
    drawn = random.Random(seed).sample(images, min(people, len(images)))
    yield f"<h3>At random ({len(drawn)} of {len(images)} images)</h3>"
    yield from _gallery(drawn, report.skeleton)


def _report(source: DatasetConfig, seed: int) -> Report:
    if not is_mpii(source.annotations):
        skeleton = read_skeleton(source.skeleton) if source.skeleton else None
        return check_dataset(source.annotations, source.images, skeleton, sample=MOST_OPENED, seed=seed)
    # MPII's files are read strictly: what is wrong with them is raised.
    dataset = read_people_file(source.annotations, source.images, head_sizes=source.head_sizes)
    images = len({person.image for person in dataset.people})
    return Report(str(source.annotations), dataset.skeleton, images, dict(enumerate(dataset.people, start=1)))


@dataclass(frozen=True)
class _Image:
    """An image, the people in it by annotation id, and what was found.

    said: about it or them, (level, sentence). meant: whom, by annotation id; nobody where it is about the image.
    """

    file: ImageFile
    people: dict[int | str, PersonAnnotation] = field(default_factory=dict)
    said: list[tuple[str, str]] = field(default_factory=list)
    meant: set[int | str] = field(default_factory=set)


def _images(report: Report) -> Iterable[_Image]:
    """The images that people are in, with the errors and suspicions that are about them."""
    images: dict[ImageFile, _Image] = {}
    for one, person in report.people.items():
        images.setdefault(person.image, _Image(person.image)).people[one] = person
    of_image = {file.id: image_file for file, image_file in images.items()}
    of_person = {one: image_file for image_file in images.values() for one in image_file.people}
    for kind, ids in report.issues.items():
        of = of_image if kind.of == "image" else of_person if kind.of == "annotation" else {}
        for one, about in zip(ids, report.about(kind), strict=True):
            if one in of and kind.level != "note":
                of[one].said.append((kind.level, f"{kind.says}: {kind.of} {about}"))
                of[one].meant.update({one} if of is of_person else ())
    return images.values()


def _findings(report: Report) -> Iterator[str]:
    yield "<ul>" if report.issues else "<p>Nothing was found.</p><ul>"
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
    yield _bars(
        "keypoint: visible + occluded", {keypoint: row[:2] for keypoint, row in report.keypoints().items()}
    )
    marked = {str(count): (number,) for count, number in sorted(report.keypoints_a_person().items())}
    yield _bars("keypoints marked: people", marked)
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


def _gallery(images: Sequence[_Image], skeleton: Skeleton) -> Iterator[str]:
    yield '<div class="grid">'
    for image_file in images:
        name = image_file.file.path.name
        annotations = f"image {image_file.file.id}, annotations {', '.join(map(str, image_file.people))}"
        text = f"image {image_file.file.id}, people: {len(image_file.people)}"
        said = "".join(
            f'<span class="{level}">{escape(sentence)}</span>' for level, sentence in image_file.said
        )
        try:
            pixels = _embedded(_drawn(image_file, skeleton), name)
        except ImageError:  # the check says so, if it opened it
            pixels = ""
        yield (
            f"<figure>{pixels}<figcaption>{escape(name)}"
            f'<span title="{escape(annotations)}">{escape(text)}</span>{said}</figcaption></figure>'
        )
    yield "</div>"


def _drawn(image_file: _Image, skeleton: Skeleton) -> Image:
    """The image, small, with everybody's marked keypoints, and boxes around those in whom something was found."""
    pixels = read_image(image_file.file.path)
    scale = LONGEST_SIDE / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
    people = {
        # The center of the first pixel stays at half a pixel from the edge, whatever the size.
        one: Person.from_keypoints(
            person.box * scale, (person.keypoints + 0.5) * scale - 0.5, (person.visibility > 0) + EMPTY
        )
        for one, person in image_file.people.items()
    }
    boxed = [person for one, person in people.items() if one in image_file.meant]
    return draw_boxes(draw_people(small, list(people.values()), skeleton), boxed)


def _embedded(pixels: Image, what: str) -> str:
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return html_image(data.tobytes(), "jpeg", what)
