"""The routes of the HTTP API."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response

from rsn import __version__
from rsn.inference.box_checks import Boxes
from rsn.serving.schemas import Heatmaps, ImageResult, LimitsEntry, ModelEntry, Problem, ServiceInfo
from rsn.serving.service import Model, Service
from rsn.serving.upload import parse_boxes, read_image, while_connected

router = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


_Service = Annotated[Service, Depends(_service)]
_Model = Annotated[str | None, Query(description="one of the names in /api/models; the first by default")]
_Boxes = Annotated[
    str | None,
    Query(
        description="JSON [[x, y, width, height], [x, y, width, height, score], ...] in pixels of the upright image;"
        " [] means that there are no people",
        examples=["[[20, 10, 120, 300]]"],
    ),
]
_IMAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "a JPEG, PNG, WebP, GIF or BMP file; the first frame of an animation is used",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_REASONS = {
    404: "the model is not loaded",
    408: "the image took too long to arrive",
    413: "too many bytes or pixels",
    415: "not an image",
    422: "a damaged image, or invalid boxes",
    503: "too many requests at a time, or no result in time; try again after Retry-After seconds",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": reason} for status, reason in _REASONS.items()
}


class _Input(NamedTuple):
    """A model, an image file, and optional boxes."""

    model: Model
    data: bytes
    boxes: Boxes | None


async def _read_input(
    request: Request, service: _Service, model: _Model = None, boxes: _Boxes = None
) -> AsyncIterator[_Input]:
    with service.limiter:
        chosen = service.model(model)
        given = None if boxes is None else parse_boxes(boxes, service.limits)
        yield _Input(chosen, await read_image(request, service.limits), given)


_InputOf = Annotated[_Input, Depends(_read_input)]


@router.post("/api/people", openapi_extra=_IMAGE, responses=_ERRORS, response_model_exclude_unset=True)
async def people(request: Request, service: _Service, given: _InputOf) -> ImageResult:
    """Predict the keypoints of the people in an image.

    Without boxes the detector finds the people; without a detector the image is one person.
    """
    return await while_connected(request, service.people(*given))


@router.post("/api/heatmaps", openapi_extra=_IMAGE, responses=_ERRORS)
async def heatmaps(request: Request, service: _Service, given: _InputOf) -> Heatmaps:
    """Return the heatmaps of one box, one per keypoint; by default of the whole image."""
    return await while_connected(request, service.heatmaps(*given))


@router.get("/api/models")
async def models(service: _Service) -> ServiceInfo:
    """List the loaded models and the limits of requests."""
    limits = service.limits
    return ServiceInfo(
        version=__version__,
        models=[
            ModelEntry(
                name=name,
                summary=model.estimator.metadata.summary(),
                keypoint_names=list(model.estimator.metadata.skeleton.keypoint_names),
                keypoint_threshold=model.estimator.metadata.keypoint_threshold,
                has_detector=model.estimator.detector is not None,
            )
            for name, model in service.models.items()
        ],
        limits=LimitsEntry(bytes=limits.bytes, pixels=limits.pixels, people=limits.people, seconds=limits.seconds),
    )


@router.get("/health")
async def health() -> dict[str, str]:
    """Report that the service is ready; its port opens when the models are loaded."""
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: _Service) -> Response:
    """Return metrics in Prometheus' text format."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
