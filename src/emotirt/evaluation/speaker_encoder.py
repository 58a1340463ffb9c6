"""A speaker encoder that is not ours: the weights that the package Resemblyzer carries, run with our own analysis.

The network is the one of Wan et al. 2018 (arXiv 1710.10467, generalized end-to-end loss): three LSTM layers over 40 mel
channels, a linear layer, and here a rectifier; its settings are those that the weights were trained with. Only the
file ``pretrained.pt`` of the package is used, so that none of what it imports is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emotirt.audio.mel import hann_window, mel_filterbank
from emotirt.errors import BackendUnavailable, InvalidAudio
from emotirt.evaluation.recognize import leveled
from emotirt.types import FloatArray

RATE_HZ = 16_000
MELS = 40
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
PARTIAL_FRAMES = 160
"""The network hears 1.6 s at a time."""
PARTIAL_STEP_FRAMES = 80
LEVEL_DBFS = -30.0
UNITS = 256
LAYERS = 3


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, UNITS, LAYERS, batch_first=True)
        self.linear = nn.Linear(UNITS, UNITS)

    def forward(self, mels: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


class SpeakerEncoder:
    """Turns speech into a unit vector that says who speaks; cosines of two lie between 0 and 1."""

    def __init__(self, weights: Path | None = None) -> None:
        """Load the weights.

        Args: weights: a file like Resemblyzer's ``pretrained.pt``; None for the one in the installed package.
        Raises: BackendUnavailable: no such file, or it holds another network.
        """
        path = packaged_weights() if weights is None else weights
        self._network = _Network()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
            kept = {name: value for name, value in state.items() if name.startswith(("lstm.", "linear."))}
            self._network.load_state_dict(kept)
        except Exception as exc:  # torch raises whatever its unpickler met
            raise BackendUnavailable(f"cannot load the speaker encoder {str(path)!r}: {exc}") from exc
        self._network.eval()
        self._bank = mel_filterbank(RATE_HZ, WINDOW_SAMPLES, MELS, 0.0, RATE_HZ / 2)

    def vector(self, samples: FloatArray) -> FloatArray:
        """Encode one stretch of speech, trimmed and levelled first.

        Args: samples: float32 [samples] mono at 16 kHz.
        Returns: float32 [256], unit norm.
        Raises: InvalidAudio: empty or not finite.
        """
        if samples.ndim != 1 or len(samples) == 0 or not np.isfinite(samples).all():
            raise InvalidAudio(f"a speaker can be told from finite mono samples only, got shape {samples.shape}")
        speech = leveled(samples)
        level_dbfs = 10.0 * np.log10(float(np.square(speech, dtype=np.float64).mean()) + 1e-12)
        mel = self._mel(speech * np.float32(10.0 ** (max(0.0, LEVEL_DBFS - level_dbfs) / 20.0)))
        with torch.no_grad():
            found = self._network(torch.from_numpy(np.stack(_partials(mel)))).numpy()
        return unit(found.mean(axis=0))

    def mean_vector(self, recordings: Sequence[FloatArray]) -> FloatArray:
        """Average over recordings, float32 [256] of unit norm."""
        return unit(np.mean([self.vector(samples) for samples in recordings], axis=0))

    def _mel(self, samples: FloatArray) -> FloatArray:
        """Power mel, float32 [frames, 40], frames centred on multiples of 10 ms; no logarithm is taken."""
        padded = np.pad(samples, WINDOW_SAMPLES // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
        spectrum = np.fft.rfft(frames * hann_window(WINDOW_SAMPLES), axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        return np.asarray(power @ self._bank.T, dtype=np.float32)


def packaged_weights() -> Path:
    """Return where Resemblyzer keeps its weights.

    Raises: BackendUnavailable: the package is not installed.
    """
    spec = find_spec("resemblyzer")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "pretrained.pt"
        if path.exists():
            return path
    raise BackendUnavailable(
        "speaker similarity needs the weights of Resemblyzer; pip install 'emotirt[evaluate]', or name a file"
    )


def unit(vector: FloatArray) -> FloatArray:
    """Scale to length 1."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), dtype=np.float32)


def _partials(mel: FloatArray) -> list[FloatArray]:
    """Cut into overlapping stretches of equal length; short speech is repeated to fill one."""
    if len(mel) < PARTIAL_FRAMES:
        mel = np.tile(mel, (-(-PARTIAL_FRAMES // len(mel)), 1))
    starts = [*range(0, len(mel) - PARTIAL_FRAMES, PARTIAL_STEP_FRAMES), len(mel) - PARTIAL_FRAMES]
    return [mel[start : start + PARTIAL_FRAMES] for start in starts]
