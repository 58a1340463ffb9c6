"""Stages in one call: ``acoustic`` gives a mel from what the text encoder takes, ``speech`` the audio.

Where the stages share a device, nothing but durations travels between them (``runtime.chain``); here is their contract,
and how any runners make them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emotirt.bundle.contract import DECODER, TEXT_ENCODER, VOCODER, Dimensions, StageContract, stage_contract
from emotirt.runtime.durations import MAX_FRAMES, fitted_durations
from emotirt.runtime.runner import Array, Runner, check_feeds
from emotirt.types import FloatArray, TensorSpec

ACOUSTIC, SPEECH = "acoustic", "speech"
FUSED = (ACOUSTIC, SPEECH)
PARTS = {ACOUSTIC: (TEXT_ENCODER, DECODER), SPEECH: (TEXT_ENCODER, DECODER, VOCODER)}
"""The stages of which they consist."""


def fused_contract(name: str, dimensions: Dimensions) -> StageContract:
    """Return what ``acoustic`` or ``speech`` takes and gives; behind a row's end are zeros.

    Durations are as fitted into ``MAX_FRAMES``; their sum says how much of a row is real. Where the text encoder gave
    values that are not finite, the whole row is.
    """
    inputs = stage_contract(TEXT_ENCODER, dimensions).inputs
    made = {
        ACOUSTIC: TensorSpec("mel", "float32", ("batch", "frames", dimensions.n_mels)),
        SPEECH: TensorSpec("wav", "float32", ("batch", "samples")),
    }[name]
    return StageContract(inputs, (TensorSpec("durations", "float32", ("batch", "tokens")), made))


class JoinedAcoustic:
    """``acoustic`` from two runners, through host memory."""

    def __init__(self, text_encoder: Runner, decoder: Runner, dimensions: Dimensions) -> None:
        """Join runners, which are closed with it."""
        contract = fused_contract(ACOUSTIC, dimensions)
        self.inputs, self.outputs = contract.inputs, contract.outputs
        self._text_encoder = text_encoder
        self._decoder = decoder

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute both stages; see ``Runner.run``."""
        check_feeds(ACOUSTIC, self.inputs, feeds)
        encoded = self._text_encoder.run(feeds)
        durations = fitted_rows(encoded["durations"], feeds["lengths"])
        frames = frames_of(durations)
        decoded = self._decoder.run(
            {
                "hidden": encoded["hidden"],
                "durations": durations,
                "lengths": feeds["lengths"],
                "frame_mask": frame_mask(frames, max(frames)),
            }
        )
        return {"durations": marked_rows(durations, encoded["durations"]), "mel": decoded["mel"]}

    def close(self) -> None:
        """Release both."""
        self._text_encoder.close()
        self._decoder.close()


class JoinedSpeech:
    """``speech`` from a runner of ``acoustic`` and one of the vocoder, through host memory."""

    def __init__(self, acoustic: Runner, vocoder: Runner, dimensions: Dimensions) -> None:
        """Join runners, which are closed with it."""
        contract = fused_contract(SPEECH, dimensions)
        self.inputs, self.outputs = contract.inputs, contract.outputs
        self._acoustic = acoustic
        self._vocoder = vocoder

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute all stages; see ``Runner.run``."""
        made = self._acoustic.run(feeds)
        frames = frames_of(np.nan_to_num(made["durations"]))
        rows = [
            self._vocoder.run({"mel": np.ascontiguousarray(mel[None, : max(1, count)].transpose(0, 2, 1))})["wav"][0]
            for mel, count in zip(made["mel"], frames, strict=True)
        ]
        return {"durations": made["durations"], "wav": padded_rows(rows)}

    def close(self) -> None:
        """Release both."""
        self._acoustic.close()
        self._vocoder.close()


def fitted_rows(durations: FloatArray, lengths: Array) -> FloatArray:
    """Fit the durations of every row into ``MAX_FRAMES``.

    Args:
        durations: float32 [B, N] as the text encoder gave them.
        lengths: int64 [B].

    Returns: float32 [B, N]; a row that is not finite gets one frame, so that the others can go on.
    """
    fitted = np.zeros_like(durations)
    for row, count in enumerate(lengths):
        real = durations[row, :count]
        fitted[row, :count] = fitted_durations(np.where(np.isfinite(real).all(), real, 0.0), MAX_FRAMES)
    return fitted


def marked_rows(fitted: FloatArray, given: FloatArray) -> FloatArray:
    """Put NaN into the rows of fitted durations that the text encoder gave values for that are not finite."""
    bad = ~np.isfinite(given).all(axis=1)
    if bad.any():
        fitted = fitted.copy()
        fitted[bad] = np.nan
    return fitted


def frames_of(durations: FloatArray) -> list[int]:
    """Return how many frames each row of fitted durations has."""
    return [int(total) for total in durations.sum(axis=1, dtype=np.float64)]


def frame_mask(frames: Sequence[int], count: int) -> FloatArray:
    """Return float32 [B, count], 1 on real frames."""
    return (np.arange(count) < np.array(frames)[:, None]).astype(np.float32)


def padded_rows(rows: Sequence[FloatArray]) -> FloatArray:
    """Stack rows of any length with zeros behind them."""
    if len(rows) == 1:
        return rows[0][None]
    longest = max(map(len, rows))
    if all(len(row) == longest for row in rows):
        return np.stack(rows)
    padded = np.zeros((len(rows), longest, *rows[0].shape[1:]), dtype=np.float32)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded
