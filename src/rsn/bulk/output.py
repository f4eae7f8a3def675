"""What a run writes: settings, the plan, and for each part that is done one Parquet file of people."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsn.bulk.parts import Part
from rsn.bulk.storage import Folder
from rsn.errors import RsnError
from rsn.files import expect_file
from rsn.people import Person
from rsn.skeletons import Skeleton

SETTINGS, PLAN, PEOPLE, UNREADABLE = "settings.json", "plan.jsonl", "people", "unreadable"
FORMAT = 2  # of the folder; a change that breaks readers counts up


@dataclass(frozen=True)
class Settings:
    """What decides the answers, and so may not change between runs into one folder.

    detector, box_category: empty where none is asked. model_sha256, boxes_sha256, detector_sha256: of the files that
    are meant; empty where it is none.
    """

    inputs: tuple[str, ...]
    column: str
    name_column: str | None
    model: str
    model_sha256: str
    boxes: str
    boxes_sha256: str
    detector: str
    detector_sha256: str
    box_threshold: float
    person_threshold: float
    flip: bool
    engine: str
    box_category: str = ""
    format: int = FORMAT


class Output:
    """A run's folder."""

    def __init__(self, url: str) -> None:
        self.folder = Folder(url)

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep others from writing to a local folder as long as this lasts; the end of the process ends it as well.

        Raises:
            RsnError: it cannot be written to, or another run does.
        """
        local = self.folder.local
        if local is None:
            yield
            return
        from filelock import FileLock, Timeout

        expect_file(local / SETTINGS)
        try:
            lock = FileLock(local / ".lock", timeout=0).acquire()
        except Timeout as error:
            raise RsnError(
                f"another run writes to {self.folder.url}; wait for it, or choose another folder"
            ) from error
        with lock:
            for left in [*local.glob(".*.part"), *local.glob(f"{PEOPLE}/.*.part")]:
                left.unlink(missing_ok=True)  # of a run that was killed while it wrote
            yield

    def check(self, settings: Settings) -> None:
        """Compare settings with those of the run that made the folder, if one did.

        Raises:
            RsnError: the folder belongs to a run of other settings.
        """
        ours = json.loads(json.dumps(asdict(settings)))
        data = self.folder.read(SETTINGS)
        if data is None:
            if self.folder.names(PEOPLE):
                raise RsnError(
                    f"{self.folder.url} holds {PEOPLE}/ but no {SETTINGS}; choose another --output"
                )
            return
        try:
            theirs = dict(json.loads(data))
        except (ValueError, TypeError) as error:
            raise RsnError(
                f"{self.folder.url}/{SETTINGS} is not of a run of rsn bulk; choose another --output"
            ) from error
        for key in ours.keys() | theirs.keys():
            if ours.get(key) != theirs.get(key):
                before, now = (_readable(settings.get(key)) for settings in (theirs, ours))
                raise RsnError(
                    f"{self.folder.url} belongs to a run with {key.replace('_', ' ')} {before}, not {now}; choose"
                    " another --output, or say the same again"
                )

    def read_plan(self) -> list[Part]:
        """The parts, in order of their numbers; none in a new folder.

        Raises:
            RsnError: the file holds something else.
        """
        try:
            return [Part.from_json(line) for line in (self.folder.read(PLAN) or b"").decode().splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise RsnError(f"{self.folder.url}/{PLAN} is damaged; choose another --output") from error

    def write_plan(self, parts: Sequence[Part], settings: Settings) -> None:
        """Write all parts; those that were planned before come first, so that they keep their numbers."""
        self.folder.write(SETTINGS, (json.dumps(asdict(settings), indent=1) + "\n").encode())
        self.folder.write(PLAN, "".join(f"{part.to_json()}\n" for part in parts).encode())

    def done(self) -> set[int]:
        """The numbers of the parts that are done."""
        found = (re.fullmatch(r"part-(\d+)\.parquet", name) for name in self.folder.names(PEOPLE))
        return {int(match[1]) for match in found if match}

    def begin(self, number: int, run: str) -> int:
        """Note that a part is begun; returns how often it was in the run of this name, whoever did not finish it."""
        name = _begun(number)
        before = json.loads(self.folder.read(name) or b"{}")
        times = 1 + before.get(run, 0)
        self.folder.write(name, json.dumps({run: times}).encode())
        return int(times)

    def write_part(self, number: int, people: "People", unreadable: Sequence[dict[str, str]]) -> None:
        """Write a part. It is done when its Parquet file is there, which is the last thing to be written."""
        if unreadable:
            lines = "".join(json.dumps(entry) + "\n" for entry in unreadable)
            self.folder.write(f"{UNREADABLE}/part-{number:06d}.jsonl", lines.encode())
        self.folder.write(f"{PEOPLE}/part-{number:06d}.parquet", people.to_parquet(len(unreadable)))
        self.folder.remove(_begun(number))


class People:
    """The rows of one part: one a person; a photo where nobody was found has one without a person."""

    def __init__(self, model: str, skeleton: Skeleton) -> None:
        self._model = model
        self._skeleton = skeleton
        self._rows: list[dict[str, Any]] = []
        self.photos = 0
        self.people = 0

    def add(self, photo: str, image: NDArray[np.uint8], people: Sequence[Person]) -> None:
        """A photo, and who is on it."""
        self.photos += 1
        self.people += len(people)
        height, width = image.shape[:2]
        about = {"photo": photo, "width": width, "height": height, "model": self._model}
        if not people:
            self._rows.append(about)
        for number, person in enumerate(people):
            self._rows.append(
                about
                | {
                    "person": number,
                    "box": person.box.tolist(),
                    "keypoints": person.keypoints.tolist(),
                    "scores": person.scores.tolist(),
                    "score": person.score,
                }
            )

    def to_parquet(self, unreadable: int) -> bytes:
        """The bytes of a file, see `schema`."""
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        about = {
            "rsn.joints": json.dumps(self._skeleton.joints),
            "rsn.photos": str(self.photos),
            "rsn.people": str(self.people),
            "rsn.unreadable": str(unreadable),
        }
        table = arrow.Table.from_pylist(self._rows, schema=schema().with_metadata(about))
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd")
        return buffer.getvalue()


def schema() -> Any:
    """The columns of people/*.parquet; positions are pixels of the upright photo (docs/bulk.md)."""
    import pyarrow as arrow

    number = arrow.float32()
    return arrow.schema(
        [
            arrow.field("photo", arrow.string(), nullable=False),
            arrow.field("person", arrow.int32()),
            arrow.field("box", arrow.list_(number)),
            arrow.field("keypoints", arrow.list_(arrow.list_(number))),
            arrow.field("scores", arrow.list_(number)),
            arrow.field("score", number),
            arrow.field("width", arrow.int32(), nullable=False),
            arrow.field("height", arrow.int32(), nullable=False),
            arrow.field("model", arrow.string(), nullable=False),
        ]
    )


def _begun(number: int) -> str:
    return f"begun/part-{number:06d}.json"


def _readable(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
