"""Datasets and recipes to look at: an HTML page with issues, counts and labeled images; an image of augmented crops."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from rsn.codecs import Codec, HeatmapCodec
from rsn.data.annotations import ImageFile, PersonAnnotation
from rsn.data.checks import check_dataset
from rsn.data.issues import LEVELS, Report
from rsn.data.loading import Batch, CropDataset, SampleIndex
from rsn.data.mpii import is_mpii
from rsn.errors import ImageError, RsnError
from rsn.geometry import Image
from rsn.io.images import read_image
from rsn.io.pages import data_uri, render_page
from rsn.results import EMPTY, Person
from rsn.skeletons import Skeleton
from rsn.training.recipe import DatasetConfig, Recipe
from rsn.training.samples import tile_images
from rsn.visualization.drawing import draw_boxes, draw_heatmaps, draw_people

LONGEST_SIDE = 480  # pixels of an image on the page
JPEG_QUALITY = 82
COLUMNS = 6  # of pairs of a crop and its targets
MAX_SUSPECTS = 12  # images shown because of findings
MAX_OPENED = 1000  # images that are checked for the page; `rsn data check` checks all


def dataset_page(source: DatasetConfig, *, people: int, seed: int) -> bytes:
    """The page of one dataset: findings, and `people` images at random.

    Raises:
        AnnotationError: annotations that cannot be read at all (see `check_dataset`).
    """
    sections = [_section(source, people, seed)]
    return render_page("dataset.html", title="Dataset", crops="", crops_error="", sections=sections)


def recipe_page(name: str, recipe: Recipe, *, people: int, seed: int) -> bytes:
    """The page of a recipe: augmented crops, and each of its datasets as in `dataset_page`."""
    crops, crops_error, sections = "", "", []
    try:
        crops = _jpeg(draw_crops(recipe, people=people, seed=seed))
    except RsnError as error:
        crops_error = str(error)
    for source in dict.fromkeys((*recipe.train, recipe.validation)):
        try:
            sections.append(_section(source, people, seed))
        except RsnError as error:
            sections.append({"title": source.annotations, "error": error})
    return render_page("dataset.html", title=name, crops=crops, crops_error=crops_error, sections=sections)


def _section(source: DatasetConfig, people: int, seed: int) -> dict[str, Any]:
    """What the template shows about a dataset."""
    report = _report(source, seed)
    images = _labeled_images(report)
    suspects = [image for image in images if image.findings]
    sample = random.Random(seed).sample(images, min(people, len(images)))
    galleries = {
        f"With findings ({min(len(suspects), MAX_SUSPECTS)} of {len(suspects)} images)": suspects[:MAX_SUSPECTS],
        f"At random ({len(sample)} of {len(images)} images)": sample,
    }
    return {
        "title": source.annotations.name,
        "error": "",
        "summary": report.summary(),
        "findings": [
            {
                "level": level, "count": len(ids), "text": kind.message, "advice": kind.advice,
                "listed": report.found.list_ids(kind),
            }
            for level in LEVELS
            for kind, ids in report.of_level(level).items()
        ],
        "charts": {
            "keypoint: visible + occluded": {name: row[:2] for name, row in report.keypoints().items()},
            "labeled keypoints: people": {
                count: [number] for count, number in report.keypoints_per_person().items()
            },
            "box height, pixels: people": _box_heights(report),
        },
        "galleries": {
            title: [_figure(image, report.skeleton) for image in shown] for title, shown in galleries.items()
        },
    }  # fmt: skip


def _report(source: DatasetConfig, seed: int) -> Report:
    if source.dataset is None and not is_mpii(source.annotations):
        skeleton = Skeleton.from_file(source.skeleton) if source.skeleton else None
        return check_dataset(source.annotations, source.images, skeleton, sample=MAX_OPENED, seed=seed)
    # Files of MPII and of the benchmarks are read strictly: errors in them are raised.
    dataset = source.read_labels()
    images = len({person.image for person in dataset.people})
    return Report(str(source.annotations), dataset.skeleton, images, dict(enumerate(dataset.people, start=1)))


@dataclass(frozen=True)
class _LabeledImage:
    """An image with its people by annotation id, and findings (level, text); suspects: ids of people with findings."""

    file: ImageFile
    people: dict[int | str, PersonAnnotation] = field(default_factory=dict)
    findings: list[tuple[str, str]] = field(default_factory=list)
    suspects: set[int | str] = field(default_factory=set)


def _labeled_images(report: Report) -> Sequence[_LabeledImage]:
    """The images with people, and the errors and warnings about them."""
    images: dict[ImageFile, _LabeledImage] = {}
    for annotation_id, person in report.people.items():
        images.setdefault(person.image, _LabeledImage(person.image)).people[annotation_id] = person
    by_image = {file.id: image for file, image in images.items()}
    by_person = {annotation_id: image for image in images.values() for annotation_id in image.people}
    for kind, ids in report.issues.items():
        lookup = {"image": by_image, "annotation": by_person}.get(kind.of, {})
        for one, about in zip(ids, report.found.describe(kind), strict=True):
            if one in lookup and kind.level != "note":
                lookup[one].findings.append((kind.level, f"{kind.message}: {kind.of} {about}"))
                lookup[one].suspects.update({one} if kind.of == "annotation" else ())
    return list(images.values())


def _box_heights(report: Report) -> dict[str, list[int]]:
    """Numbers of boxes by height, in steps of a factor of two."""
    heights = [person.box[3] for person in report.people.values() if person.box[3] > 0]
    octaves = Counter(int(np.log2(max(height, 1))) for height in heights)
    steps = range(min(octaves, default=0), max(octaves, default=-1) + 1)
    return {f"{2**step} to {2 ** (step + 1)}": [octaves[step]] for step in steps}


def _figure(image: _LabeledImage, skeleton: Skeleton) -> dict[str, Any]:
    try:
        source = _jpeg(_draw(image, skeleton))
    except ImageError:  # which is among the findings
        source = ""
    return {
        "source": source, "name": image.file.path.name, "id": image.file.id, "people": list(image.people),
        "findings": image.findings,
    }  # fmt: skip


def _draw(image: _LabeledImage, skeleton: Skeleton) -> Image:
    """A small image with the labeled keypoints of all people, and boxes around those with findings."""
    pixels = read_image(image.file.path)
    scale = LONGEST_SIDE / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)
    people = {
        # The center of the first pixel is half a pixel from the edge at any size.
        one: Person.from_keypoints(
            person.box * scale, (person.keypoints + 0.5) * scale - 0.5, (person.visibility > 0) + EMPTY
        )
        for one, person in image.people.items()
    }
    suspects = [person for one, person in people.items() if one in image.suspects]
    return draw_boxes(draw_people(small, list(people.values()), skeleton), suspects)


def _jpeg(pixels: Image) -> str:
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return data_uri(data.tobytes(), "jpeg")


def draw_crops(recipe: Recipe, *, people: int, seed: int) -> Image:
    """Crops of randomly chosen people as the network gets them: a grid of pairs, six per row.

    Left in each pair are the keypoints, without absent ones, and right the finest target heatmaps.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        RecipeError, AnnotationError, ImageError: data that the recipe names cannot be read.
    """
    from rsn.training.run import read_people, read_training_sets  # imports lightning, which takes seconds

    dataset, _ = read_training_sets(recipe, read_people(recipe.validation).skeleton)
    crops = CropDataset(dataset, recipe.input_size, recipe.augmentation, seed=seed)
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:people]
    pairs = [_pair(crops[SampleIndex(0, int(person))], dataset.skeleton, recipe.codec) for person in chosen]
    return tile_images(pairs, COLUMNS)


def _pair(crop: Batch, skeleton: Skeleton, codec: Codec) -> Image:
    pixels = np.ascontiguousarray(crop["image"].permute(1, 2, 0).numpy())
    size = (pixels.shape[0], pixels.shape[1])
    visible = (crop["visibility"] > 0).double().numpy()
    person = Person.from_keypoints(np.zeros(4), crop["keypoints"].numpy(), visible + EMPTY)
    labels = draw_people(pixels, [person], skeleton)
    if not isinstance(codec, HeatmapCodec):  # targets of other codecs are no images
        return np.hstack([labels, pixels])
    targets = codec.encode(crop["keypoints"][None], crop["visibility"][None], size)
    return np.hstack([labels, draw_heatmaps(pixels, targets[0, -1].numpy())])
