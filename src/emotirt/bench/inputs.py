"""Inputs that processes share, so that what they measure can be compared: numbers for stages, sentences for all.

A file of random numbers is written once and read by every process of a run; its hash stands in their results. Inputs of
any size are cut out of it at places that follow from the cell.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotirt.bench.cells import Cell
from emotirt.bench.sized_texts import sized_texts
from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.manifest import Manifest, StageEntry
from emotirt.errors import InvalidRequest, OutputError
from emotirt.runtime.runner import Array
from emotirt.text.frontend import Frontend
from emotirt.types import FloatArray

POOL_VALUES = 1 << 18
_MEL_CENTER, _MEL_SPREAD = -5.0, 2.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """The shared inputs of a run.

    Attributes:
        normal: float32 [POOL_VALUES], drawn from the normal distribution.
        texts: name of a length to sentences that nobody has seen.
        frontend: which front end counted the sentences' tokens.
        digest: SHA-256 of the file.
    """

    normal: FloatArray
    texts: Mapping[str, Sequence[str]]
    frontend: str
    digest: str

    def feeds(self, manifest: Manifest, cell: Cell) -> dict[str, Array]:
        """Return the inputs of a stage at a cell's sizes."""
        entry = manifest.stages[cell.stage]
        feeds: dict[str, Array] = {
            item.name: self._drawn(cell, item.name, _shape(entry, item.name, cell)) for item in entry.inputs
        }
        lengths = np.full(cell.batch, cell.tokens, dtype=np.int64)
        if cell.stage == TEXT_ENCODER:
            feeds |= {"ids": self._ids(cell, len(manifest.symbols)), "lengths": lengths}
            feeds |= {name: np.zeros(cell.batch, dtype=np.float32) for name in ("pitch_shift", "energy")}
            feeds |= {name: np.ones(cell.batch, dtype=np.float32) for name in ("pitch_range", "speed")}
        elif cell.stage == DECODER:
            ends = np.arange(cell.tokens + 1) * cell.frames // cell.tokens
            durations = np.tile(np.diff(ends).astype(np.float32), (cell.batch, 1))
            mask = np.ones((cell.batch, cell.frames), dtype=np.float32)
            feeds |= {"durations": durations, "lengths": lengths, "frame_mask": mask}
        elif cell.stage == PROMPT_ENCODER:
            mask = np.ones((cell.batch, cell.tokens), dtype=np.float32)
            feeds |= {"ids": self._ids(cell, int(manifest.model["prompt"]["vocabulary"])), "mask": mask}
        elif cell.stage in (VOCODER, REFERENCE_ENCODER):
            feeds["mel"] = (_MEL_CENTER + _MEL_SPREAD * feeds["mel"]).astype(np.float32)
            if cell.stage == REFERENCE_ENCODER:
                feeds["frames"] = np.full(cell.batch, cell.frames, dtype=np.int64)
        return feeds

    def sentences(self, seconds: float) -> Sequence[str]:
        """Return the sentences of a length.

        Raises: InvalidRequest: the file has none of that length.
        """
        found = self.texts.get(f"{seconds:g}")
        if not found:
            raise InvalidRequest(f"the inputs hold no sentences of {seconds:g} s; they hold {', '.join(self.texts)} s")
        return found

    def _drawn(self, cell: Cell, name: str, shape: Sequence[int]) -> FloatArray:
        start = zlib.crc32(f"{cell.stage}/{name}/{cell.seconds:g}/{cell.batch}".encode()) % len(self.normal)
        count = int(np.prod(shape))
        drawn: FloatArray = np.take(self.normal, np.arange(start, start + count), mode="wrap").reshape(shape)
        return drawn

    def _ids(self, cell: Cell, count: int) -> Array:
        places = self._drawn(cell, "ids", (cell.batch, cell.tokens))
        ids: Array = np.abs(places * 1e6).astype(np.int64) % count
        return ids


def _shape(entry: StageEntry, name: str, cell: Cell) -> list[int]:
    spec = next(item for item in entry.inputs if item.name == name)
    return [axis if isinstance(axis, int) else cell.sizes[axis] for axis in spec.shape]


def write_inputs(path: Path, frontend: Frontend, manifest: Manifest, tokens: Mapping[float, int], count: int) -> None:
    """Draw inputs and write them.

    Args:
        path: of the npz file.
        frontend: counts tokens.
        manifest: of the bundle that the sentences are for.
        tokens: seconds of audio to the tokens that they take.
        count: sentences of each length.

    Raises: OutputError: not writable.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    texts = {f"{seconds:g}": sized_texts(frontend, wanted, count) for seconds, wanted in tokens.items()}
    header = json.dumps({"frontend": manifest.frontend, "texts": texts}, ensure_ascii=False).encode()
    buffer = io.BytesIO()
    np.savez(
        buffer,
        normal=rng.standard_normal(POOL_VALUES, dtype=np.float32),
        texts=np.frombuffer(header, dtype=np.uint8),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    except OSError as exc:
        raise OutputError(f"cannot write {str(path)!r}: {exc.strerror}") from exc


def read_inputs(path: Path) -> Inputs:
    """Read what ``write_inputs`` wrote.

    Raises: InvalidRequest: no such file, or another one.
    """
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            normal, header = archive["normal"], json.loads(archive["texts"].tobytes().decode())
        return Inputs(normal, header["texts"], header["frontend"], hashlib.sha256(data).hexdigest())
    except (OSError, ValueError, KeyError, EOFError) as exc:
        problem = f"{type(exc).__name__}: {exc}"
        raise InvalidRequest(
            f"{str(path)!r} holds no benchmark inputs ({problem}); write it with 'emotirt bench inputs'"
        ) from exc
