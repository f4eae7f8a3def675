"""The service as an ASGI application: the page, and the API beneath it."""

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
from rsn.serving.admission import RequestError
from rsn.serving.limits import Limits
from rsn.serving.metrics import Answers
from rsn.serving.routes import router
from rsn.serving.service import Service

DESCRIPTION = (
    "Finds the people of an image and their keypoints. Images stay in memory, as long as a request lasts."
)
HUNG_UP = 499  # nobody reads it; so it is counted in the metrics, as web servers do


def create_app(
    estimators: Mapping[str, PoseEstimator], limits: Limits | None = None, *, hosts: Sequence[str] = ("*",)
) -> FastAPI:
    """The page and the API for some models.

    Args:
        estimators: by the name that requests choose them by; the first is taken where none is named. They are used by
            this application alone. One with a detector finds the people itself.
        limits: what a request may ask for, see `Limits`.
        hosts: names that the service goes by; requests for others are answered with 400. A service for its own
            machine alone needs that, since a site elsewhere may give its name this machine's address (DNS rebinding).
    """
    service = Service(estimators, limits or Limits())
    # FastAPI's own pages of documentation load scripts of others; /openapi.json is all there is.
    app = FastAPI(title="rsn", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(Answers, metrics=service.metrics)
    for kind in (RequestError, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _refuse)
    app.include_router(router)
    app.mount(
        "/", StaticFiles(directory=str(resources.files("rsn.serving") / "page"), html=True), name="page"
    )
    return app


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """One sentence, with the status that says whose fault it was."""
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
            status, detail = HUNG_UP, "the client hung up"
        case _:
            status, detail = 500, "something went wrong here; the server's log has the reason"
    return JSONResponse({"detail": detail}, status, headers)
