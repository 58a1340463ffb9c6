"""The plan cache: a directory of ``<digest>.plan`` with ``<digest>.json`` beside it, written whole or not at all.

The record is written after the plan and removed before it, so that whoever finds a record finds its plan; size and
SHA-256 are checked whenever a plan is read. Locks keep two processes from building the same plan twice.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from emotirt.bundle.file_lock import locked
from emotirt.bundle.plans import PlanKey, PlanRecord, json_from_record, record_from_json
from emotirt.errors import OutputError, PlanUnusable
from emotirt.whole_file import write_whole


class Reason(str, Enum):
    """Why there is no plan to load."""

    MISSING = "missing"
    STALE = "stale"
    """Of another version, GPU or build."""
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    """Files of a name that their content does not have."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan read and verified."""

    record: PlanRecord
    data: bytes


def default_cache_directory() -> Path:
    """Return the user's cache directory for plans; nothing is created."""
    home = Path.home()
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "emotirt" / "plans"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "emotirt" / "plans"
    return home / ".cache" / "emotirt" / "plans"


class PlanCache:
    """Plans in one directory; may be used by several processes at once."""

    def __init__(self, directory: Path | None = None) -> None:
        """Use a directory, None for the user's cache; it is made when the first plan is stored."""
        self.directory = default_cache_directory() if directory is None else directory

    def plan_path(self, key: PlanKey) -> Path:
        """Return where the plan of a key lies or would lie."""
        return self.directory / f"{key.digest}.plan"

    def record_path(self, key: PlanKey) -> Path:
        """Return where its record lies or would lie."""
        return self.directory / f"{key.digest}.json"

    def timing_cache_path(self, adapter: str, tensorrt_version: str, gpu_name: str) -> Path:
        """Return where measured kernel times of one TensorRT on one GPU lie; shared by all plans."""
        name = "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in gpu_name or "any")
        return self.directory / f"{adapter}-{tensorrt_version}-{name}.timing"

    def load(self, key: PlanKey) -> StoredPlan:
        """Read the plan of exactly this key and verify it whole.

        Raises: PlanUnusable: with one of ``Reason`` as its ``reason``; names the file and what to do.
        """
        record = self._record(self.record_path(key))
        if record.key != key:
            raise self._unusable(Reason.FOREIGN, self.record_path(key), "it describes another plan than its name says")
        return StoredPlan(record, self._data(record))

    def find(self, key: PlanKey) -> StoredPlan:
        """Read the plan of this key, or another that serves as well; see ``PlanKey.difference``.

        Of several that are sound the one with the highest optimization level is taken.

        Raises: PlanUnusable: as ``load``; ``STALE`` says how the nearest plan of the same stage, graph and precision
            differs.
        """
        serving, differences = [], []
        for record in self.records():
            difference = record.key.difference(key)
            if not difference:
                serving.append(record)
            elif all(getattr(record.key, name) == getattr(key, name) for name in _SUBJECT):
                differences.append(difference)
        serving.sort(key=lambda record: (record.key.optimization_level or 0, record.key == key), reverse=True)
        problem: PlanUnusable | None = None
        for outcome in map(self._outcome, serving):
            if isinstance(outcome, StoredPlan):
                return outcome
            problem = problem or outcome
        if problem is not None:
            raise problem
        if self.record_path(key).exists():
            return self.load(key)
        what = f"the {key.precision} plan of stage {key.stage}"
        if differences:
            raise PlanUnusable(f"{what} in {self.directory} does not fit: {differences[-1]}; {_REMEDY}", Reason.STALE)
        raise PlanUnusable(f"{what} is not in {self.directory}; {_REMEDY}", Reason.MISSING)

    def records(self) -> list[PlanRecord]:
        """List the readable records by file name; others are left out."""
        found = []
        for path in sorted(self.directory.glob("*.json")):
            with suppress(PlanUnusable):
                record = self._record(path)
                if path == self.record_path(record.key):
                    found.append(record)
        return found

    def store(self, key: PlanKey, data: bytes, built_graph_sha256: str, build_s: float) -> PlanRecord:
        """Write a plan and its record, each in one step; what is there already is replaced.

        Raises: OutputError: the directory cannot be written or the disk is full; nothing is left behind.
        """
        record = PlanRecord(key, hashlib.sha256(data).hexdigest(), len(data), built_graph_sha256, round(build_s, 3))
        with self._mapped_errors():
            self.directory.mkdir(parents=True, exist_ok=True)
            self.record_path(key).unlink(missing_ok=True)
            write_whole(self.plan_path(key), data)
            try:
                write_whole(self.record_path(key), json_from_record(record))
            except BaseException:
                self.plan_path(key).unlink(missing_ok=True)
                raise
        return record

    def store_timing(self, path: Path, data: bytes) -> None:
        """Write a timing cache; errors of ``store``."""
        with self._mapped_errors():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)

    @contextmanager
    def building(self, key: PlanKey, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the right to build the plan of a key; look into the cache again once you have it.

        Args:
            key: of the plan.
            waiting: called once if another process holds it and this one has to wait.

        Raises: OutputError: the directory cannot be written.
        """
        with self._mapped_errors():
            self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / f"{key.digest}.lock", waiting):
            yield

    @contextmanager
    def timing(self, path: Path) -> Iterator[None]:
        """Hold the right to change a timing cache; raises OutputError where the directory cannot be written."""
        with self._mapped_errors():
            self.directory.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(path.name + ".lock"), lambda: None):
            yield

    def _record(self, path: Path) -> PlanRecord:
        try:
            return record_from_json(path.read_bytes())
        except FileNotFoundError:
            raise self._unusable(Reason.MISSING, path, "it does not exist") from None
        except OSError as exc:
            raise self._unusable(Reason.UNREADABLE, path, exc.strerror or str(exc)) from exc
        except ValueError as exc:
            raise self._unusable(Reason.DAMAGED, path, str(exc)) from exc

    def _outcome(self, record: PlanRecord) -> StoredPlan | PlanUnusable:
        try:
            return StoredPlan(record, self._data(record))
        except PlanUnusable as exc:
            return exc

    def _data(self, record: PlanRecord) -> bytes:
        path = self.plan_path(record.key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise self._unusable(Reason.MISSING, path, "it does not exist though its record does") from None
        except OSError as exc:
            raise self._unusable(Reason.UNREADABLE, path, exc.strerror or str(exc)) from exc
        if len(data) < record.plan_bytes:
            raise self._unusable(Reason.TRUNCATED, path, f"it has {len(data)} of {record.plan_bytes} bytes")
        if hashlib.sha256(data).hexdigest() != record.plan_sha256:
            raise self._unusable(Reason.DAMAGED, path, "its SHA-256 is not the one of its record")
        return data

    @staticmethod
    def _unusable(reason: Reason, path: Path, detail: str) -> PlanUnusable:
        return PlanUnusable(f"plan file {path} is {reason.value}: {detail}; {_REMEDY}", reason)

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise OutputError(
                f"plan cache {self.directory} cannot be written: {exc.strerror or exc}; "
                "make room, or choose another directory with --cache"
            ) from exc


_SUBJECT = ("stage", "graph_sha256", "precision")
"""What makes a plan that does not fit worth a word about how it differs."""
_REMEDY = "build it with 'emotirt build --target tensorrt' or 'tensorrt-rtx'"
