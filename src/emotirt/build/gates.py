"""How close a stage in another precision is to float32, on real utterances, and what is close enough.

Works on any two runners of a stage: ONNX Runtime against an emulation on a machine without a GPU, ONNX Runtime against
a TensorRT plan on one with it. What needs packages without wheels (PESQ, STOI) is measured by the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from emotirt.audio.compare import log_mel_l1, mel_cepstral_distortion_db, pitch_error, snr_db
from emotirt.audio.mel import MelConfig
from emotirt.build.spoken import Spoken
from emotirt.bundle.contract import DECODER, VOCODER
from emotirt.bundle.manifest import Manifest
from emotirt.errors import ParityFailed
from emotirt.runtime.runner import Array, Runner
from emotirt.types import Audio, FloatArray

Render = Callable[[Array], FloatArray]
"""A mel [1, F, n_mels] to samples, by the vocoder of the reference."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is close enough.

    Attributes:
        snr_db: least signal-to-noise ratio, in the median of the utterances.
        log_mel_l1: largest mean difference of log-mels, in nepers.
        mcd_db: largest mean mel cepstral distortion.
        pitch_cents: largest root mean square error of the pitch over frames without a gross error, in the median.
        gross_pitch: largest mean share of gross errors of the pitch.
        cosine: least cosine between two vectors.
    """

    snr_db: float
    log_mel_l1: float
    mcd_db: float
    pitch_cents: float
    gross_pitch: float
    cosine: float = 0.9999


LIMITS = {
    "fp16": Limits(snr_db=30.0, log_mel_l1=0.02, mcd_db=0.15, pitch_cents=5.0, gross_pitch=0.01),
    "int8": Limits(snr_db=10.0, log_mel_l1=0.15, mcd_db=1.0, pitch_cents=25.0, gross_pitch=0.1),
}
"""By precision. Utterances that keep within them were measured to reach PESQ-WB 4.3 and 4.0 against float32
(docs/experiments.md)."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """One utterance in both precisions.

    Attributes:
        label: ``min``, ``opt``, ``max`` or ``between``, by its length among the others.
        frames: its length.
        signal: energy of the reference's samples.
        noise: energy of the difference.
        values: measure to figure.
    """

    label: str
    frames: int
    signal: float
    noise: float
    values: Mapping[str, float]


Hear = Callable[[tuple[FloatArray, FloatArray] | None], Closeness]
"""Two renderings of one utterance, or none, to what is known of it."""


@dataclass(frozen=True, slots=True)
class StageCloseness:
    """A stage, or ``path`` for the whole way from tokens to samples, in both precisions."""

    stage: str
    utterances: tuple[Closeness, ...]

    def figures(self) -> dict[str, float]:
        """Return what the limits are about, over all utterances; a measure that none of them has is absent.

        Beside the median of the ratios there is the worst, and ``snr_pooled_db``, of all signal to all noise.
        """
        found = {}
        signal, noise = (sum(getattr(item, name) for item in self.utterances) for name in ("signal", "noise"))
        if signal > 0.0:
            found["snr_pooled_db"] = 10.0 * float(np.log10(signal / max(noise, 1e-20)))
        for name, together in _TOGETHER.items():
            values = [item.values[name] for item in self.utterances if np.isfinite(item.values.get(name, np.nan))]
            if values:
                found[name] = float(together(values))
        return found

    def problems(self, limits: Limits) -> list[str]:
        """Say in which figures the limits are missed."""
        figures = self.figures()
        bounds = {
            "snr_db": (limits.snr_db, 1), "log_mel_l1": (limits.log_mel_l1, -1), "mcd_db": (limits.mcd_db, -1),
            "pitch_cents": (limits.pitch_cents, -1), "gross_pitch": (limits.gross_pitch, -1),
            "cosine": (limits.cosine, 1), "durations_changed": (0.0, -1),
        }  # fmt: skip
        return [
            f"{name} is {figures[name]:.4g}, {'at least' if sign > 0 else 'at most'} {bound:g} is wanted"
            for name, (bound, sign) in bounds.items()
            if name in figures and not sign * figures[name] >= sign * bound
        ]

    def check(self, limits: Limits) -> None:
        """Refuse what is not close enough.

        Raises: ParityFailed: names the stage and every figure that is missed.
        """
        problems = self.problems(limits)
        if problems:
            raise ParityFailed(f"stage {self.stage}: {'; '.join(problems)}; that precision is not offered for it")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


_TOGETHER: dict[str, Callable[[Sequence[float]], float]] = {
    "snr_db": _median, "snr_worst_db": min, "log_mel_l1": _mean, "mcd_db": _mean, "pitch_cents": _median,
    "gross_pitch": _mean, "voicing_error": _mean, "durations_changed": sum, "tensor_snr_db": min,
    "mel_correlation": min, "cosine": min,
}  # fmt: skip


def compare_precision(
    stage: str,
    reference: Runner,
    candidate: Runner,
    spoken: Sequence[Spoken],
    manifest: Manifest,
    render: Render,
    pitch: bool = True,
) -> StageCloseness:
    """Run a stage on the same real inputs in both precisions.

    Args:
        stage: one of the bundle's.
        reference: float32.
        candidate: the other precision.
        spoken: utterances, shortest first, from ``spoken.spoken_utterances``.
        manifest: of the bundle.
        render: makes mels audible, for the decoder.
        pitch: whether to track it, which takes longer than all the rest.
    """
    found = []
    for label, item in _labelled(spoken):
        feeds = item.feeds[stage]
        hear = partial(_heard, label, item.frames, manifest=manifest, pitch=pitch)
        found.append(_closeness(stage, reference.run(feeds), candidate.run(feeds), hear, render))
    return StageCloseness(stage, tuple(found))


def compare_paths(reference: Sequence[Spoken], candidate: Sequence[Spoken], manifest: Manifest) -> StageCloseness:
    """Compare the same utterances said by the stages of two precisions, each from tokens to samples.

    Where the durations differ the samples do not belong together and are left out.
    """
    found = []
    for (label, first), second in zip(_labelled(reference), candidate, strict=True):
        durations = [item.feeds[DECODER]["durations"] for item in (first, second)]
        changed = float((durations[0] != durations[1]).sum())
        pair = (np.asarray(first.outputs[VOCODER]["wav"][0]), np.asarray(second.outputs[VOCODER]["wav"][0]))
        heard = _heard(label, first.frames, None if changed else pair, manifest)
        found.append(replace(heard, values={**heard.values, "durations_changed": changed}))
    return StageCloseness("path", tuple(found))


def _labelled(spoken: Sequence[Spoken]) -> Iterable[tuple[str, Spoken]]:
    special = {0: "min", len(spoken) // 2: "opt", len(spoken) - 1: "max"}
    return [(special.get(index, "between"), item) for index, item in enumerate(spoken)]


def _closeness(
    stage: str, expected: Mapping[str, Array], found: Mapping[str, Array], hear: Hear, render: Render
) -> Closeness:
    values = {}
    heard = hear(None)
    for name, reference in expected.items():
        if not np.isfinite(found[name]).all() or found[name].shape != reference.shape:
            raise ParityFailed(f"stage {stage}: {name!r} has another shape or values that are not finite")
        if name == "durations":
            values["durations_changed"] = float((reference != found[name]).sum())
        elif reference.ndim == 2 and name != "wav":
            values["cosine"] = min(values.get("cosine", 1.0), _cosine(reference, found[name]))
        elif name == "wav":
            heard = hear((reference[0], found[name][0]))
        else:
            values["tensor_snr_db"] = snr_db(reference.ravel(), found[name].ravel())
        if name == "mel":
            values["mel_correlation"] = float(np.corrcoef(reference.ravel(), found[name].ravel())[0, 1])
            heard = hear((render(reference), render(found[name])))
    return replace(heard, values={**values, **heard.values})


def _heard(
    label: str, frames: int, pair: tuple[FloatArray, FloatArray] | None, manifest: Manifest, pitch: bool = True
) -> Closeness:
    """Compare two renderings [samples]; analysis needs one window, which the shortest utterances may not have."""
    if pair is None:
        return Closeness(label, frames, 0.0, 0.0, {})
    reference, candidate = pair
    mel = _mel_config(manifest)
    ratio = snr_db(reference, candidate)
    values = {"snr_worst_db": ratio, "snr_db": ratio}
    if len(reference) >= mel.fft_samples:
        values |= {
            "log_mel_l1": log_mel_l1(reference, candidate, mel),
            "mcd_db": mel_cepstral_distortion_db(reference, candidate, config=mel),
        }
        tracks = pitch_error(*(Audio(item, manifest.sample_rate_hz) for item in pair)) if pitch else None
        if tracks is not None:
            values |= {
                "pitch_cents": tracks.fine_cents,
                "gross_pitch": tracks.gross_error,
                "voicing_error": tracks.voicing_error,
            }
    wide = reference.astype(np.float64)
    noise = float(((candidate - wide) ** 2).sum())
    return Closeness(label, frames, float((wide**2).sum()), noise, values)


def _cosine(first: Array, second: Array) -> float:
    products = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return float(products.min())


def _mel_config(manifest: Manifest) -> MelConfig:
    mel = manifest.mel
    return MelConfig(
        sample_rate_hz=manifest.sample_rate_hz, hop_samples=manifest.hop_samples, n_mels=mel.n_mels,
        fft_samples=mel.n_fft, window_samples=mel.win_samples, low_hz=mel.fmin_hz, high_hz=mel.fmax_hz,
        log_floor=mel.log_floor,
    )  # fmt: skip
