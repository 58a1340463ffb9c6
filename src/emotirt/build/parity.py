"""Compare a stage on two backends over shapes from the smallest to the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.errors import ParityFailed
from emotirt.runtime.runner import Array, Runner
from emotirt.types import FloatArray

TOLERANCES = {"hidden": 1e-4, "mel": 1e-4, "wav": 1e-4, "speaker": 1e-5, "emotion": 1e-5, "style": 1e-4}
"""Largest difference, as a share of the reference's largest value where that exceeds 1.

PyTorch and ONNX Runtime add the same float32 products in another order; differences measured on the default sizes are
several times smaller than this. Full scale of ``wav`` is 1, so 1e-4 is the bound of the audio itself.
"""
DURATION_TIES = 0.02
"""Share of tokens whose border may round to the neighbouring frame, because it lies half way between two; where every
duration is rounded by itself, the share that may round to a neighbouring length."""

FLIPPED_SHARE = 1e-3
FULL_SCALE = 0.999
"""Share of samples that may jump from one end of full scale to the other. An untrained vocoder can drive its last tanh
so far into saturation that rounding decides the sign of a sample; the public code then varies with its threads."""


@dataclass(frozen=True, slots=True)
class ShapeCase:
    """Sizes of one comparison.

    Attributes:
        label: ``min``, ``typical``, ``max`` or another word for reports.
        batch: rows; all but the first are shorter than the sizes say, where the stage has lengths.
        tokens: of the longest row.
        frames: of the longest row.
    """

    label: str
    batch: int
    tokens: int
    frames: int


CASES = (
    ShapeCase("min", 1, 1, 1),
    ShapeCase("short", 3, 5, 17),
    ShapeCase("typical", 1, 60, 300),
    ShapeCase("batch", 4, 97, 333),
    ShapeCase("max", 1, 240, 1500),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What one case gave.

    Attributes:
        stage: compared stage.
        case: its sizes.
        output: name of the output.
        largest: largest difference, as ``TOLERANCES`` measures it; for durations the share of tokens that differ.
    """

    stage: str
    case: ShapeCase
    output: str
    largest: float


def compare_stage(
    stage: str, reference: Runner, candidate: Runner, symbol_count: int, cases: Sequence[ShapeCase] = CASES
) -> list[Difference]:
    """Run both runners on the same seeded inputs.

    Args:
        stage: one of ``bundle.contract.STAGES``.
        reference: what is right.
        candidate: what is checked.
        symbol_count: ids are drawn below it.
        cases: sizes to try.

    Returns: one difference for each case and output.
    Raises: ParityFailed: past the tolerance; names stage, case, output and figures.
    """
    differences = []
    for index, case in enumerate(cases):
        feeds = _feeds(stage, reference, case, symbol_count, np.random.default_rng(index))
        expected, found = reference.run(feeds), candidate.run(feeds)
        for name, values in expected.items():
            difference = Difference(stage, case, name, _difference(stage, case, name, values, found[name]))
            allowed = DURATION_TIES if name == "durations" else TOLERANCES[name]
            if not difference.largest <= allowed:
                raise ParityFailed(
                    f"stage {stage}, case {case.label} (batch {case.batch}, {case.tokens} tokens, "
                    f"{case.frames} frames): output {name!r} differs by {difference.largest:.2e}, "
                    f"allowed is {allowed:.0e}"
                )
            differences.append(difference)
    return differences


def _difference(stage: str, case: ShapeCase, name: str, expected: Array, found: Array) -> float:
    if expected.shape != found.shape or not np.isfinite(found).all():
        raise ParityFailed(
            f"stage {stage}, case {case.label}: output {name!r} has shape {found.shape} instead of {expected.shape}, "
            "or values that are not finite"
        )
    if name == "durations":
        shifted = np.abs(np.cumsum(expected, axis=1) - np.cumsum(found, axis=1))
        changed = np.abs(expected - found)
        moved = float((shifted > 0).mean()) if shifted.max() <= 1 else float("inf")
        resized = float((changed > 0).mean()) if changed.max() <= 1 else float("inf")
        return min(moved, resized)
    if name == "wav":
        expected, found = _without_flips(expected, found)
    return float(np.abs(expected - found).max() / max(1.0, float(np.abs(expected).max())))


