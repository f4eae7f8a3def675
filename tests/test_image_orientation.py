"""Images are rotated upright in every format; images of a folder are read or named."""

import io
import json
import warnings
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from people_on_disk import write_people
from rsn.data import issues as kinds
from rsn.data.checks import check_dataset
from rsn.data.issues import Report
from rsn.errors import ImageError, RsnWarning
from rsn.geometry import Image
from rsn.io.image_formats import READS_AVIF, orientation_of
from rsn.io.images import decode_image, find_images

# The effect of each orientation on stored pixels, as NumPy functions.
TURNS: dict[int, Any] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
# `stored(transparent=False)` as HEIC, orientation 6: the installed reader, pi-heif, cannot write such files.
TURNED_HEIC = b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAchtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ADRpbG9jAAAAAERAAAIAAQAAAAAB7AABAAAAAAAAAT4AAgAAAAADKgABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABB2lwcnAAAADmaXBjbwAAAHZodmNDAQNwAAAA"
    "kAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq"
    "5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xh"
    "cAAAADAAAAABAAAAIAAAAAH////wAAAAAv///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAAAlpcm90AwAAABlpcG1hAAAAAAAAAAEA"
    "AQaBAgMFhIYAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAWptZGF0AAABOigBrwT47Z70S1vq0P//kp/f/gy/hPPiav+R2wv/"
    "99e9szSqT4sOMGsFNt14wP8Of6N9fHl/75DKN4FcB/rOWieue//0is1sjCncP/Uc//3eVt8NTtf/9ySjrdFJjqXNr2PmMlJuaDDh"
    "Bk3OirWt7q5BswtEGK7GIoioVmzw2k3YsdVw+STauJNizag0W0KSckkPAWMLc4e0D+ZgNpxX41ME8/7QraV8WmJf6KXBisfIsO0k"
    "nlmJGiDe8ADAFLB6dDASgGrdXpR7gABBn8Jhv8pcRrCsuYHyikxOvUEebWrIQ+kmd8S874sVIcPAA0YrvETjun9Ho8X5zPcABGdx"
    "X3phHxxZwiYnjBwclsrhtwX/3K4qtyf/q5s/x/i+DhVV/i5bZUu8N6R6epx8jZ3mYbKcTUgazWWTOGJOAAAABkV4aWYAAE1NACoA"
    "AAAIAAEBEgADAAAAAQAGAAAAAAAA"
)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


def stored(*, transparent: bool) -> Image:
    """(32, 48, 3 or 4): all quadrants differ; the left part of the upper left one is transparent."""
    pixels = np.full((32, 48, 4), 255, np.uint8)
    pixels[:16, :24, :3], pixels[:16, 24:, :3] = (200, 100, 50), (30, 180, 90)
    pixels[16:, :24, :3], pixels[16:, 24:, :3] = (60, 40, 220), (240, 230, 20)
    pixels[:16, :12, 3] = 0
    return pixels if transparent else pixels[..., :3]


def on_white(pixels: Image) -> Image:
    if pixels.shape[2] == 3:
        return pixels
    return np.where(pixels[..., 3:] == 0, np.uint8(255), pixels[..., :3])


def encoded(pixels: Image, kind: str, orientation: int, **options: Any) -> bytes:
    if kind == "AVIF" and not READS_AVIF:
        pytest.skip("needs Pillow 11.3")
    exif, file = Pillow.Exif(), io.BytesIO()
    exif[0x112] = orientation
    Pillow.fromarray(pixels).save(file, kind, exif=exif.tobytes(), **options)
    return file.getvalue()


def assert_close(image: Image, expected: Image) -> None:
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 5


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("kind", "transparent", "options"),
    [
        ("JPEG", False, {"quality": 95}),
        ("MPO", False, {"quality": 95}),
        ("PNG", False, {}),
        ("PNG", True, {}),
        ("WEBP", False, {"quality": 95}),
        ("WEBP", True, {"lossless": True}),
        ("AVIF", False, {"quality": 95}),
        ("AVIF", True, {"quality": 95}),
        ("TIFF", False, {}),
        ("TIFF", True, {}),
    ],
)
def test_decode_image_applies_the_orientation(
    kind: str, transparent: bool, options: dict[str, Any], orientation: int
) -> None:
    pixels = stored(transparent=transparent)
    data = encoded(pixels, kind, orientation, **options)
    assert_close(decode_image(data, kind), TURNS[orientation](on_white(pixels)))
    assert orientation_of(data) == orientation


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_decode_image_rotates_gray_and_palette_images_with_transparency(mode: str) -> None:
    image = Pillow.fromarray(stored(transparent=True))
    image = image.convert("LA") if mode == "LA" else image.quantize(8)
    exif, file = Pillow.Exif(), io.BytesIO()
    exif[0x112] = 6
    image.save(file, "PNG", exif=exif.tobytes())
    assert_close(decode_image(file.getvalue(), mode), np.rot90(on_white(np.asarray(image.convert("RGBA"))), -1))


