"""What holds for every answer: its security headers, and that it is counted for Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rsn.serving.admission import ConcurrencyLimiter

# The page runs and shows only what comes from this service, and images that its user opened.
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
    """What /metrics reports."""

    def __init__(self, door: ConcurrencyLimiter) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, processor time, open files
        self.requests = Counter("rsn_requests", "Requests answered", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "rsn_request_seconds", "From the request's head to the answer's end", ["path"], registry=registry
        )
        self.batch_people = Histogram(
            "rsn_batch_people",
            "People that went through the network together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=registry,
        )
        inside = Gauge("rsn_requests_inside", "Requests being served", registry=registry)
        inside.set_function(lambda: door.inside)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class Answers:
    """ASGI middleware: security headers on every answer; its count and time in the metrics."""

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
            # Paths without a route share one label, or requests for many paths would fill the memory.
            path = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)
