"""Security headers and Prometheus metrics of all responses."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rsn.serving.limits import ConcurrencyLimiter

# The page loads only files of this service, and images that its user opened.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class Metrics:
    """The metrics of /metrics."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, CPU time, open files
        self.requests = Counter("rsn_requests", "Responses", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "rsn_request_seconds",
            "From the request's head to the end of the response",
            ["path"],
            registry=registry,
        )
        self.batch_people = Histogram(
            "rsn_batch_people",
            "People per batch of the network",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=registry,
        )
        self.batch_images = Histogram(
            "rsn_batch_images",
            "Images per batch of the detector",
            buckets=(1, 2, 4, 8),
            registry=registry,
        )
        active = Gauge("rsn_requests_active", "Requests being served", registry=registry)
        active.set_function(lambda: limiter.active)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class ResponseMiddleware:
    """ASGI middleware: adds security headers to every response and records it in the metrics."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            # Paths without a route share one label, so that requests for many paths do not fill the memory.
            path = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)
