"""Images of every format become upright RGB; damaged ones raise an error."""

import io
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from rsn.errors import ImageError
from rsn.geometry import Image
from rsn.io.image_formats import declared_size
from rsn.io.images import Downscale, decode_image, find_images, read_image, write_image

HEIGHT, WIDTH = 40, 60


@pytest.fixture
def pixels() -> Image:
    """Four plain quadrants, whose centers lossy formats keep; all channels and quadrants differ."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:20, :30], image[:20, 30:] = (200, 100, 50), (30, 180, 90)
    image[20:, :30], image[20:, 30:] = (60, 40, 220), (240, 230, 20)
    return image


def encoded(image: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Pillow.Image) else Pillow.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def read(folder: Path, data: bytes, name: str = "image") -> Image:
    path = folder / name
    path.write_bytes(data)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape[2:] == (3,)
    return image


def split_quadrants(image: Image) -> list[list[int]]:
    """The colors at the centers of the four quadrants, row by row."""
    height, width = image.shape[:2]
    return [image[y * height // 4, x * width // 4].tolist() for y in (1, 3) for x in (1, 3)]


def assert_close(image: Image, expected: Image, tolerance: int = 0) -> None:
    assert image.shape == expected.shape
    np.testing.assert_allclose(split_quadrants(image), split_quadrants(expected), atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 6),
        ("JPEG", {"quality": 95}, 4),
        ("JPEG", {"quality": 95, "progressive": True}, 4),
    ],
)
def test_read_image_reads_every_format(
    tmp_path: Path, pixels: Image, kind: str, options: dict[str, Any], tolerance: int
) -> None:
    assert_close(read(tmp_path, encoded(pixels, kind, **options)), pixels, tolerance)


def test_read_image_converts_cmyk(tmp_path: Path, pixels: Image) -> None:
    data = encoded(Pillow.fromarray(pixels).convert("CMYK"), "JPEG", quality=95)
    assert_close(read(tmp_path, data), pixels, 6)


def test_read_image_converts_gray_and_palette(tmp_path: Path, pixels: Image) -> None:
    gray = pixels[..., 0]
    assert_close(read(tmp_path, encoded(gray, "PNG")), np.dstack([gray] * 3))
    palette = Pillow.fromarray(pixels).quantize(4)
    assert palette.mode == "P"
    assert_close(read(tmp_path, encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_read_image_converts_16_bits(tmp_path: Path, pixels: Image, suffix: str) -> None:
    deep = pixels[..., ::-1].astype(np.uint16) << 8 | 0x7F
    assert_close(read(tmp_path, cv2.imencode(suffix, deep)[1].tobytes()), pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_decode_image_keeps_the_upper_8_of_16_bits(pixels: Image, suffix: str) -> None:
    deep = pixels[..., 0].astype(np.uint16) << 8 | 0x7F
    image = decode_image(cv2.imencode(suffix, deep)[1].tobytes(), "gray")
    assert np.array_equal(image, np.dstack([pixels[..., 0]] * 3))


@pytest.mark.parametrize("deep", [False, True])
def test_transparent_pixels_are_put_on_white(tmp_path: Path, pixels: Image, deep: bool) -> None:
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:20, :30], alpha[:20, 30:] = 0, 51
    layers = np.dstack([pixels[..., ::-1], alpha])
    stored = layers.astype(np.uint16) * 257 if deep else layers
    image = read(tmp_path, cv2.imencode(".png", stored)[1].tobytes())
    faint = [round(0.2 * value + 0.8 * 255) for value in pixels[10, 45].tolist()]
    assert split_quadrants(image) == [[255, 255, 255], faint, *split_quadrants(pixels)[2:]]


def test_transparent_palette_and_webp_are_put_on_white(tmp_path: Path, pixels: Image) -> None:
    palette = Pillow.fromarray(pixels).quantize(4)
    hidden = palette.getpixel((15, 10))
    image = read(tmp_path, encoded(palette, "PNG", transparency=hidden))
    assert split_quadrants(image)[0] == [255, 255, 255]
    assert split_quadrants(image)[1:] == split_quadrants(np.asarray(palette.convert("RGB")))[1:]
    alpha = np.where(np.arange(WIDTH) < 30, 0, 255) * np.ones((HEIGHT, 1))
    layers = np.dstack([pixels, alpha.astype(np.uint8)])
    image = read(tmp_path, encoded(layers, "WEBP", lossless=True))
    assert split_quadrants(image)[0] == split_quadrants(image)[2] == [255, 255, 255]
    assert split_quadrants(image)[1] == split_quadrants(pixels)[1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, 3), (8, 1)])
def test_read_image_applies_the_exif_orientation(
    tmp_path: Path, pixels: Image, kind: str, orientation: int, turn: int
) -> None:
    if kind == "WEBP" and tuple(int(part) for part in cv2.__version__.split(".")[:2]) < (4, 13):
        pytest.skip("older OpenCV does not look for EXIF data in a WebP file")
    exif = Pillow.Exif()
    exif[0x112] = orientation
    image = read(tmp_path, encoded(pixels, kind, exif=exif, quality=95))
    assert_close(image, np.rot90(pixels, turn), 6)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 95, "subsampling": 0})])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("size", [(104, 64), (101, 67)])  # divisible by the factor and not
@pytest.mark.parametrize("times", [2, 4, 8])
def test_downscale_averages_pixels(
    kind: str, options: dict[str, Any], orientation: int, size: tuple[int, int], times: Downscale
) -> None:
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    slopes = np.stack([columns * 2, rows * 3, columns + rows], -1).astype(np.uint8)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    data = encoded(slopes, kind, exif=exif.tobytes(), **options)
    whole, downscale_image = decode_image(data, "image"), decode_image(data, "image", downscale=times)
    height, width = whole.shape[0] // times, whole.shape[1] // times
    means = whole[: height * times, : width * times].reshape(height, times, width, times, 3).mean((1, 3))
    assert downscale_image.shape[:2] == (-(-whole.shape[0] // times), -(-whole.shape[1] // times))
    assert np.abs(downscale_image[:height, :width] - means).max() < 4


def test_read_image_reads_long_thin_images(tmp_path: Path) -> None:
    strip = np.zeros((10, 20_000, 3), np.uint8)
    assert read(tmp_path, encoded(strip, "PNG")).shape == strip.shape


def test_read_image_ignores_thumbnails_and_appended_data(tmp_path: Path, pixels: Image) -> None:
    """A film after the image (motion photos), a second image after it, a thumbnail inside it."""
    data = encoded(pixels, "JPEG", quality=95)
    assert_close(read(tmp_path, data + b"film\xff\xda\x00\x00\xff\xc0" * 9), pixels, 4)
    assert_close(read(tmp_path, data + data[:-40]), pixels, 4)
    segment = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    with_thumbnail = data[:2] + segment + data[2:]
    assert_close(read(tmp_path, with_thumbnail), pixels, 4)
    with pytest.raises(ImageError, match="is not an image"):
        read(tmp_path, with_thumbnail[: len(segment) + 20])
    with pytest.raises(ImageError, match="truncated"):
        read(tmp_path, with_thumbnail[:-20])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_read_image_rejects_truncated_files(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, part: float
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(noise, kind)
    kept = min(int(part * len(data)), len(data) - 2)
    if kind == "GIF" and part > 0.9:
        pytest.skip("only the mark of the end is missing, the pixels are all there")
    with pytest.raises(ImageError, match=r"broken\.jpg (is truncated|is not an image)"):
        read(tmp_path, data[:kept], "broken.jpg")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is an empty file"),
        (b"This is no image.\n" * 40, "is not an image"),
        (b"\xff\xd8\xff", "is not an image"),
        (b"\x89PNG\r\n\x1a\n", "is not an image"),
        (b"GIF89a", "is not an image"),
    ],
)
def test_read_image_rejects_other_files(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        read(tmp_path, data, "text.jpg")
    problem, advice = str(caught.value).split("; ")
    assert "text.jpg" in problem
    assert advice.strip()
    assert "\n" not in str(caught.value)


def test_read_image_names_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no image at .*nobody\.jpg; "):
        read_image(tmp_path / "nobody.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 100, 3), (100, 7, 3)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_read_image_rejects_tiny_images(tmp_path: Path, shape: tuple[int, int, int], kind: str) -> None:
    with pytest.raises(ImageError, match=f"only {shape[1]} x {shape[0]} pixels"):
        read(tmp_path, encoded(np.zeros(shape, np.uint8), kind))


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def test_read_image_rejects_huge_images_before_decoding(tmp_path: Path, pixels: Image) -> None:
    jpeg = bytearray(encoded(pixels, "JPEG"))
    frame = jpeg.index(b"\xff\xc0") + 5
    jpeg[frame : frame + 4] = struct.pack(">HH", 30_000, 20_000)
    gif = b"GIF89a" + struct.pack("<HH", 20_000, 30_000) + encoded(pixels, "GIF")[10:]
    for data in (png_of_size(20_000, 30_000), bytes(jpeg), gif):
        with pytest.raises(ImageError, match="20000 x 30000 pixels; scale it down to at most 180 megapixels"):
            read(tmp_path, data)


def test_read_image_rejects_unreadable_pixels(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for start in (b"RIFF\x64\0\0\0WEBPVP8 ", b"II*\0\x08\0\0\0", b"BM"):
        with pytest.raises(ImageError, match="convert it to JPEG or PNG"):
            read(tmp_path, start + bytes(range(100)))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {}), ("WEBP", {"lossless": True})],
)
def test_declared_size_reads_the_header(pixels: Image, kind: str, options: dict[str, Any]) -> None:
    data = encoded(pixels, kind, **options)
    assert declared_size(data) == (WIDTH, HEIGHT)
    assert decode_image(data, "image").shape == (HEIGHT, WIDTH, 3)
    for length in range(64):
        declared_size(data[:length])  # truncated data is no error


def test_declared_size_of_animations_and_other_files(pixels: Image) -> None:
    frames = [Pillow.fromarray(pixels), Pillow.fromarray(255 - pixels)]
    animation = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    assert animation[12:16] == b"VP8X"
    assert declared_size(animation) == (WIDTH, HEIGHT)
    for data in (b"", b"BM and other text that is long enough", b"<svg/>", encoded(pixels, "TIFF")):
        assert declared_size(data) is None


def test_decode_image_is_thread_safe(pixels: Image) -> None:
    limit = Pillow.MAX_IMAGE_PIXELS
    data = encoded(pixels, "PNG")
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(decode_image, [data] * 200, ["image"] * 200))
    assert all(np.array_equal(image, pixels) for image in images)
    assert limit == Pillow.MAX_IMAGE_PIXELS


def test_find_images_lists_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deeper.jpg").mkdir(parents=True)
    for name in ("b.PNG", "a.jpeg", "c.webp", "notes.txt", "._a.jpeg", "deeper.jpg/d.jpg"):
        (folder / name).touch()
    missing, odd = tmp_path / "missing.jpg", folder / "notes.txt"
    found = find_images([missing, folder, odd])
    assert found == [missing, *(folder / name for name in ("a.jpeg", "b.PNG", "c.webp")), odd]
    assert find_images([]) == []


def test_find_images_rejects_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageError, match="no image directly in"):
        find_images([tmp_path])


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 6), (".JPEG", 6), (".webp", 8)])
def test_write_image_can_be_read_again(tmp_path: Path, pixels: Image, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"größe 人{suffix}"
    write_image(path, pixels)
    assert_close(read_image(path), pixels, tolerance)
    assert list(tmp_path.iterdir()) == [path]


def test_write_image_rejects_other_suffixes_and_sizes(tmp_path: Path, pixels: Image) -> None:
    with pytest.raises(ImageError, match=r"must end in one of \.jpeg, \.jpg, \.png, \.webp"):
        write_image(tmp_path / "image.txt", pixels)
    with pytest.raises(ImageError, match=r"16400 x 8 pixels are too many for \.webp"):
        write_image(tmp_path / "wide.webp", np.zeros((8, 16_400, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_decode_image_rejects_png_chunks_longer_than_the_file(tmp_path: Path) -> None:
    whole = cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))[1].tobytes()
    start = whole.index(b"IDAT") - 4
    longer = whole[:start] + (2**31).to_bytes(4, "big") + whole[start + 4 :]
    with pytest.raises(ImageError, match="is truncated"):
        decode_image(longer, "image.png")
    assert decode_image(whole, "image.png").shape == (20, 20, 3)


@pytest.mark.parametrize("name", ["é" * 300 + ".png", "a\0b.png"])
def test_read_image_rejects_impossible_names(tmp_path: Path, name: str) -> None:
    (path,) = find_images([tmp_path / name])
    with pytest.raises(ImageError, match=r"no image at|cannot read"):
        read_image(path)


def test_reading_images_leaves_the_warning_filters_alone() -> None:
    code = (
        "import warnings; warnings.filterwarnings('error', 'kept'); before = list(warnings.filters);"
        " import rsn; rsn.read_image; rsn.PoseEstimator;"
        " assert all(one in warnings.filters for one in before); print([f for f in warnings.filters if f[3]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "PIL" not in done.stdout
