"""Valid requests to the service."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import file_server
import rsn.serving
from pose_service import Client, estimator_of, running, serving
from rsn.errors import ImageError, RsnError
from rsn.geometry import Crop
from rsn.inference.estimator import PoseEstimator
from rsn.io.images import read_image
from rsn.serving.app import create_app
from rsn.serving.run import allowed_hosts
from rsn.serving.schemas import ImageResult, PersonResult
from rsn.serving.settings import Limits
from rsn.skeletons import COCO_17
from rsn.weights.loading import PoseModel, load_model
from rsn.weights.uncertainty import Uncertainty


@pytest.fixture(scope="session")
def estimator(random_weights: Path) -> PoseEstimator:
    return estimator_of(random_weights)


def test_people_equal_those_of_estimator(service: Client, image: Path, estimator: PoseEstimator) -> None:
    boxes = [[5, 5, 40, 60], [20, 10, 45, 70, 0.5]]
    answer = service.people(image.read_bytes(), boxes)
    assert answer.status == 200, answer.body
    found = answer.json
    assert (found["width"], found["height"]) == (70, 90)
    assert tuple(found["keypoint_names"]) == COCO_17.keypoint_names
    assert [tuple(limb) for limb in found["limbs"]] == list(COCO_17.limbs)
    expected = estimator(read_image(image), [box[:4] for box in boxes], box_format="xywh", box_scores=[1, 0.5])
    assert len(found["people"]) == len(expected) == 2
    for person, own in zip(found["people"], expected, strict=True):
        assert person["bbox"] == own.bbox.tolist()
        keypoints = np.reshape(person["keypoints"], (17, 3))
        np.testing.assert_allclose(keypoints[:, :2], own.keypoints, atol=0.02)
        np.testing.assert_allclose(keypoints[:, 2], own.scores, atol=1e-3)
        assert set(person) == set(own.to_dict())
        assert person["score"] == pytest.approx(own.score, abs=1e-3)


def test_local_service_rejects_other_host_names(estimator: PoseEstimator) -> None:
    with running(create_app({"random": estimator}, hosts=allowed_hosts("127.0.0.1"))) as client:
        assert client.get("/health").status == 200
        assert client.ask("GET", "/health", headers={"Host": f"localhost:{client.port}"}).status == 200
        assert client.ask("GET", "/health", headers={"Host": "elsewhere.example"}).status == 400


def test_image_without_boxes_is_one_person(service: Client, image: Path) -> None:
    (person,) = service.people(image.read_bytes()).json["people"]
    assert person["bbox"] == [0, 0, 70, 90]
    assert service.people(image.read_bytes(), []).json["people"] == []


def test_detector_finds_people(random_weights: Path, image: Path) -> None:
    def detector(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = image.shape[:2]
        return np.array([[1.0, 2.0, width - 10, height - 20]]), np.array([0.25])

    with serving({"random": estimator_of(random_weights, detector=detector)}) as client:
        assert client.get("/api/models").json["models"][0]["has_detector"] is True
        (person,) = client.people(image.read_bytes()).json["people"]
        assert person["bbox"] == [1, 2, 60, 70]
        assert person["score"] == pytest.approx(0.25 * np.mean(person["keypoints"][2::3]), abs=1e-3)
        assert client.people(image.read_bytes(), [[0, 0, 50, 50]]).json["people"][0]["bbox"] == [
            0,
            0,
            50,
            50,
        ]


def test_duplicate_detections_are_removed(random_weights: Path, image: Path) -> None:
    """The better one stays; boxes in the request all stay; the limit of people holds for detections, too."""
    twice = np.array([[1.0, 2.0, 60, 70], [1.0, 2.0, 60, 70], [30.0, 40, 30, 40]])

    def detector(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return twice, np.array([0.9, 0.8, 0.7])

    models = {"random": estimator_of(random_weights, detector=detector)}
    with serving(models) as client:
        boxes = [person["bbox"] for person in client.people(image.read_bytes()).json["people"]]
        assert sorted(boxes) == sorted([twice[0].tolist(), twice[2].tolist()])
        assert len(client.people(image.read_bytes(), twice.tolist()).json["people"]) == 3
    with serving(models, Limits(people=1)) as client:
        (person,) = client.people(image.read_bytes()).json["people"]
        assert person["bbox"] == twice[0].tolist()


def test_model_is_selected_by_name(service: Client, image: Path) -> None:
    listed = service.get("/api/models").json
    assert [model["name"] for model in listed["models"]] == ["random", "flipped"]
    assert listed["limits"]["bytes"] == 25_000_000
    answers = {name: service.people(image.read_bytes(), model=name).json for name in ("random", "flipped")}
    assert answers["random"]["people"] != answers["flipped"]["people"]
    missing = service.people(image.read_bytes(), model="randm")
    assert (missing.status, missing.json["detail"]) == (
        404,
        "there is no loaded model named 'randm'; did you mean random?",
    )


def test_heatmap_matrix_maps_cells_to_image(service: Client, image: Path, random_weights: Path) -> None:
    box = [20.0, 10.0, 45.0, 70.0]
    answer = service.post("/api/heatmaps", image.read_bytes(), boxes=json.dumps([box])).json
    maps = np.array(answer["maps"])
    assert maps.shape == (17, 16, 16)
    assert maps.min() >= 0
    a, b, c, d, e, f = answer["matrix"]
    crop = Crop.from_box(box, (64, 64), estimator_of(random_weights).metadata.bbox_padding)
    for column, row in ((0, 0), (15, 3)):
        np.testing.assert_allclose(
            [a * column + c * row + e, b * column + d * row + f],
            crop.to_image([4 * column + 2, 4 * row + 2]),
            atol=0.01,
        )
    whole = service.post("/api/heatmaps", image.read_bytes()).json
    assert whole["bbox"] == [0, 0, 70, 90]


def test_exif_rotated_image_is_turned_upright(service: Client, image: Path) -> None:
    """Boxes and keypoints refer to the upright image."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = cv2.imencode(".jpg", cv2.imread(str(image)))[1].tobytes()
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    answer = service.people(turned).json
    assert (answer["width"], answer["height"]) == (90, 70)
    assert answer["people"][0]["bbox"] == [0, 0, 90, 70]
    assert service.post("/api/heatmaps", turned).json["bbox"] == [0, 0, 90, 70]


