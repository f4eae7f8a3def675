"""The ASGI application: the web page and the HTTP API."""

from collections.abc import Mapping, Sequence
from importlib import resources

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from rsn import __version__
from rsn.inference.estimator import PoseEstimator
from rsn.serving.limits import RequestError
from rsn.serving.metrics import ResponseMiddleware
from rsn.serving.routes import router
from rsn.serving.service import Service
from rsn.serving.settings import Limits

DESCRIPTION = "Predicts the keypoints of people in images. Images are held in memory only during a request."
CLIENT_DISCONNECTED = 499  # never read, but counted in the metrics, as web servers do


def create_app(
    estimators: Mapping[str, PoseEstimator], limits: Limits | None = None, *, hosts: Sequence[str] = ("*",)
) -> FastAPI:
    """The web page and the API for some models.

    Args:
        estimators: by model name, used by this application alone; the first is the default. Those with a detector
            detect people if a request has no boxes.
        limits: of requests, see `Limits`.
        hosts: host names of the service; requests for others get status 400. This protects a service for its own
            machine from websites whose name resolves to this machine's address (DNS rebinding).
    """
    service = Service(estimators, limits or Limits())
    # FastAPI's documentation pages load third-party scripts, so only /openapi.json is offered.
    app = FastAPI(title="rsn", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(ResponseMiddleware, metrics=service.metrics)
    for kind in (RequestError, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _error_response)
    app.include_router(router)
    app.mount("/", StaticFiles(directory=str(resources.files("rsn.serving") / "page"), html=True), name="page")
    return app


async def _error_response(request: Request, error: Exception) -> JSONResponse:
    """One sentence, with a status."""
    headers: dict[str, str] = {}
    match error:
        case RequestError():
            status, detail = error.status, str(error)
            if error.retry_after is not None:
                headers = {"Retry-After": str(error.retry_after)}
        case RequestValidationError():
            first = error.errors()[0]
            status, detail = 422, f"{first['loc'][-1]}: {first['msg']}"
        case ClientDisconnect():
            status, detail = CLIENT_DISCONNECTED, "the client disconnected"
        case _:
            status, detail = 500, "internal error; the server's log has the reason"
    return JSONResponse({"detail": detail}, status, headers)
