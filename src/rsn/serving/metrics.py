"""Counts for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from rsn.serving.admission import Doorkeeper


class Metrics:
    """What /metrics tells."""

    def __init__(self, door: Doorkeeper) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, processor time, open files
        self.requests = Counter(
            "rsn_requests", "Requests answered", ["path", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "rsn_request_seconds",
            "From the request's head to the answer's end",
            ["path"],
            registry=self._registry,
        )
        self.batch_people = Histogram(
            "rsn_batch_people",
            "People that went through the network together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self._registry,
        )
        inside = Gauge("rsn_requests_inside", "Requests being served", registry=self._registry)
        inside.set_function(lambda: door.inside)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
