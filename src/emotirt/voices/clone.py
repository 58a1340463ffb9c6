"""Recordings to a speaker and an emotion vector: checked, prepared as the encoder's training data were, and encoded.

Recordings themselves are not kept; what was made of them is, for a while, under the hash of their bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from emotirt.audio.mel import MelConfig, log_mel
from emotirt.audio.speech_span import PEAK_LIMIT, SPEECH_LEVEL_DBFS, speech_span
from emotirt.bundle.contract import REFERENCE_ENCODER
from emotirt.bundle.manifest import EMOTIVOICE_FRONTEND, Manifest
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError, InvalidAudio, InvalidRequest
from emotirt.runtime.open import open_runner
from emotirt.runtime.runner import Runner
from emotirt.types import FloatArray, IntArray
from emotirt.voices.recording import Recording, Sources, recordings_from_sources
from emotirt.voices.recording_check import SAMPLE_RATE_HZ, RecordingReport, check_recording

CPU_BACKEND = "onnxruntime"
WINDOW_FRAMES = 320
"""What the encoder saw in training: ``training.sampling.REFERENCE_FRAMES`` at most, 5 s."""
SHORTER_FRAMES = (188, 125)
"""3 s and 2 s; the speaker vector is averaged over these too. A short recording is then heard several times, each time
with other words, and what the words did to the vector partly cancels out."""
MEL_PEAK = 32767.0
"""Training data are 16-bit."""
CACHED_RECORDINGS = 256
"""2 kB each."""
LEAST_CLONE_S, LEAST_CLONE_SPEECH_S = 3.0, 1.5
LEAST_EMOTION_S, LEAST_EMOTION_SPEECH_S = 1.0, 0.6
"""Length of all recordings together, and speech in them."""


@dataclass(frozen=True, slots=True, eq=False)
class VoicePrint:
    """What recordings say of a voice.

    Attributes:
        speaker: float32 [speaker_dim], unit norm; do not change it.
        emotion: float32 [emotion_dim], unit norm; do not change it.
        reports: of each recording.
        sha256: of each recording.
    """

    speaker: FloatArray
    emotion: FloatArray
    reports: tuple[RecordingReport, ...]
    sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Encoded:
    """One recording's report and its vectors, unit norm each; no rows if it was refused.

    There is a row of ``emotions`` a long window, and for each of these a row of ``speakers`` a length of window.
    """

    report: RecordingReport
    speakers: FloatArray
    emotions: FloatArray


class VoiceEncoder:
    """The reference encoder of one bundle, loaded when first used; may be used from several threads at once."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Belong to ``bundle``; nothing is loaded yet."""
        self._bundle = bundle
        self._threads = threads
        self._runner: Runner | None = None
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Encoded] = OrderedDict()
        mel = bundle.manifest.mel
        self._mel = MelConfig(
            bundle.manifest.sample_rate_hz,
            mel.n_mels,
            mel.n_fft,
            bundle.manifest.hop_samples,
            mel.win_samples,
            mel.fmin_hz,
            mel.fmax_hz,
            mel.log_floor,
        )

    def require(self, what: str) -> None:
        """Refuse what needs a recording turned into vectors, where the bundle has no stage that does so.

        Args: what: what was asked for, as ``cloning a voice``.
        Raises: InvalidRequest: says why, and what to do.
        """
        refusal = encoder_refusal(self._bundle.manifest, what)
        if refusal:
            raise InvalidRequest(refusal)

    def check(self, sources: Sources) -> tuple[RecordingReport, ...]:
        """Report on recordings, also on those that ``clone`` refuses.

        Raises: InvalidAudio: one cannot be read at all.
        """
        return tuple(self._encoded(recording).report for recording in recordings_from_sources(sources))

    def clone(self, sources: Sources) -> VoicePrint:
        """Take a voice from recordings of one speaker, averaged.

        Raises: InvalidAudio: one cannot be used, or there is too little; says what to do. BackendError: the stage
            failed. InvalidRequest: the bundle has no such stage.
        """
        self.require("cloning a voice")
        return self._print(sources, LEAST_CLONE_S, LEAST_CLONE_SPEECH_S)

    def emotion(self, sources: Sources) -> VoicePrint:
        """Take an emotion from recordings, for which less is needed than for a voice; errors of ``clone``."""
        self.require("an emotion by example")
        return self._print(sources, LEAST_EMOTION_S, LEAST_EMOTION_SPEECH_S)

    def vectors_of(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Encode speech that is known to be some, whatever its quality; for evaluation.

        Args: samples: float32 [samples] at 16 kHz, at least one hop.
        Returns: speaker and emotion vector, unit norm.
        Raises: InvalidRequest: the bundle has no reference encoder. BackendError: the stage failed.
        """
        self.require("cloning a voice")
        speakers, emotions = self._vectors(samples)
        return unit_mean(speakers), unit_mean(emotions)

    def close(self) -> None:
        """Release the runner."""
        with self._lock:
            if self._runner is not None:
                self._runner.close()
                self._runner = None

    def _print(self, sources: Sources, least_s: float, least_speech_s: float) -> VoicePrint:
        recordings = recordings_from_sources(sources)
        found = [self._encoded(recording) for recording in recordings]
        for item in found:
            if item.report.refusal:
                raise InvalidAudio(f"{item.report.name} cannot be used: {item.report.refusal}")
        _check_length(
            sum(item.report.duration_s for item in found),
            sum(item.report.speech_s for item in found),
            least_s,
            least_speech_s,
        )
        return VoicePrint(
            unit_mean(np.concatenate([item.speakers for item in found])),
            unit_mean(np.concatenate([item.emotions for item in found])),
            tuple(item.report for item in found),
            tuple(recording.sha256 for recording in recordings),
        )

    def _encoded(self, recording: Recording) -> _Encoded:
        with self._lock:
            known = self._known.get(recording.sha256)
            if known is not None:
                self._known.move_to_end(recording.sha256)
                return _renamed(known, recording.name)
        made = self._encode(recording)
        with self._lock:
            self._known[recording.sha256] = made
            while len(self._known) > CACHED_RECORDINGS:
                self._known.popitem(last=False)
        return made

    def _encode(self, recording: Recording) -> _Encoded:
        samples = recording.samples(SAMPLE_RATE_HZ)
        report = check_recording(recording.name, samples)
        dims = self._bundle.manifest
        if report.refusal or REFERENCE_ENCODER not in dims.stages:
            nothing = np.zeros((0, 1), dtype=np.float32)
            return _Encoded(report, nothing, nothing)
        return _Encoded(report, *self._vectors(samples))

    def _vectors(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        mel = log_mel(prepared(samples), self._mel)
        speakers, emotions = self._window_vectors(mel, WINDOW_FRAMES)
        shorter = [self._window_vectors(mel, most_frames)[0] for most_frames in SHORTER_FRAMES]
        lengths = np.stack([unit_mean(rows) for rows in (speakers, *shorter)])
        return np.tile(lengths, (len(emotions), 1)), emotions

    def _window_vectors(self, mel: FloatArray, most_frames: int) -> tuple[FloatArray, FloatArray]:
        mels, counts = windows_from_mel(mel, most_frames)
        vectors = self._opened().run({"mel": mels, "frames": counts})
        speakers, emotions = vectors["speaker"], vectors["emotion"]
        if not (np.isfinite(speakers).all() and np.isfinite(emotions).all()):
            raise BackendError("reference encoder gave values that are not finite")
        return speakers, emotions

    def _opened(self) -> Runner:
        with self._lock:
            if self._runner is None:
                self._runner = open_runner(self._bundle, REFERENCE_ENCODER, CPU_BACKEND, self._threads)
            return self._runner


def encoder_refusal(manifest: Manifest, what: str) -> str:
    """Return why a bundle cannot do what needs a reference encoder, empty if it can."""
    if REFERENCE_ENCODER in manifest.stages:
        return ""
    why = " (the public EmotiVoice model has none)" if manifest.frontend == EMOTIVOICE_FRONTEND else ""
    return (
        f"{what} needs a reference encoder, and bundle {manifest.name!r} has no such stage{why}; "
        "use the default bundle for it"
    )


def prepared(samples: FloatArray) -> FloatArray:
    """Do to a recording at 16 kHz what ``training.index`` does to the training data: trim it, and set its level.

    Returns: float32 [whole hops].
    """
    start, end, level_dbfs = speech_span(samples, SAMPLE_RATE_HZ)
    kept = samples[start : start + (end - start) // 256 * 256]
    gain = 10.0 ** ((SPEECH_LEVEL_DBFS - level_dbfs) / 20.0)
    gain = min(gain, PEAK_LIMIT / max(float(np.abs(kept).max(initial=0.0)), 1e-4))
    return np.asarray(np.round(np.clip(kept * gain, -1.0, 1.0) * MEL_PEAK) / np.float32(32768.0), dtype=np.float32)


def windows_from_mel(mel: FloatArray, most_frames: int = WINDOW_FRAMES) -> tuple[FloatArray, IntArray]:
    """Cut a mel into windows, at least half overlapping, flush with both ends.

    Args: mel: float32 [n_mels, frames]. most_frames: length of a window; the encoder was trained on this one at most.
    Returns: float32 [windows, n_mels, width] and frames of each, int64 [windows].
    """
    frames = mel.shape[1]
    width = min(frames, most_frames)
    count = 1 if frames <= most_frames else -(-(frames - most_frames) // (most_frames // 2)) + 1
    starts = np.linspace(0, frames - width, count).round().astype(np.int64)
    windows = np.stack([mel[:, start : start + width] for start in starts])
    return np.ascontiguousarray(windows, dtype=np.float32), np.full(count, width, dtype=np.int64)


def unit_mean(vectors: FloatArray) -> FloatArray:
    """Average rows [B, dim] and return to unit length, float32 [dim], read-only."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    unit = np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), dtype=np.float32)
    unit.setflags(write=False)
    return unit


def _check_length(duration_s: float, speech_s: float, least_s: float, least_speech_s: float) -> None:
    if duration_s < least_s:
        raise InvalidAudio(
            f"the recording lasts {duration_s:.1f} s, at least {least_s:g} s are needed; record more, or give several"
        )
    if speech_s < least_speech_s:
        raise InvalidAudio(
            f"the recording holds {speech_s:.1f} s of speech, at least {least_speech_s:g} s are needed; record more"
        )


def _renamed(known: _Encoded, name: str) -> _Encoded:
    return known if known.report.name == name else replace(known, report=replace(known.report, name=name))