def _without_flips(expected: Array, found: Array) -> tuple[Array, Array]:
    """Leave out the few samples that stand at opposite ends of full scale."""
    flipped = (expected * found < 0) & (np.minimum(np.abs(expected), np.abs(found)) > FULL_SCALE)
    if flipped.mean() > FLIPPED_SHARE:
        return expected, found
    return np.where(flipped, 0.0, expected), np.where(flipped, 0.0, found)


def _feeds(
    stage: str, runner: Runner, case: ShapeCase, symbol_count: int, rng: np.random.Generator
) -> Mapping[str, Array]:
    sizes: dict[int | str, int] = {"batch": case.batch, "tokens": case.tokens, "frames": case.frames}
    feeds: dict[str, Array] = {
        spec.name: rng.standard_normal([_size(axis, sizes) for axis in spec.shape]).astype(np.float32)
        for spec in runner.inputs
    }
    lengths = _ragged(case.batch, case.tokens)
    if stage == TEXT_ENCODER:
        _fill_text_encoder(feeds, lengths, symbol_count, rng)
    elif stage == DECODER:
        durations = _durations(lengths, case, rng)
        counts = durations.sum(axis=1).astype(np.int64)
        feeds |= {"durations": durations, "lengths": lengths, "frame_mask": _mask(counts, case.frames)}
    elif stage == PROMPT_ENCODER:
        mask = _mask(lengths, case.tokens)
        feeds |= {"ids": rng.integers(0, symbol_count, mask.shape) * mask.astype(np.int64), "mask": mask}
    elif stage == REFERENCE_ENCODER:
        feeds |= {"mel": _mel_like(feeds["mel"]), "frames": _ragged(case.batch, case.frames)}
    elif stage == VOCODER:
        feeds |= {"mel": _mel_like(feeds["mel"])}
    return feeds


def _fill_text_encoder(feeds: dict[str, Array], lengths: Array, symbol_count: int, rng: np.random.Generator) -> None:
    batch, tokens = feeds["ids"].shape
    for name in {"speaker", "emotion", "content"} & set(feeds):
        feeds[name] /= np.linalg.norm(feeds[name], axis=1, keepdims=True)
    feeds |= {
        "ids": rng.integers(0, symbol_count, (batch, tokens)) * (np.arange(tokens) < lengths[:, None]),
        "lengths": lengths,
        "pitch_range": np.exp(0.3 * feeds["pitch_range"]),
        "speed": np.exp(0.3 * feeds["speed"]),
    }


def _size(axis: int | str, sizes: Mapping[int | str, int]) -> int:
    return axis if isinstance(axis, int) else sizes[axis]


def _ragged(batch: int, longest: int) -> Array:
    return np.maximum(1, longest - np.arange(batch) * longest // (2 * batch)).astype(np.int64)


def _mel_like(noise: Array) -> FloatArray:
    mel: FloatArray = (-5.0 + 2.0 * noise).astype(np.float32)
    return mel


def _durations(lengths: Array, case: ShapeCase, rng: np.random.Generator) -> FloatArray:
    """Spread each row's share of the frames over its tokens at random; some tokens get none."""
    rows = np.zeros((case.batch, case.tokens), dtype=np.float32)
    for row, length in zip(rows, lengths, strict=True):
        frames = max(1, case.frames * int(length) // case.tokens)
        row[:length] = np.bincount(rng.integers(0, length, frames), minlength=length)
    return rows


def _mask(counts: Array, frames: int) -> FloatArray:
    return (np.arange(frames) < counts[:, None]).astype(np.float32)
