"""What a recording is like, and whether a voice can be taken from it: length, level, noise, and is it speech at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.f0 import f0_track
from emotirt.audio.mel import log_mel
from emotirt.audio.speech_span import FRAMES_PER_S, active_frames, active_level_dbfs, frame_levels_db
from emotirt.types import Audio, FloatArray

SAMPLE_RATE_HZ = 16_000
LEAST_S = 0.5
"""Shorter, nothing can be said about a recording."""
SILENT_DBFS, QUIET_DBFS = -65.0, -45.0
CLIPPED_WARN, CLIPPED_REFUSE = 0.002, 0.10
"""Shares of the samples of speech that lie on the recording's ceiling."""
NOISY_WARN_DB, NOISY_REFUSE_DB = 20.0, 6.0
NARROW_HZ = 4_500.0
"""A telephone passes 3.4 kHz, ordinary speech at 16 kHz has something up to 7 kHz."""
MOSTLY_SILENT = 0.35
VOICELESS = 0.15
STEADY_NOTES = 0.30
UNBROKEN = 0.92
FLAT = ((0.90, 4.9), (0.80, 4.3))
UNCHANGING = 0.945
JUMPY_SEMITONES = 10.6
"""Limits of speech for ``_why_not_speech``, from 720 clips of six corpora, and from noise, tones and 81 pieces of music
that they must keep out: docs/experiments.md, 2026-11-25, cloning."""
_STEADY_FRAMES = 15
_STEADY_SEMITONES = 0.35
_LAG_FRAMES = 8
"""128 ms, longer than most phonemes last."""


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """What was measured.

    Attributes:
        name: of the recording.
        duration_s: its length.
        speech_s: how much of it is loud enough to be speech.
        level_dbfs: of the speech.
        clipped_ratio: share of the samples on the ceiling.
        snr_db: level of speech above the quietest moments; low for a recording cut without any pause.
        bandwidth_hz: highest frequency with anything in it.
        refusal: why no voice can be taken from it and what to do; empty if one can.
        warnings: what makes the voice worse and what to do.
    """

    name: str
    duration_s: float
    speech_s: float
    level_dbfs: float
    clipped_ratio: float
    snr_db: float
    bandwidth_hz: float
    refusal: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """What tells speech from music and noise, over the active frames.

    Attributes:
        voiced: share of the frames with a pitch.
        steady: share of the voiced frames that sit in 150 ms within 0.35 semitones: notes.
        unbroken: share of the voiced frames that sit in 150 ms of nothing but voice.
        level_spread_db: deviation of the level; syllables move it.
        likeness: median correlation of the spectrum with itself 128 ms later.
        pitch_spread_semitones: deviation of the pitch.
    """

    voiced: float
    steady: float
    unbroken: float
    level_spread_db: float
    likeness: float
    pitch_spread_semitones: float


def check_recording(name: str, samples: FloatArray) -> RecordingReport:
    """Measure a recording and judge it.

    Args:
        name: for messages.
        samples: float32 [samples] at 16 kHz.
    """
    duration_s = len(samples) / SAMPLE_RATE_HZ
    if duration_s < LEAST_S:
        refusal = f"it lasts {duration_s:.2f} s; record at least 3 s of speech"
        return RecordingReport(name, duration_s, 0.0, -100.0, 0.0, 0.0, 0.0, refusal)
    levels_db = frame_levels_db(samples)
    active = active_frames(levels_db)
    report = RecordingReport(
        name,
        duration_s,
        float(active.sum()) / FRAMES_PER_S,
        active_level_dbfs(levels_db),
        _clipped_ratio(samples),
        float(active_level_dbfs(levels_db) - np.percentile(levels_db, 3)),
        _bandwidth_hz(samples, active),
    )
    refusal = _refusal(report, samples, levels_db, active)
    return replace(report, refusal=refusal, warnings=() if refusal else _warnings(report))


def traits(samples: FloatArray, levels_db: NDArray[np.float32], active: NDArray[np.bool_]) -> Traits:
    """Measure what tells speech from the rest.

    Args:
        samples: float32 [samples] at 16 kHz.
        levels_db: of every 10 ms.
        active: which of these count.
    """
    pitch_hz = f0_track(Audio(samples, SAMPLE_RATE_HZ))[: len(active)]
    voiced = (pitch_hz > 0) & active[: len(pitch_hz)]
    voiced_count = max(int(voiced.sum()), 1)
    semitones = 12.0 * np.log2(np.where(voiced, pitch_hz, 1.0))
    steady = unbroken = 0.0
    if len(semitones) >= _STEADY_FRAMES:
        windows = np.lib.stride_tricks.sliding_window_view(semitones, _STEADY_FRAMES)
        whole = np.lib.stride_tricks.sliding_window_view(voiced, _STEADY_FRAMES).all(axis=1)
        moved = windows.max(axis=1) - windows.min(axis=1)
        unbroken = float(whole.sum()) / voiced_count
        steady = float((whole & (moved < _STEADY_SEMITONES)).sum()) / voiced_count
    return Traits(
        voiced=float(voiced.sum()) / max(int(active[: len(pitch_hz)].sum()), 1),
        steady=steady,
        unbroken=unbroken,
        level_spread_db=float(levels_db[active].std()),
        likeness=_likeness(samples, active),
        pitch_spread_semitones=float(semitones[voiced].std()) if voiced.any() else 0.0,
    )