def test_openapi_document_describes_routes(service: Client) -> None:
    document = service.get("/openapi.json").json
    assert set(document["paths"]) == {
        "/api/people", "/api/heatmaps", "/api/models", "/health", "/metrics",
    }  # fmt: skip
    post = document["paths"]["/api/people"]["post"]
    schema = post["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ImageResult"}
    described = ImageResult.model_json_schema(ref_template="#/components/schemas/{model}")
    person = described.pop("$defs")["PersonResult"]
    assert document["components"]["schemas"]["ImageResult"] == described
    assert document["components"]["schemas"]["PersonResult"] == person
    assert post["requestBody"]["content"]["image/*"]["schema"]["format"] == "binary"
    assert {"200", "404", "408", "413", "415", "422", "503"} <= set(post["responses"])


def test_response_is_the_dictionary_of_the_result(random_weights: Path, image: Path) -> None:
    """With and without expected errors; the client returns an equal result, and the schema has exactly these keys."""
    plain = load_model(random_weights)
    calibrated = PoseModel(plain.network, replace(plain.metadata, uncertainty=Uncertainty(2.0, 0.5, 1.0)))
    options = {"backend": "torch", "detector": None}
    estimators = {"plain": PoseEstimator(plain, **options), "calibrated": PoseEstimator(calibrated, **options)}
    with serving(estimators) as service:
        for name, estimator in estimators.items():
            expected = estimator(image, "whole").to_dict()
            assert service.people(image.read_bytes(), model=name).json == expected
            client = rsn.serving.Client(f"http://127.0.0.1:{service.port}", model=name)
            assert client(image).to_dict() == expected
            with pytest.raises(ImageError, match="expected one image, got a list; send one at a time"):
                client([image])
            assert ImageResult.model_validate(expected).model_dump(mode="json", exclude_unset=True) == json.loads(
                json.dumps(expected)
            )
            fields = set(PersonResult.model_fields) - (set() if name == "calibrated" else {"std"})
            assert set(expected["people"][0]) == fields
            assert set(expected) == set(ImageResult.model_fields)


