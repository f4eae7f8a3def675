"""Damaged files of every kind that rsn reads: an answer or a sentence, never another exception.

Long form: python -m pytest tests/test_fuzz.py tests/serving/test_fuzz.py -m slow -s
"""

import json
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image as Pillow
from safetensors.torch import save_file

from fuzzing import THINGS, Amount, amounts, damaged_bytes, damaged_document, fuzz
from people_on_disk import write_people
from rsn.data.checks import check_dataset
from rsn.data.coco import read_coco
from rsn.errors import AnnotationError, RsnError
from rsn.evaluation.body_parts import evaluate_parts
from rsn.evaluation.coco import GroundTruth, evaluate_keypoints
from rsn.evaluation.coco_submission import check_testdev, write_testdev
from rsn.inference.box_checks import filter_boxes
from rsn.inference.box_sources import BoxFile
from rsn.io.image_formats import READS_AVIF
from rsn.io.images import decode_image
from rsn.skeletons import COCO_17, Skeleton
from rsn.weights.loading import load_network
from rsn.weights.metadata import ModelMetadata
from rsn.weights.sources import load_metadata

GRAY = np.zeros((120, 160, 3), np.uint8)


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("fuzz"), images=2)


def results_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    fields = ("image_id", "category_id", "keypoints", "bbox")
    return [{field: one[field] for field in fields} | {"score": 0.5} for one in document["annotations"]]


def as_file(path: Path, document: Any, random: Random) -> Path:
    """The document with damage, written as JSON; now and then the text itself is damaged."""
    text = json.dumps(damaged_document(document, random)).encode()
    path.write_bytes(damaged_bytes(text, random) if random.random() < 0.1 else text)
    return path


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A small image in every format that is read, with and without alpha, EXIF and animation."""
    folder = tmp_path_factory.mktemp("encoded")
    pixels = np.random.default_rng(0).integers(0, 255, (24, 20, 4)).astype(np.uint8)
    alpha, plain = Pillow.fromarray(pixels, "RGBA"), Pillow.fromarray(pixels[..., :3], "RGB")
    exif = Pillow.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tiff", "a.jp2", "a.ppm"):
        plain.save(folder / name)
    for name in ("alpha.png", "alpha.webp", "alpha.tiff"):
        alpha.save(folder / name)
    if READS_AVIF:
        plain.save(folder / "a.avif")
        alpha.save(folder / "alpha.avif")
    for name in ("turned.jpg", "turned.png", "turned.webp"):
        plain.save(folder / name, exif=exif)
    plain.convert("CMYK").save(folder / "cmyk.jpg")
    plain.convert("P").save(folder / "palette.png")
    plain.save(folder / "progressive.jpg", progressive=True)
    plain.save(folder / "several.gif", save_all=True, append_images=[plain.rotate(90)])
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@amounts(1500, 40_000)
def test_damaged_images(encoded: list[bytes], amount: Amount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsn.io.images.MAX_PIXELS", 10**6)  # what a damaged header asks for takes seconds beyond

    def trial(random: Random) -> None:
        data = damaged_bytes(random.choice(encoded), random)
        image = decode_image(data, "image", downscale=random.choice((1, 1, 2, 8)))
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3

    fuzz("images", amount, trial)


@amounts(250, 4000, seconds=3)
def test_damaged_annotations(annotations: Path, tmp_path: Path, amount: Amount) -> None:
    pytest.importorskip("hotcoco")
    sound = json.loads(annotations.read_text(encoding="utf-8"))
    results = results_of(sound)
    images = annotations.parent / "images"

    def trial(random: Random) -> None:
        path = as_file(tmp_path / "people.json", sound, random)
        errors: list[RsnError] = []
        for read in (
            lambda: read_coco(path, images),
            lambda: evaluate_keypoints(path, results, COCO_17),
            lambda: json.dumps(check_dataset(path, images, sample=0).to_dict()),
            lambda: BoxFile.read(path),
        ):
            try:
                read()
            except RsnError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    fuzz("annotations", amount, trial)


@amounts(250, 20_000)
def test_damaged_results(annotations: Path, tmp_path: Path, amount: Amount) -> None:
    pytest.importorskip("hotcoco")
    sound = json.loads(annotations.read_text(encoding="utf-8"))
    truth, results = GroundTruth.from_coco(sound, COCO_17), results_of(sound)

    def trial(random: Random) -> None:
        damaged = damaged_document({"results": results}, random).get("results")
        if not isinstance(damaged, list):
            raise AnnotationError("as rsn score says it")
        scores = evaluate_keypoints(truth, damaged, COCO_17)
        assert 0 <= scores.ap <= 1
        if random.random() < 0.1:
            evaluate_parts(truth, damaged, COCO_17)

    fuzz("results", amount, trial)


@amounts(300, 5000)
def test_damaged_submissions(tmp_path: Path, amount: Amount) -> None:
    results = [{"image_id": 7, "category_id": 1, "keypoints": [float(n)] * 51, "score": 0.5} for n in range(3)]
    path = tmp_path / "out.zip"

    def trial(random: Random) -> None:
        if random.random() < 0.5:
            write_testdev(results, path, algorithm="rsn")
            path.write_bytes(damaged_bytes(path.read_bytes(), random))
        else:
            damaged = damaged_document(results, random)
            try:
                write_testdev(damaged, path, algorithm="rsn")
            except (KeyError, TypeError, AttributeError):
                return  # they come from a model; only what a zip holds is a user's
        check_testdev(path, {7})

    fuzz("submissions", amount, trial)


@amounts(800, 20_000)
def test_damaged_boxes(annotations: Path, tmp_path: Path, amount: Amount) -> None:
    document = json.loads(annotations.read_text(encoding="utf-8"))
    box = [5.0, 8.0, 60.0, 95.0]
    forms: list[Any] = [
        {"1.png": [box, [*box, 0.5]], "2.png": []},
        [{"image_id": number, "category_id": 1, "bbox": box, "score": 0.5} for number in (1, 1, 2)],
        [{"image_id": 1, "file_name": "1.png", "bbox": box, "score": 0.5, "keypoints": [0.0] * 51}],
        document,
    ]

    def trial(random: Random) -> None:
        path = as_file(tmp_path / "boxes.json", random.choice(forms), random)
        category = random.choice((None, None, "any", "person", "1"))
        boxes = BoxFile.read(path, category=category)
        assert boxes.summary()
        for name in ("1.png", "000000000001.png", 1, 2, "2"):
            found = boxes.of_image(name)
            if found is not None:
                usable, _, notes = filter_boxes(*found, GRAY.shape[:2])
                assert np.isfinite(usable).all()
                assert len(usable) + sum(notes.skipped.values()) == len(found[0])

    fuzz("boxes", amount, trial)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file as torch.save writes it, of no network that rsn knows."""
    path = tmp_path_factory.mktemp("checkpoint") / "net.pth"
    torch.save({"state_dict": {"layer.weight": torch.zeros(3, 4), "layer.bias": torch.zeros(3)}, "epoch": 3}, path)
    return path.read_bytes()


