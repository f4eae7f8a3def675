"""rsn serve: a web page to try it on, and the HTTP API beneath it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rsn.cli.detection_options import DetectionOptions
from rsn.cli.progress import info
from rsn.errors import RsnError
from rsn.inference.backends import BackendChoice
from rsn.serving.limits import Limits


@dataclass(frozen=True)
class Serve(DetectionOptions):
    """Serve a web page, and the HTTP API beneath it, on this machine until Ctrl-C stops it."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")] = (
        "rsn18.starter",
    )
    """Names of weights, or weights files, to choose among on the page."""
    boxes: Literal["detect", "whole"] = field(default="detect", kw_only=True)
    """Where people are: `detect` lets the detector find them; `whole` takes each image as one person, or boxes are
    drawn."""
    host: str = "127.0.0.1"
    """Address to listen on. The default is reached from this machine alone; 0.0.0.0 from everywhere."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    open: bool = False
    """Also open the page in the browser."""
    flip: bool = False
    """Look at each person flipped too: twice the time, a little more precise."""
    backend: BackendChoice = "auto"
    """What runs the network; auto takes the fastest that is installed and as exact as PyTorch."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes CUDA, else MPS, where there is one."""
    batch_size: int = 32
    """People that the network looks at together, of as many requests as it takes."""
    limits: Limits = field(default_factory=Limits)

    def run(self) -> int:
        """Exit status 0 once it has been stopped; what is wrong is raised."""
        from rsn.extras import require

        require("fastapi", "uvicorn", "prometheus_client", extra="serve", feature="rsn serve")
        import webbrowser

        from rsn.inference.estimator import PoseEstimator
        from rsn.serving.app import create_app
        from rsn.serving.run import names_of, open_port, server_of, url_of

        names = [Path(model).name for model in self.models]
        if len(set(names)) < len(names):
            raise RsnError(f"two models go by one name among {', '.join(names)}; rename a file")
        self.check_detector()
        with open_port(self.host, self.port) as opened:
            detector = self.open_detector(self.device)
            estimators = {
                name: PoseEstimator(
                    model,
                    detector=detector,
                    backend=self.backend,
                    device=self.device,
                    person_threshold=self.person_threshold,
                    flip_test=self.flip,
                    batch_size=self.batch_size,
                )
                for name, model in zip(names, self.models, strict=True)
            }
            server = server_of(create_app(estimators, self.limits, hosts=names_of(self.host)))
            opened.listen()
            models = (f"{name} (by {run.backend} on {run.device})" for name, run in estimators.items())
            info(f"{', '.join(models)} at {url_of(opened)}; Ctrl-C stops it")
            if detector is None:
                info("an image is taken as one person; --boxes detect finds the people in it")
            if self.open:
                webbrowser.open(url_of(opened))
            server.run(sockets=[opened])
        return 0
