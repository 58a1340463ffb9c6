"""Recognize phonemes in a recording with the exported recognizer; human and synthetic speech go the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emotirt.audio.mel import magnitude_spectrogram
from emotirt.audio.speech_span import PEAK_LIMIT, SPEECH_LEVEL_DBFS, speech_span
from emotirt.errors import BackendUnavailable, InvalidAudio
from emotirt.training.recognizer_tokens import TOKENS, collapse, language_bias
from emotirt.types import FloatArray

SHORTEST_SAMPLES = 4096


def leveled(samples: FloatArray) -> FloatArray:
    """Trim silent edges and set the speech level exactly as training packs do.

    Args:
        samples: float32 [samples] at 16 kHz.

    Returns: float32, at least a quarter of a second, padded with zeros if need be.
    """
    start, end, level_dbfs = speech_span(samples)
    kept = samples[start:end]
    peak = float(np.abs(kept).max(initial=1e-4))
    gain = min(10.0 ** ((SPEECH_LEVEL_DBFS - level_dbfs) / 20.0), PEAK_LIMIT / peak)
    padded: FloatArray = np.pad(kept * np.float32(gain), (0, max(0, SHORTEST_SAMPLES - len(kept)))).astype(np.float32)
    return padded


class PhonemeRecognizer:
    """An exported recognizer loaded on ONNX Runtime."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load the graph.

        Args:
            path: file written by ``emotirt.training.recognizer_export``.
            threads: CPU threads.

        Raises: BackendUnavailable: no ONNX Runtime, or the file is no recognizer.
        """
        try:
            import onnxruntime
        except ImportError as exc:
            raise BackendUnavailable("scoring needs onnxruntime; pip install 'emotirt[cpu]'") from exc
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # ONNX Runtime's exceptions share no public base
            raise BackendUnavailable(f"cannot load the recognizer {path}: {exc}") from exc
        facts = self._session.get_modelmeta().custom_metadata_map
        if tuple(json.loads(facts.get("tokens", "[]"))) != TOKENS:
            raise BackendUnavailable(
                f"{path} does not write this version's {len(TOKENS)} tokens; train and export it again"
            )
        self.training: dict[str, Any] = json.loads(facts.get("training", "{}"))

    def phonemes(self, samples: FloatArray, language: str) -> tuple[str, ...]:
        """Recognize one utterance.

        Args:
            samples: float32 [samples] mono at 16 kHz, any level.
            language: ``en`` or ``zh``; only its phonemes are written.

        Returns: tokens such as ``HH AH L OW`` or ``n i3 h ao3``.
        Raises: InvalidAudio: empty or not finite.
        """
        if samples.ndim != 1 or len(samples) == 0 or not np.isfinite(samples).all():
            raise InvalidAudio(f"recognition needs finite mono samples, got shape {samples.shape}")
        magnitude = magnitude_spectrogram(leveled(samples))[None]
        frames = np.array([magnitude.shape[1]], dtype=np.int64)
        scores = self._session.run(None, {"magnitude": magnitude, "frames": frames})[0][0]
        return tuple(TOKENS[index] for index in collapse((scores + language_bias(language)).argmax(axis=1)))