@amounts(300, 5000)
def test_damaged_weights(checkpoint: bytes, tmp_path: Path, amount: Amount) -> None:
    path = tmp_path / "damaged.safetensors"
    metadata = ModelMetadata("rsn18", input_size=(64, 64))
    save_file({"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}, path, metadata.to_metadata())
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    described = json.loads(data[8 : 8 + header])
    ((key, text),) = described["__metadata__"].items()

    def damaged(random: Random) -> bytes:
        kind = random.random()
        if kind < 0.3:
            return damaged_bytes(checkpoint, random)
        if kind < 0.5:
            return damaged_bytes(data, random)
        if kind < 0.9:  # the metadata alone
            new = described | {"__metadata__": {key: json.dumps(damaged_document(json.loads(text), random))}}
        else:
            new = damaged_document(described, random)
        packed = json.dumps(new).encode()
        packed += b" " * (-len(packed) % 8)
        return len(packed).to_bytes(8, "little") + packed + data[8 + header :]

    def trial(random: Random) -> None:
        path.write_bytes(damaged(random))
        with pytest.raises(RsnError):  # whatever the metadata says, these tensors are no network's
            load_network(path)
        load_metadata(path)

    fuzz("weights", amount, trial)


@amounts(250, 5000)
def test_damaged_recipes_and_skeleton_files(recipe_file: Path, tmp_path: Path, amount: Amount) -> None:
    from rsn.training.recipe import read_recipe

    recipe = yaml.safe_load(recipe_file.read_text(encoding="utf-8"))
    recipe |= {
        "augmentation": {"scale": [0.7, 1.0], "max_rotation": 40},
        "trained_on": "drawn",
        "codec": "megvii",
    }
    skeleton = {
        "name": "cat", "keypoints": ["nose", "left_paw", "right_paw"], "limbs": [["nose", "left_paw"]],
        "flip": [["left_paw", "right_paw"]], "sigmas": {"nose": 0.1, "left_paw": 0.1, "right_paw": 0.1},
    }  # fmt: skip
    path = tmp_path / "damaged.yaml"

    def trial(random: Random) -> None:
        document, read = random.choice(((recipe, read_recipe), (skeleton, Skeleton.from_file)))
        text = yaml.safe_dump(damaged_document(document, random)).encode("utf-8", "surrogatepass")
        path.write_bytes(damaged_bytes(text, random) if random.random() < 0.3 else text)
        read(path)

    fuzz("recipes", amount, trial)


def _ways(document: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything in a document; of long lists, to the first two."""
    entries = document.items() if isinstance(document, dict) else enumerate(document[:2])
    ways = [above] if above else []
    for key, value in entries if isinstance(document, dict | list) else ():
        ways += _ways(value if isinstance(value, dict | list) else [], (*above, key))
    return ways


@amounts(300, 100_000)
def test_anything_anywhere_in_annotations(annotations: Path, tmp_path: Path, amount: Amount) -> None:
    """Every thing in every place, one at a time; the long form does all of them."""
    pytest.importorskip("hotcoco")
    text = annotations.read_text(encoding="utf-8")
    results = results_of(json.loads(text))
    path, images = tmp_path / "people.json", annotations.parent / "images"
    changes = [(way, thing) for way in _ways(json.loads(text)) for thing in (*THINGS, "gone")]
    Random(0).shuffle(changes)
    waiting = iter(changes)

    def trial(_: Random) -> None:
        way, thing = next(waiting)
        document = inner = json.loads(text)
        for key in way[:-1]:
            inner = inner[key]
        if thing == "gone":
            del inner[way[-1]]
        else:
            inner[way[-1]] = thing
        path.write_text(json.dumps(document))
        with suppress(RsnError):
            report = check_dataset(path, images, sample=0)
            assert report.table()
        read_coco(path, images)
        evaluate_keypoints(document, results, COCO_17)

    fuzz("anywhere", Amount(min(amount.trials, len(changes)), amount.seconds), trial)
