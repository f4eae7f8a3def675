"""The web page in a real browser; skipped without Chromium."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import pytest

from pose_service import Client, estimator_of, running
from rsn.serving.app import create_app

api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
api.expect.set_options(timeout=20_000)  # ms; machines that also run other tests are slow
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")

Page = Any  # playwright's, which may not be installed


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"],
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, service: Client) -> Iterator[Page]:
    """A new page; errors in the browser and requests to other hosts fail the test."""
    opened = browser.new_page(permissions=["camera"])
    complaints: list[str] = []
    elsewhere: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    own = (service.url, "blob:", "data:")
    opened.on("request", lambda request: None if request.url.startswith(own) else elsewhere.append(request.url))
    opened.goto(service.url)
    api.expect(opened.locator("#model option")).to_have_count(2)
    yield opened
    opened.close()
    assert [text for text in complaints if "the server responded with a status of" not in text] == []
    assert elsewhere == []


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two images, 400 x 300 and 300 x 400."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / "wide.png", folder / "high.jpg"]
    for path, shape in zip(paths, ((300, 400, 3), (400, 300, 3)), strict=True):
        cv2.imwrite(str(path), random.integers(0, 255, shape).astype(np.uint8))
    return paths


def open_files(page: Page, *paths: Path) -> None:
    page.set_input_files("#files", [str(path) for path in paths])


def show_all(page: Page) -> None:
    """Show low-scoring keypoints, because the network is untrained."""
    page.locator("#keypoint-score").fill("0")


def people(page: Page) -> Any:
    return page.locator("#people button")


def test_opened_image_gets_skeleton(page: Page, images: list[Path], service: Client) -> None:
    open_files(page, images[0])
    show_all(page)
    api.expect(page.locator("#status")).to_have_text("wide.png: 1 person, 400 x 300 pixels")
    api.expect(page.locator("#overlay .keypoint")).to_have_count(17)
    found = service.people(images[0].read_bytes()).json["people"][0]
    keypoint = page.locator('#overlay [data-keypoint="9"] circle').nth(1)
    assert [float(keypoint.get_attribute(name)) for name in ("cx", "cy")] == found["keypoints"][27:29]
    page.locator("#keypoint-score").fill("1")
    api.expect(page.locator("#overlay .keypoint")).to_have_count(sum(score >= 1 for score in found["keypoints"][2::3]))
    page.locator("#person-score").fill("1")
    api.expect(page.locator("#count")).to_have_text("(0 of 1)")
    api.expect(page.locator("#overlay .box")).to_have_count(0)
    api.expect(page.locator("#status")).to_have_text("wide.png: no people, 400 x 300 pixels")


def test_hovered_keypoint_shows_name_and_score(page: Page, images: list[Path], service: Client) -> None:
    open_files(page, images[0])
    show_all(page)
    scores = service.people(images[0].read_bytes()).json["people"][0]["keypoints"][2::3]
    tip = page.locator("#tip")
    page.locator("#keypoints button").nth(9).hover()
    api.expect(tip).to_have_text(f"left wrist · {scores[9]:.2f}")
    page.locator("h1").hover()
    api.expect(tip).to_be_hidden()
    page.locator('#overlay [data-keypoint="0"]').dispatch_event("pointerover")
    api.expect(tip).to_have_text(f"nose · {scores[0]:.2f}")


def test_images_are_selected_from_strip(page: Page, images: list[Path]) -> None:
    open_files(page, *images)
    api.expect(page.locator("#status")).to_contain_text("wide.png")
    page.get_by_role("button", name="high.jpg").click()
    api.expect(page.locator("#status")).to_have_text("high.jpg: 1 person, 300 x 400 pixels")
    pressed = page.locator('#strip [aria-pressed="true"]')
    api.expect(pressed).to_have_attribute("title", "high.jpg")
    page.select_option("#model", "flipped")
    api.expect(page.locator("#busy")).to_be_hidden()
    page.get_by_role("button", name="wide.png").click()
    api.expect(page.locator("#status")).to_contain_text("wide.png: 1 person")


def test_boxes_are_drawn_with_pointer(page: Page, images: list[Path]) -> None:
    open_files(page, images[0])
    api.expect(people(page)).to_have_count(1)  # the layout no longer changes
    page.get_by_role("button", name="Draw").click()
    frame = page.locator("#image").bounding_box()
    for left, right in ((0.1, 0.4), (0.9, 0.5)):
        page.mouse.move(frame["x"] + left * frame["width"], frame["y"] + 0.2 * frame["height"])
        page.mouse.down()
        page.mouse.move(frame["x"] + right * frame["width"], frame["y"] + 0.8 * frame["height"])
        page.mouse.up()
    api.expect(people(page)).to_have_count(2)
    boxes = [box_of(page, number) for number in (0, 1)]
    np.testing.assert_allclose(boxes, [[40, 60, 120, 180], [200, 60, 160, 180]], atol=1.5)
    page.get_by_role("button", name="Reset").click()
    api.expect(people(page)).to_have_count(1)
    assert box_of(page, 0) == [0, 0, 400, 300]


def boxes_asked_for(url: str) -> Any:
    return json.loads(parse_qs(urlsplit(url).query).get("boxes", ["null"])[0])


def box_of(page: Page, number: int) -> list[float]:
    shape = page.locator(f'#overlay [data-box="{number}"]')
    return [float(shape.get_attribute(name)) for name in ("x", "y", "width", "height")]


def test_page_works_with_keyboard_alone(page: Page, images: list[Path]) -> None:
    open_files(page, images[0])
    api.expect(people(page)).to_have_count(1)
    page.locator("#add-box").focus()
    page.keyboard.press("Enter")
    api.expect(page.locator('#overlay [data-box="0"]')).to_be_focused()
    before = box_of(page, 0)
    with page.expect_request(lambda request: boxes_asked_for(request.url) not in ([before], None)) as asked:
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
    after = box_of(page, 0)
    assert after == [before[0] + 8, before[1], before[2], before[3] + 8]
    assert boxes_asked_for(asked.value.url) == [after]
    api.expect(page.locator("#busy")).to_be_hidden()
    api.expect(page.locator('#overlay [data-box="0"]')).to_be_focused()
    page.keyboard.press("Delete")
    api.expect(people(page)).to_have_count(0)
    page.locator("#reset-boxes").focus()
    page.keyboard.press("Enter")
    people(page).first.focus()
    page.keyboard.press("Tab")
    api.expect(page.locator("#heatmap")).to_be_focused()
    page.keyboard.press("Tab")
    api.expect(page.locator("#keypoints button").first).to_be_focused()
    api.expect(page.locator("#tip")).to_contain_text("nose")


def test_selected_heatmap_is_shown(page: Page, images: list[Path], service: Client) -> None:
    open_files(page, images[0])
    page.select_option("#heatmap", label="left wrist")
    overlay = page.locator("#overlay image.heatmap")
    api.expect(overlay).to_have_count(1)
    placed = [float(number) for number in overlay.get_attribute("transform")[7:-1].split()]
    heatmaps = service.post("/api/heatmaps", images[0].read_bytes()).json
    np.testing.assert_allclose(placed, heatmaps["matrix"])
    one = overlay.get_attribute("href")
    page.select_option("#heatmap", "all")
    api.expect(overlay).not_to_have_attribute("href", one)
    page.select_option("#heatmap", "")
    api.expect(overlay).to_have_count(0)


def test_json_and_image_are_saved(page: Page, images: list[Path], service: Client, tmp_path: Path) -> None:
    open_files(page, images[0])
    show_all(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save JSON").click()
    assert download.value.suggested_filename == "wide_poses.json"
    download.value.save_as(tmp_path / "poses.json")
    saved = json.loads((tmp_path / "poses.json").read_text())
    assert saved == {"file_name": "wide.png"} | service.people(images[0].read_bytes()).json
    with page.expect_download() as download:
        page.get_by_role("button", name="Save image").click()
    download.value.save_as(tmp_path / "image.png")
    drawn, original = cv2.imread(str(tmp_path / "image.png")), cv2.imread(str(images[0]))
    assert drawn.shape == original.shape
    changed = (np.abs(drawn.astype(int) - original) > 2).any(-1).mean()
    assert 0.001 < changed < 0.5, "skeletons are on it, and the image is beneath them"


def test_invalid_files_show_an_error(page: Page, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "cut.jpg").write_bytes(images[1].read_bytes()[:5000])
    status = page.locator("#status.bad")
    open_files(page, tmp_path / "notes.svg")
    api.expect(status).to_contain_text("The body is not a JPEG, PNG")
    open_files(page, tmp_path / "cut.jpg")
    api.expect(status).to_contain_text("The image is truncated")
    (tmp_path / "huge.png").write_bytes(bytes(25_000_001))
    open_files(page, tmp_path / "huge.png")
    api.expect(status).to_have_text("huge.png is larger than 25 megabytes; make it smaller.")
    (tmp_path / "film.mp4").write_bytes(b"no film")
    open_files(page, tmp_path / "film.mp4")
    api.expect(status).to_contain_text("Cannot open film.mp4")
    open_files(page, images[0])
    api.expect(page.locator("#status")).to_have_text("wide.png: 1 person, 400 x 300 pixels")


def test_camera_frames_are_predicted(page: Page) -> None:
    page.get_by_role("button", name="Use the camera").click()
    show_all(page)
    api.expect(page.locator("#status")).to_contain_text("camera: 1 person")
    for _ in range(3):
        with page.expect_response("**/api/people*") as asked:
            pass
        assert asked.value.status == 200
    api.expect(page.locator("#overlay .keypoint")).to_have_count(17)
    api.expect(page.locator("#frame canvas")).to_have_count(1)
    page.get_by_role("button", name="Keep this frame").click()
    api.expect(page.locator("#status")).to_contain_text("frame 1.jpg: 1 person")
    api.expect(page.locator("#video")).to_be_hidden()


def test_denied_camera_shows_error_and_keeps_image(browser: Any, service: Client, images: list[Path]) -> None:
    refused = browser.new_page(permissions=[])
    refused.goto(service.url)
    refused.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('not allowed')); }")
    refused.get_by_role("button", name="Use the camera").click()
    api.expect(refused.locator("#status.bad")).to_have_text("Cannot open camera: not allowed")
    api.expect(refused.locator("#welcome")).to_be_visible()
    open_files(refused, images[0])
    api.expect(people(refused)).to_have_count(1)
    refused.get_by_role("button", name="Camera").click()
    api.expect(refused.locator("#status.bad")).to_have_text("Cannot open camera: not allowed")
    api.expect(refused.locator("#image")).to_be_visible()
    refused.close()


def test_video_frames_are_predicted(page: Page, tmp_path: Path) -> None:
    film = tmp_path / "film.webm"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"VP80"), 10, (160, 120))
    for number in range(20):
        writer.write(np.full((120, 160, 3), 10 * number, np.uint8))
    writer.release()
    open_files(page, film)
    api.expect(page.locator("#status")).to_have_text("film.webm: 1 person, 160 x 120 pixels")
    page.get_by_role("button", name="Pause").click()
    api.expect(page.locator("#play")).to_have_text("Play")
    show_all(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save image").click()
    download.value.save_as(tmp_path / "frame.png")
    saved = cv2.imread(str(tmp_path / "frame.png"))
    assert saved.shape == (120, 160, 3)
    assert np.ptp(saved, axis=2).max() > 50, "the frame is gray, the skeleton on it is not"
    api.expect(page.locator("#box-tools")).to_be_hidden()


def test_page_shows_whether_people_are_detected(
    page: Page, browser: Any, random_weights: Path, images: list[Path]
) -> None:
    api.expect(page.locator("#detection")).to_contain_text("Each image is treated as one person")

    def detector(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([[10.0, 20, 100, 200], [200.0, 20, 90, 250]]), np.array([0.9, 0.8])

    with running(create_app({"random": estimator_of(random_weights, detector=detector)})) as client:
        other = browser.new_page()
        other.goto(client.url)
        api.expect(other.locator("#detection")).to_have_text("People are detected automatically.")
        open_files(other, images[0])
        api.expect(people(other)).to_have_count(2)
        api.expect(other.locator("#box-hint")).to_contain_text("People are found by the detector")
        other.get_by_role("button", name="Add box").click()
        api.expect(people(other)).to_have_count(3)
        other.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_layout_fits_width_and_color_scheme(
    browser: Any, service: Client, images: list[Path], scheme: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(service.url)
    api.expect(page.locator("#model option")).to_have_count(2)
    open_files(page, *images)
    api.expect(people(page)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "scrolls sideways"
    ground, ink = page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    luminance = [np.mean([int(part) for part in text[4:-1].split(",")]) for text in (ground, ink)]
    assert (luminance[0] > luminance[1]) == (scheme == "light")
    page.close()


def test_stopped_service_shows_error(browser: Any, random_weights: Path, images: list[Path]) -> None:
    with running(create_app({"random": estimator_of(random_weights)})) as client:
        page = browser.new_page()
        page.goto(client.url)
        api.expect(page.locator("#model option")).to_have_count(1)
    open_files(page, images[0])
    api.expect(page.locator("#status.bad")).to_contain_text("The service does not respond")
    page.close()