def test_decode_image_rotates_downscaled_images() -> None:
    data = encoded(stored(transparent=False), "PNG", 6)
    assert decode_image(data, "p", downscale=4).shape == (12, 8, 3)


def test_decode_image_reads_heic_upright() -> None:
    pytest.importorskip("pi_heif")
    assert_close(decode_image(TURNED_HEIC, "h"), TURNS[6](stored(transparent=False)))
    assert orientation_of(TURNED_HEIC) == 6


def test_avif_without_reader_names_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rsn.io.image_formats.READS_AVIF", False)
    with pytest.raises(ImageError, match=r"a\.avif is an AVIF image.*pip install 'pillow>=11\.3', or convert it"):
        decode_image(b"\0\0\0\x1cftypavif" + bytes(200), "a.avif")


def test_heic_without_reader_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsn.io.image_formats._HEIF_READERS", ("no_such_reader",))
    with pytest.raises(ImageError, match=r"a\.heic is a HEIF image.*pip install 'rsn-pose\[heif\]', or convert it"):
        decode_image(HEIC, "a.heic")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_decode_image_rejects_truncated_avif(share: float) -> None:
    data = encoded(stored(transparent=True), "AVIF", 6)
    with pytest.raises(ImageError):
        decode_image(data[: int(share * len(data))], "a.avif")


def test_orientation_of_other_files_is_1() -> None:
    assert orientation_of(b"no image") == orientation_of(b"") == orientation_of(HEIC) == 1


def test_find_images_accepts_every_jpeg_suffix(tmp_path: Path) -> None:
    names = ["a.JFIF", "b.jpe", "c.mpo", "d.HEIC", "e.heif", "f.jpg", "g.apng", "h.ppm"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in find_images([tmp_path])] == names


def test_find_images_warns_about_skipped_images(tmp_path: Path) -> None:
    jpeg = encoded(stored(transparent=False), "JPEG", 1)
    for name in ("a.jpg", "b", "c.jpg_large", "d.bak"):
        (tmp_path / name).write_bytes(jpeg)
    (tmp_path / "d2").write_bytes(HEIC)
    for name in ("e.jxl", "f.CR2", ".hidden.jxl", "notes.txt", "clip.mp4"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.warns(
        RsnWarning, match=r"6 files that look like images are skipped: b, c.jpg_large, d.bak, d2, e.jxl, f"
    ):
        assert [path.name for path in find_images([tmp_path])] == ["a.jpg"]


def test_find_images_names_unsupported_images_of_a_folder_without_others(tmp_path: Path) -> None:
    (tmp_path / "a.jxl").touch()
    with pytest.raises(ImageError, match=r"no image directly in .*; 1 file that looks like an image is skipped: a.jxl"):
        find_images([tmp_path])


def test_find_images_ignores_other_files_silently(tmp_path: Path) -> None:
    for name in ("a.jpg", "notes.txt", "labels.json", "clip.mp4"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypisom" if name == "clip.mp4" else b"{}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_images([tmp_path])


def check_rotated(folder: Path, *, orientation: int, turned: Any, size: tuple[int, int] | None) -> Report:
    """Check a drawn dataset whose first image is stored rotated; size is (width, height) in the annotations."""
    path = write_people(folder, images=2)
    document = json.loads(path.read_text())
    image = folder / "images" / document["images"][0]["file_name"]
    pixels = np.asarray(Pillow.open(image))
    image.write_bytes(encoded(np.ascontiguousarray(turned(pixels)), "PNG", orientation))
    if size:
        document["images"][0] |= {"width": size[0], "height": size[1]}
    else:
        del document["images"][0]["width"]
    path.write_text(json.dumps(document))
    return check_dataset(path, folder / "images")


@pytest.mark.parametrize(
    ("orientation", "turned", "size", "kind"),
    [
        (6, lambda a: np.rot90(a), (160, 120), None),  # stored rotated, annotated upright
        (6, lambda a: a, (160, 120), kinds.EXIF_IGNORED),  # annotated as stored
        (5, lambda a: a, (160, 120), kinds.EXIF_IGNORED),
        (8, lambda a: a, None, kinds.EXIF_IGNORED),  # by the keypoints
        (3, lambda a: a[::-1, ::-1], (160, 120), kinds.EXIF_ROTATED),  # the size is the same
        (6, lambda a: np.rot90(a), (200, 120), kinds.SIZE_MISMATCH),
        (1, lambda a: a, (120, 160), kinds.SIZE_MISMATCH),
    ],
)
def test_check_dataset_recognizes_annotations_of_the_unrotated_image(
    tmp_path: Path, orientation: int, turned: Any, size: tuple[int, int] | None, kind: Any
) -> None:
    report = check_rotated(tmp_path, orientation=orientation, turned=turned, size=size)
    of_size = {kinds.EXIF_IGNORED, kinds.EXIF_ROTATED, kinds.SIZE_MISMATCH} & report.issues.keys()
    assert of_size == ({kind} if kind else set())
    assert kind is None or report.issues[kind] == [1]
