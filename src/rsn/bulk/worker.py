"""A Ray actor that holds the network and turns parts into files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rsn.bulk.output import Output
from rsn.bulk.parts import Columns, Part, StoredImage, images_of
from rsn.bulk.settings import Settings
from rsn.bulk.storage import UnreachableError
from rsn.errors import RsnError
from rsn.inference.box_checks import BoxNotes
from rsn.inference.box_sources import open_box_source
from rsn.inference.estimator import PoseEstimator
from rsn.inference.images import add_boxes
from rsn.inference.pipeline import ImageInput
from rsn.io.images import decode_image

LOCAL_READERS = 2  # threads that read and decode images
REMOTE_READERS = 16  # most of them wait for a store
MAX_ATTEMPTS = 3  # of workers at one part in one run, after which the part is skipped


@dataclass
class PartResult:
    """What happened to a part.

    unreadable: number of images. backend: such as "openvino on cpu". notes: remarks about boxes. failed: why the part
    is not finished, or empty. fatal: all other parts would fail for the same reason.
    """

    part: int
    images: int = 0
    people: int = 0
    unreadable: int = 0
    backend: str = ""
    notes: BoxNotes = field(default_factory=BoxNotes)
    failed: str = ""
    fatal: bool = False


@dataclass
class Worker:
    """Writes the parts that it is called with, in any process. The network is loaded for the first part.

    output: the folder. run: a unique name of the run. threads: of the network on a CPU.
    """

    settings: Settings
    output: str
    run: str
    device: str
    batch_size: int
    threads: int

    def __post_init__(self) -> None:
        self._estimator: PoseEstimator | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Numbers and parts (JSON) -> "result": a `PartResult` for each."""
        pairs = zip(batch["number"], batch["part"], strict=True)
        return {"result": [self.process(int(number), Part.from_json(str(line))) for number, line in pairs]}

    def process(self, number: int, part: Part) -> PartResult:
        """Process a part. Errors are returned, not raised, so that the other parts continue."""
        try:
            estimator = self._load()
        except RsnError as error:
            return PartResult(number, failed=str(error), fatal=True)
        try:
            output = Output(self.output)
            if output.start_part(number, self.run) > MAX_ATTEMPTS:
                return PartResult(number, failed=f"its worker died {MAX_ATTEMPTS} times; the part is skipped")
            return self._predict(estimator, number, part, output)
        except (RsnError, UnreachableError) as error:
            return PartResult(number, failed=str(error))
        except Exception as error:
            return PartResult(number, failed=f"{type(error).__name__}: {error}")

    def _load(self) -> PoseEstimator:
        if self._estimator is None:
            torch.set_num_threads(self.threads)  # Ray sets it to one
            self._boxes = open_box_source(self.settings.boxes, category=self.settings.box_category)
            self._estimator = PoseEstimator(
                self.settings.model,
                detector=self.settings.detector or None,
                box_threshold=self.settings.box_threshold,
                backend=self.settings.backend,
                device=self.device,
                person_threshold=self.settings.person_threshold,
                flip_test=self.settings.flip,
                batch_size=self.batch_size,
            )
            if self._boxes is None:
                _ = self._estimator.detector  # opened now, since without it all parts fail
        return self._estimator

    def _predict(self, estimator: PoseEstimator, number: int, part: Part, output: Output) -> PartResult:
        result = PartResult(number, backend=f"{estimator.backend} on {estimator.device}")
        rows: list[dict[str, Any]] = []
        unreadable: list[dict[str, str]] = []
        model = Path(self.settings.model).name

        def read(stored: StoredImage) -> ImageInput:
            return add_boxes(stored.name, decode_image(stored.read(), stored.name), self._boxes, result.notes)

        images = images_of(part, Columns(self.settings.column, self.settings.name_column))
        readers = REMOTE_READERS if "://" in part.urls[0] else LOCAL_READERS
        for stored, people in estimator.stream(images, read, threads=readers, keep_image=False):
            if isinstance(people, RsnError):
                unreadable.append({"image": stored.name, "reason": str(people)})
                continue
            height, width = people.image_size
            common = {"image": stored.name, "width": width, "height": height, "model": model}
            rows += [common | {"person": index} | person.to_dict() for index, person in enumerate(people)] or [common]
            result.images += 1
            result.people += len(people)
        output.write_part(number, rows, unreadable, estimator.metadata.skeleton)
        result.unreadable = len(unreadable)
        return result
