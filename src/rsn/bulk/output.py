"""The output of a run: settings, plan, and one Parquet file of people per part."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rsn.bulk.parts import Part
from rsn.bulk.settings import Settings
from rsn.bulk.storage import connect, full_name, is_local, store_errors
from rsn.errors import RsnError
from rsn.io.files import atomic_write, check_writable, make_folder
from rsn.skeletons import Skeleton

SETTINGS, PLAN, PEOPLE, UNREADABLE = "settings.json", "plan.jsonl", "people", "unreadable"


class Output:
    """The folder of a run: a local one, or the URL of a store that never shows incomplete files (S3 and GCS)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._system, self._path = connect(url)
        self._local = Path(self._path) if is_local(self._system) else None

    def name(self) -> str:
        """The folder as sources name files."""
        return full_name(self._system, self._path).rstrip("/")

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a file atomically; raises RsnError if that fails."""
        if self._local is not None:
            make_folder((self._local / name).parent)
            return atomic_write(self._local / name, data)
        with store_errors(f"write {self.url}/{name}"):
            self._system.pipe_file(f"{self._path}/{name}", data)

    def read(self, name: str) -> bytes:
        """The bytes of a file, none if it does not exist; raises RsnError if it cannot be read."""
        with store_errors(f"read {self.url}/{name}"):
            try:
                return bytes(self._system.cat_file(f"{self._path}/{name}"))
            except FileNotFoundError:
                return b""

    def remove(self, name: str) -> None:
        """Remove a file that is not needed any more, if the store allows that."""
        with suppress(Exception):
            self._system.rm_file(f"{self._path}/{name}")

    def names(self, folder: str) -> list[str]:
        """The names of the files in a subfolder; none if it does not exist."""
        with store_errors(f"list {self.url}/{folder}"):
            try:
                found = self._system.ls(f"{self._path}/{folder}", detail=False, refresh=True)
            except FileNotFoundError:
                return []
            return [str(path).rpartition("/")[2] for path in found]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs from writing to a local folder; the end of the process also releases it.

        Raises:
            RsnError: the folder cannot be written to, or another run writes to it.
        """
        local = self._local
        if local is None:
            yield
            return
        from filelock import FileLock, Timeout

        check_writable(local / SETTINGS)
        try:
            lock = FileLock(local / ".lock", timeout=0).acquire()
        except Timeout as error:
            raise RsnError(f"another run writes to {self.url}; wait for it, or choose another folder") from error
        with lock:
            for temporary in [*local.glob(".*.part"), *local.glob(f"{PEOPLE}/.*.part")]:
                temporary.unlink(missing_ok=True)  # of a run that was killed while writing
            yield

    def check(self, settings: Settings) -> None:
        """Raise RsnError if the folder belongs to a run with other settings."""
        data = self.read(SETTINGS)
        if not data:
            if self.names(PEOPLE):
                raise RsnError(f"{self.url} holds {PEOPLE}/ but no {SETTINGS}; choose another --output")
            return
        try:
            before = dict(json.loads(data))
        except (ValueError, TypeError) as error:
            raise RsnError(f"{self.url}/{SETTINGS} was not written by rsn bulk; choose another --output") from error
        now = json.loads(_to_json(settings))
        for key in now.keys() | before.keys():
            if now.get(key) != before.get(key):
                raise RsnError(
                    f"{self.url} belongs to a run with {key.replace('_', ' ')} {before.get(key)}, not {now.get(key)};"
                    " choose another --output, or use the same settings"
                )

    def read_plan(self) -> list[Part]:
        """The parts in order of their numbers; none in a new folder. Raises RsnError if the file is damaged."""
        try:
            return [Part.from_json(line) for line in self.read(PLAN).decode().splitlines()]
        except (ValueError, KeyError, TypeError) as error:
            raise RsnError(f"{self.url}/{PLAN} is damaged; choose another --output") from error

    def write_plan(self, parts: Sequence[Part], settings: Settings) -> None:
        """Write settings and all parts; those of earlier plans come first, because their position is their number."""
        self.write(SETTINGS, _to_json(settings).encode())
        self.write(PLAN, "".join(f"{part.to_json()}\n" for part in parts).encode())

    def finished(self) -> set[int]:
        """The numbers of the parts whose Parquet file exists."""
        matches = (re.fullmatch(r"part-(\d+)\.parquet", name) for name in self.names(PEOPLE))
        return {int(match[1]) for match in matches if match}

    def start_part(self, number: int, run: str) -> int:
        """Record that a worker starts a part; returns how often that happened in this run."""
        count = 1 + int(json.loads(self.read(_begun(number)) or b"{}").get(run, 0))
        self.write(_begun(number), json.dumps({run: count}).encode())
        return count

    def write_part(
        self,
        number: int,
        rows: Sequence[dict[str, Any]],
        unreadable: Sequence[dict[str, str]],
        skeleton: Skeleton,
    ) -> None:
        """Write a part; the Parquet file, which marks it as finished, comes last.

        rows: one per person (see `schema`); an image without people has one row without a person.
        """
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        if unreadable:
            lines = "".join(json.dumps(entry) + "\n" for entry in unreadable)
            self.write(f"{UNREADABLE}/part-{number:06d}.jsonl", lines.encode())
        metadata = {
            "rsn.keypoints": json.dumps(skeleton.keypoint_names),
            "rsn.images": str(sum(row.get("person", 0) == 0 for row in rows)),
            "rsn.results": str(sum("person" in row for row in rows)),
            "rsn.unreadable": str(len(unreadable)),
        }
        table = arrow.Table.from_pylist(list(rows), schema=schema().with_metadata(metadata))
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd")
        self.write(f"{PEOPLE}/part-{number:06d}.parquet", buffer.getvalue())
        self.remove(_begun(number))


def schema() -> Any:
    """The columns of people/*.parquet: image and person, and the keys of `Person.to_dict` (docs/bulk.md)."""
    import pyarrow as arrow

    numbers = arrow.list_(arrow.float32())
    return arrow.schema(
        [
            arrow.field("image", arrow.string(), nullable=False),
            arrow.field("person", arrow.int32()),
            arrow.field("keypoints", numbers),
            arrow.field("score", arrow.float32()),
            arrow.field("bbox", numbers),
            arrow.field("box_score", arrow.float32()),
            arrow.field("score_type", arrow.string()),
            arrow.field("std", numbers),
            arrow.field("width", arrow.int32(), nullable=False),
            arrow.field("height", arrow.int32(), nullable=False),
            arrow.field("model", arrow.string(), nullable=False),
        ]
    )


def _begun(number: int) -> str:
    return f"begun/part-{number:06d}.json"


def _to_json(settings: Settings) -> str:
    return json.dumps(asdict(settings), indent=1) + "\n"
