"""rsn serve: a web page and an HTTP API."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rsn.cli.detection_options import DetectionOptions
from rsn.cli.progress import info
from rsn.errors import RsnError
from rsn.serving.settings import Limits


@dataclass(frozen=True)
class Serve(DetectionOptions):
    """Serve a web page and its HTTP API on this machine until Ctrl-C."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")] = ("rsn18.starter",)
    """Names of weights, or weights files, to choose from on the page."""
    boxes: Literal["detect", "whole"] = field(default="detect", kw_only=True)
    """Boxes of the people: `detect` runs the detector; `whole` treats each image as one person unless boxes are
    drawn."""
    host: str = "127.0.0.1"
    """Address to listen on: by default only this machine can connect; with 0.0.0.0 all machines can."""
    port: int = 8000
    """Port; 0 takes a free one."""
    open: bool = False
    """Also open the page in the browser."""
    limits: Limits = field(default_factory=Limits)

    def run(self) -> int:
        """Exit status 0 after a stop; errors are raised."""
        from rsn.extras import require

        require("fastapi", "uvicorn", "prometheus_client", extra="serve", feature="rsn serve")
        import webbrowser

        from rsn.inference.estimator import PoseEstimator
        from rsn.serving.app import create_app
        from rsn.serving.run import allowed_hosts, create_server, open_port, url_of

        names = [Path(model).name for model in self.models]
        if len(set(names)) < len(names):
            raise RsnError(f"two of the models {', '.join(names)} have the same name; rename a file")
        self.check_detector()
        with open_port(self.host, self.port) as opened:
            detector = self.open_detector()
            estimators = {
                name: PoseEstimator(
                    model,
                    detector=detector,
                    person_threshold=self.person_threshold,
                    **self.backend_options(),
                )
                for name, model in zip(names, self.models, strict=True)
            }
            server = create_server(create_app(estimators, self.limits, hosts=allowed_hosts(self.host)), self.limits)
            opened.listen()
            models = (f"{name} (by {run.backend} on {run.device})" for name, run in estimators.items())
            info(f"{', '.join(models)} at {url_of(opened)}; Ctrl-C stops it")
            if detector is None:
                info("each image is treated as one person; --boxes detect finds the people in it")
            if self.open:
                webbrowser.open(url_of(opened))
            server.run(sockets=[opened])
        return 0
