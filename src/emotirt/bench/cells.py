"""What the stage and latency benchmarks measure: which stage, how many seconds of audio, how many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emotirt.bundle.contract import PROMPT_ENCODER
from emotirt.bundle.manifest import Manifest
from emotirt.errors import InvalidRequest

LENGTHS_S = (1.0, 2.0, 5.0, 15.0, 30.0)
BATCHES = (1, 2, 4, 8, 16, 32)
MAIN_LENGTH_S = 15.0
"""The length of the targets; it is measured first."""
FRAMES_PER_TOKEN = 5
"""Of the random model of EmotiVoice's size, whose durations are pinned; trained voices come near it."""
TOKENS_PER_PIECE = 3
"""A hanzi is one word piece and two phonemes with a separator."""
_PIECE_EDGES = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of a benchmark.

    Attributes:
        stage: a stage of the bundle, or empty for the whole path.
        seconds: of audio in each row.
        batch: rows at once.
        frames: of a row.
        tokens: of a row; word pieces for the prompt encoder.
    """

    stage: str
    seconds: float
    batch: int
    frames: int
    tokens: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.stage or 'path'} {self.seconds:g} s x {self.batch}"

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of the axes of the stage's inputs."""
        return {"batch": self.batch, "frames": self.frames, "tokens": self.tokens}


def cells(
    manifest: Manifest, stages: Sequence[str], lengths_s: Sequence[float] = LENGTHS_S, batches: Sequence[int] = BATCHES
) -> list[Cell]:
    """Return every combination, the most telling ones first, so that a measurement cut short still tells much.

    Args:
        manifest: of the bundle, for its hop and rate.
        stages: stages of the bundle, or one empty name for the whole path.
        lengths_s: seconds of audio.
        batches: rows at once.

    Raises: InvalidRequest: a stage that the bundle lacks, or a size below 1 frame or row.
    """
    unknown = [stage for stage in stages if stage and stage not in manifest.stages]
    if unknown:
        raise InvalidRequest(
            f"bundle {manifest.name!r} has no stage {', '.join(unknown)}; it has {', '.join(manifest.stages)}"
        )
    made = [_cell(manifest, stage, length_s, batch) for stage in stages for length_s in lengths_s for batch in batches]
    return sorted(made, key=lambda cell: _rank(cell, batches))


def _rank(cell: Cell, batches: Iterable[int]) -> tuple[int, float, int]:
    """Rank alone at the main length first, then the largest batch there, then the rest from small to large."""
    is_main = cell.seconds == MAIN_LENGTH_S
    place = 0 if is_main and cell.batch == 1 else 1 if is_main and cell.batch == max(batches) else 2
    return place, cell.seconds * cell.batch, cell.batch


def _cell(manifest: Manifest, stage: str, seconds: float, batch: int) -> Cell:
    frames = int(seconds * manifest.sample_rate_hz) // manifest.hop_samples
    if frames < 1 or batch < 1:
        raise InvalidRequest(f"{seconds:g} s in a batch of {batch} is no work; give at least one frame and one row")
    tokens = max(1, frames // FRAMES_PER_TOKEN)
    if stage == PROMPT_ENCODER:
        most = manifest.prompt.max_tokens if manifest.prompt else tokens
        tokens = min(most, tokens // TOKENS_PER_PIECE + _PIECE_EDGES)
    return Cell(stage, seconds, batch, frames, tokens)
