"""The vocoder stage: mels to audio, at once or window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from emotirt.errors import BackendError
from emotirt.runtime.runner import Runner
from emotirt.synthesis.windows import windows
from emotirt.types import FloatArray, Window

BLOCK_FRAMES = 96
"""1.5 s at the default hop: 26 frames of context then cost a fifth."""
FIRST_BLOCK_FRAMES = 24
"""0.4 s at the default hop: heard while the next block is made."""


class VocoderStage:
    """Vocodes with exact shapes, because the graph has no mask: padding a mel would change its last frames."""

    def __init__(self, runner: Runner, hop_samples: int, context_frames: int) -> None:
        """Use the vocoder runner of a bundle."""
        self._runner = runner
        self._hop_samples = hop_samples
        self._context_frames = context_frames

    def waveforms(self, mels: Sequence[FloatArray]) -> list[FloatArray]:
        """Vocode each mel at once.

        Args: mels: each float32 [frames, n_mels].
        Returns: each float32 [frames * hop] in [-1, 1].
        Raises: BackendError: the stage failed or gave values that are not finite.
        """
        return [self._vocode(mel) for mel in mels]

    def stream(
        self, mel: FloatArray, block_frames: int = BLOCK_FRAMES, first_block_frames: int = FIRST_BLOCK_FRAMES
    ) -> Iterator[FloatArray]:
        """Vocode a mel window by window; the pieces joined equal ``waveforms`` within rounding.

        Args:
            mel: float32 [frames, n_mels].
            block_frames: frames of a piece.
            first_block_frames: frames of the first piece.

        Yields: float32 [kept frames * hop].
        """
        for window in windows(len(mel), self._context_frames, block_frames, first_block_frames):
            yield kept_samples(window, self._vocode(mel[window.start : window.stop]), self._hop_samples)

    def outcomes(self, mels: Sequence[FloatArray]) -> list[FloatArray | BackendError]:
        """Vocode windows of one width in one batch.

        Args: mels: each float32 [frames, n_mels], all of the same frames, at least one.
        Returns: for each float32 [frames * hop], or an error if its values are not finite.
        Raises: BackendError: the stage failed, and nobody knows for whom; each may be tried alone.
        """
        return self._rows(mels)

    def close(self) -> None:
        """Release the runner."""
        self._runner.close()

    def _vocode(self, mel: FloatArray) -> FloatArray:
        outcome = self._rows([mel])[0]
        if isinstance(outcome, BackendError):
            raise outcome
        return outcome

    def _rows(self, mels: Sequence[FloatArray]) -> list[FloatArray | BackendError]:
        feed = np.stack([np.ascontiguousarray(mel.T) for mel in mels])
        frames = feed.shape[2]
        wav: FloatArray = self._runner.run({"mel": feed})["wav"]
        if wav.shape != (len(mels), frames * self._hop_samples):
            raise BackendError(
                f"vocoder gave {wav.shape[1:]} samples for {frames} frames, expected {frames * self._hop_samples}; "
                "its hop differs from the manifest's hop_samples"
            )
        return [
            row
            if np.isfinite(row).all()
            else BackendError(f"vocoder gave samples that are not finite on {frames} frames")
            for row in wav
        ]


def kept_samples(window: Window, samples: FloatArray, hop_samples: int) -> FloatArray:
    """Cut the part to keep out of a window's samples; float32 [kept frames * hop]."""
    start = (window.keep_start - window.start) * hop_samples
    return samples[start : start + (window.keep_stop - window.keep_start) * hop_samples]