def _refusal(
    report: RecordingReport, samples: FloatArray, levels_db: NDArray[np.float32], active: NDArray[np.bool_]
) -> str:
    if report.level_dbfs < SILENT_DBFS:
        return f"it is silent (level {report.level_dbfs:.0f} dBFS); check the microphone and record again"
    why = _why_not_speech(traits(samples, levels_db, active))
    if why:
        return f"it does not sound like one person speaking: {why}; record a voice alone, without music or noise"
    if report.clipped_ratio > CLIPPED_REFUSE:
        share = 100 * report.clipped_ratio
        return f"{share:.0f} % of it is clipped; lower the recording level or move away from the microphone"
    if report.snr_db < NOISY_REFUSE_DB:
        above = f"speech is only {report.snr_db:.0f} dB above the background"
        return f"{above}; record in a quiet room, closer to the microphone"
    return ""


def _why_not_speech(found: Traits) -> str:
    rules = (
        (found.voiced < VOICELESS, "there is hardly any voice in it (noise, or whispering)"),
        (found.steady > STEADY_NOTES, "its pitch stands still as notes do (music, or a tone)"),
        (found.unbroken > UNBROKEN, "it never pauses for a consonant (music, or a siren)"),
        (
            any(found.likeness > like and found.level_spread_db < spread for like, spread in FLAT),
            "its level and colour hardly change from syllable to syllable (music, or a machine)",
        ),
        (found.likeness > UNCHANGING, "its sound does not change (a machine, or wind)"),
        (
            found.pitch_spread_semitones > JUMPY_SEMITONES and found.unbroken < 0.12,
            "its pitch jumps about (drums, or several voices)",
        ),
        (found.voiced > 0.8 and found.unbroken < 0.02, "it is made of short beeps"),
    )
    return next((why for holds, why in rules if holds), "")


def _warnings(report: RecordingReport) -> tuple[str, ...]:
    rules = (
        (
            report.level_dbfs < QUIET_DBFS,
            f"it is quiet ({report.level_dbfs:.0f} dBFS); record closer to the microphone",
        ),
        (
            report.clipped_ratio > CLIPPED_WARN,
            f"{100 * report.clipped_ratio:.1f} % of it is clipped; lower the recording level",
        ),
        (
            report.snr_db < NOISY_WARN_DB,
            f"speech is only {report.snr_db:.0f} dB above the background; record in a quiet room",
        ),
        (
            report.bandwidth_hz < NARROW_HZ,
            f"it has nothing above {report.bandwidth_hz / 1000:.1f} kHz, as a telephone; use a better recording",
        ),
        (
            report.speech_s < MOSTLY_SILENT * report.duration_s,
            f"only {report.speech_s:.1f} s of its {report.duration_s:.1f} s are speech; cut the silence",
        ),
    )
    return tuple(text for holds, text in rules if holds)


def _clipped_ratio(samples: FloatArray) -> float:
    """Count samples at the extremes that have a neighbour there: a peak touches its ceiling once, clipping stays."""
    size = np.abs(samples)
    ceiling = float(size.max())
    if ceiling < 0.05:
        return 0.0
    at = size > 0.995 * ceiling
    flat = at[1:-1] & at[:-2] & at[2:]
    return float(flat.sum()) / len(samples)


def _bandwidth_hz(samples: FloatArray, active: NDArray[np.bool_]) -> float:
    step = SAMPLE_RATE_HZ // FRAMES_PER_S
    size = 2 * step
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (0, size)), size)[::step][: len(active)]
    power = np.square(np.abs(np.fft.rfft(frames[active] * np.hanning(size).astype(np.float32), axis=1)))
    bands_db = 10.0 * np.log10(np.percentile(power, 90, axis=0).reshape(-1)[:160].reshape(40, 4).mean(axis=1) + 1e-12)
    heard = np.flatnonzero(bands_db > bands_db.max() - 62.0)
    return float((heard[-1] + 1) * SAMPLE_RATE_HZ / 2 / len(bands_db))


def _likeness(samples: FloatArray, active: NDArray[np.bool_]) -> float:
    mel = log_mel(samples)
    mel = np.maximum(mel, np.percentile(mel, 99) - 6.0)  # 52 dB below the loud parts nothing is heard
    centred = mel - mel.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=0) + 1e-6
    times = np.minimum((np.arange(mel.shape[1]) * 1.6).astype(np.int64), len(active) - 1)
    is_active = active[times]
    alike = (centred[:, _LAG_FRAMES:] * centred[:, :-_LAG_FRAMES]).sum(axis=0)
    both = is_active[_LAG_FRAMES:] & is_active[:-_LAG_FRAMES]
    return float(np.median(alike[both])) if both.any() else 1.0
