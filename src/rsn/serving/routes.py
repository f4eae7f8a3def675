"""What the service can be asked."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from rsn import __version__
from rsn.serving.answers import FoundPeople, Health, Heatmaps, LimitsEntry, Loaded, ModelEntry, Problem
from rsn.serving.pictures import parsed_boxes
from rsn.serving.receiving import read_picture, while_connected
from rsn.serving.service import Service

router = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


_Service = Annotated[Service, Depends(_service)]
_Model = Annotated[str | None, Query(description="one of those that /api/models lists; the first by default")]
_Boxes = Annotated[
    str | None,
    Query(
        description="JSON [[x, y, width, height], [x, y, width, height, score], ...] in pixels of the upright picture;"
        " [] says that nobody is there",
        examples=["[[20, 10, 120, 300]]"],
    ),
]
_PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "a JPEG, PNG, WebP, GIF or BMP file; of an animation the first frame is taken",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_REASONS = {
    404: "no such model is loaded",
    408: "the picture took too long to arrive",
    413: "too many bytes or pixels",
    415: "not a picture",
    422: "a broken picture, or boxes that cannot be",
    429: "too many requests at a time; Retry-After says when to come again",
    503: "no answer in time; Retry-After says when to come again",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": reason} for status, reason in _REASONS.items()
}


@router.post("/api/people", openapi_extra=_PICTURE, responses=_REFUSALS)
async def people(
    request: Request, service: _Service, model: _Model = None, boxes: _Boxes = None
) -> FoundPeople:
    """Find the people of a picture and their joints.

    Without boxes the people are found by the detector, where the service has one; otherwise the picture is taken as
    one person.
    """
    with service.door:
        chosen = service.model(model)
        given = None if boxes is None else parsed_boxes(boxes, service.limits)
        data = await read_picture(request, service.limits)
        return await while_connected(request, service.people(chosen, data, given))


@router.post("/api/heatmaps", openapi_extra=_PICTURE, responses=_REFUSALS)
async def heatmaps(
    request: Request, service: _Service, model: _Model = None, boxes: _Boxes = None
) -> Heatmaps:
    """Look at what the network saw in one box: a map a joint. Without a box it is the whole picture."""
    with service.door:
        chosen = service.model(model)
        given = None if boxes is None else parsed_boxes(boxes, service.limits)
        data = await read_picture(request, service.limits)
        return await while_connected(request, service.heatmaps(chosen, data, given))


@router.get("/api/models")
async def models(service: _Service) -> Loaded:
    """List the models that are loaded, and the limits of a request."""
    return Loaded(
        version=__version__,
        models=[ModelEntry.of(name, model.estimator) for name, model in service.models.items()],
        limits=LimitsEntry.of(service.limits),
    )


@router.get("/health")
async def health() -> Health:
    """Say whether the service is up; it opens its port only when the models are loaded."""
    return Health()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: _Service) -> Response:
    """Counts in Prometheus' text format."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