def test_metrics_count_requests_and_people(service: Client, image: Path) -> None:
    def count(name: str) -> float:
        lines = service.get("/metrics").body.decode().splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)

    answered = 'rsn_requests_total{path="/api/people",status="200"}'
    refused = 'rsn_requests_total{path="/api/people",status="415"}'
    before = count(answered), count("rsn_batch_people_sum"), count(refused)
    service.people(image.read_bytes(), [[5, 5, 40, 60]] * 3)
    service.people(b"nothing")
    assert (count(answered), count("rsn_batch_people_sum"), count(refused)) == (
        before[0] + 1,
        before[1] + 3,
        before[2] + 1,
    )
    assert count("rsn_requests_active") == 0
    assert count("process_resident_memory_bytes") > 1e6


def test_every_response_has_security_headers(service: Client) -> None:
    for path in ("/", "/health", "/api/people", "/nothing"):
        headers = service.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_unknown_paths_are_status_404(service: Client) -> None:
    assert service.get("/nothing").status == 404
    assert service.get("/../../../../etc/passwd").status == 404
    assert service.get("/%2e%2e/app.py").status == 404
    assert service.get("/api/people").status in (404, 405)


def test_client_returns_what_the_estimator_returns(service: Client, image: Path, estimator: PoseEstimator) -> None:
    client = rsn.serving.Client(service.url)
    for boxes, options in (([[5, 5, 45, 65]], {"box_format": "xyxy", "box_scores": [0.5]}), ("whole", {})):
        result, expected = client(image, boxes, **options), estimator(image, boxes, **options)
        np.testing.assert_allclose(result.keypoints, expected.keypoints, atol=0.02)
        np.testing.assert_allclose(result.person_scores, expected.person_scores, atol=1e-3)
        assert result.skeleton == expected.skeleton
        assert np.array_equal(result.image, expected.image)


def test_client_sends_a_jpeg_file_as_it_is(estimator: PoseEstimator, tmp_path: Path) -> None:
    """A PNG of it would be too large for the service."""
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.jpg"), noise)
    limit = (tmp_path / "noise.jpg").stat().st_size / 1e6
    with serving({"random": estimator}, Limits(megabytes=limit)) as service:
        client = rsn.serving.Client(service.url)
        expected = estimator(tmp_path / "noise.jpg", "whole").keypoints
        for source in (tmp_path / "noise.jpg", (tmp_path / "noise.jpg").read_bytes()):
            np.testing.assert_allclose(client(source, "whole").keypoints, expected, atol=0.02)
        with pytest.raises(RsnError, match=r"more than .* megabytes|above its --limits\.megabytes"):
            client(noise, "whole")


def test_client_reports_errors_of_the_service(service: Client, image: Path) -> None:
    with pytest.raises(RsnError, match="there is no loaded model named 'x'"):
        rsn.serving.Client(service.url, model="x")(image)
    with pytest.raises(RsnError, match="there is no response of rsn serve"):
        rsn.serving.Client("http://127.0.0.1:9")(image)
    with pytest.raises(RsnError, match="there is no response of rsn serve"):
        rsn.serving.Client("127.0.0.1:9")(image)
    with (
        file_server.serving(b"") as another_server,
        pytest.raises(RsnError, match="there is no response of rsn serve"),
    ):
        rsn.serving.Client(another_server.address)(image)
