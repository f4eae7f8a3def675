"""What the service can be asked."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response

from rsn import __version__
from rsn.inference.box_checks import Boxes
from rsn.serving.schemas import Heatmaps, ImageResult, LimitsEntry, ModelEntry, Problem, ServiceInfo
from rsn.serving.service import Model, Service
from rsn.serving.upload import parsed_boxes, read_image, while_connected

router = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


_Service = Annotated[Service, Depends(_service)]
_Model = Annotated[str | None, Query(description="one of those that /api/models lists; the first by default")]
_Boxes = Annotated[
    str | None,
    Query(
        description="JSON [[x, y, width, height], [x, y, width, height, score], ...] in pixels of the upright image;"
        " [] says that nobody is there",
        examples=["[[20, 10, 120, 300]]"],
    ),
]
_IMAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "a JPEG, PNG, WebP, GIF or BMP file; of an animation the first frame is taken",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_REASONS = {
    404: "no such model is loaded",
    408: "the image took too long to arrive",
    413: "too many bytes or pixels",
    415: "not an image",
    422: "a broken image, or boxes that cannot be",
    429: "too many requests at a time; Retry-After says when to come again",
    503: "no answer in time; Retry-After says when to come again",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": reason} for status, reason in _REASONS.items()
}


class _Asked(NamedTuple):
    """What a request asks for: a model, an image file, and boxes where it gives them."""

    model: Model
    data: bytes
    boxes: Boxes | None


async def _asked(
    request: Request, service: _Service, model: _Model = None, boxes: _Boxes = None
) -> AsyncIterator[_Asked]:
    with service.door:
        chosen = service.model(model)
        given = None if boxes is None else parsed_boxes(boxes, service.limits)
        yield _Asked(chosen, await read_image(request, service.limits), given)


_Input = Annotated[_Asked, Depends(_asked)]


@router.post("/api/people", openapi_extra=_IMAGE, responses=_REFUSALS)
async def people(request: Request, service: _Service, asked: _Input) -> ImageResult:
    """Find the people of an image and their keypoints.

    Without boxes the people are found by the detector, where the service has one; otherwise the image is taken as
    one person.
    """
    return await while_connected(request, service.people(*asked))


@router.post("/api/heatmaps", openapi_extra=_IMAGE, responses=_REFUSALS)
async def heatmaps(request: Request, service: _Service, asked: _Input) -> Heatmaps:
    """Return the heatmaps of one box, one map per keypoint. Without a box it is the whole image."""
    return await while_connected(request, service.heatmaps(*asked))


@router.get("/api/models")
async def models(service: _Service) -> ServiceInfo:
    """List the models that are loaded, and the limits of a request."""
    limits = service.limits
    return ServiceInfo(
        version=__version__,
        models=[
            ModelEntry(
                name=name,
                summary=model.estimator.metadata.summary(),
                keypoints=list(model.estimator.metadata.skeleton.keypoint_names),
                keypoint_threshold=model.estimator.metadata.keypoint_threshold,
                has_detector=model.estimator.detector is not None,
            )
            for name, model in service.models.items()
        ],
        limits=LimitsEntry(
            bytes=limits.bytes, pixels=limits.pixels, people=limits.people, seconds=limits.seconds
        ),
    )


@router.get("/health")
async def health() -> dict[str, str]:
    """Say whether the service is up; it opens its port only when the models are loaded."""
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: _Service) -> Response:
    """Counts in Prometheus' text format."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
