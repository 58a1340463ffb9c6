"""How far a backend or a precision is from another: the same sentences by both, compared sample by sample."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from emotirt.audio.compare import log_mel_l1, mel_cepstral_distortion_db, pitch_error, snr_db
from emotirt.engine.request import SpeechRequest
from emotirt.evaluation.findings import Findings, Player, Table, Target, at_least, spread
from emotirt.evaluation.sentences import SENTENCES
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.types import Audio, FloatArray

RATE_HZ = 16_000
MEASURES = ("snr_db", "pesq_wb", "stoi", "mcd_db", "f0_cents", "log_mel_l1")
HALF_SNR_DB, HALF_PESQ = 30.0, 4.3
INT8_PESQ = 4.0


def compare_pair(reference: FloatArray, candidate: FloatArray) -> dict[str, float]:
    """Compare two renderings of equal length, float32 [samples] at 16 kHz; PESQ and STOI where installed."""
    found = {
        "snr_db": snr_db(reference, candidate),
        "mcd_db": mel_cepstral_distortion_db(reference, candidate),
        "log_mel_l1": log_mel_l1(reference, candidate),
        "f0_cents": pitch_error(Audio(reference, RATE_HZ), Audio(candidate, RATE_HZ)).cents,
    }
    return {**found, **perceptual(reference, candidate)}


def perceptual(reference: FloatArray, candidate: FloatArray) -> dict[str, float]:
    """PESQ-WB (ITU-T P.862.2) and STOI (Taal et al. 2011), each if its package is there and can judge the pair."""
    found: dict[str, float] = {}
    try:
        from pesq import NoUtterancesError, pesq
    except ImportError:
        pass
    else:
        try:
            found["pesq_wb"] = float(pesq(RATE_HZ, reference, candidate, "wb"))
        except NoUtterancesError:
            found["pesq_wb"] = float("nan")
    try:
        from pystoi import stoi
    except ImportError:
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of speech too short to judge and gives 1e-5
        found["stoi"] = float(stoi(reference, candidate, RATE_HZ))
    return found


def compare_renderings(reference: Synthesizer, candidate: Synthesizer, kind: str) -> Findings:
    """Speak every evaluation sentence with every voice of both and compare.

    Args:
        reference: float32, such as ONNX Runtime on a CPU.
        candidate: another bundle, precision or backend of the same voices.
        kind: ``float32``, ``float16`` or ``int8``; sets the targets.
    """
    rows: list[dict[str, Any]] = []
    players: list[Player] = []
    unequal = 0
    for voice in (entry.name for entry in reference.bundle.manifest.voices):
        for texts in SENTENCES.values():
            for index, text in enumerate(texts):
                request = SpeechRequest(text, voice=voice)
                ours, theirs = reference.say(request), candidate.say(request)
                if not _same_timing(ours.utterances, theirs.utterances):
                    unequal += 1
                    continue
                rows.append(compare_pair(ours.samples, theirs.samples))
                if index == 0:
                    players += [Player(f"{voice}: reference", ours.samples), Player(f"{voice}: {kind}", theirs.samples)]
    summary = {name: _spread(rows, name) for name in MEASURES if any(name in row for row in rows)}
    total = len(rows) + unequal
    return Findings(
        part="precision",
        title=f"Precision: {candidate.bundle.manifest.name} on {candidate.backend} ({kind}) against float32",
        targets=tuple(_targets(kind, summary, unequal)),
        details={
            "kind": kind,
            "reference": {**reference.name, "backend": reference.backend},
            "candidate": {**candidate.name, "backend": candidate.backend},
            "sentences": total,
            "unequal_durations": unequal,
            "measures": summary,
        },
        tables=(
            Table(
                "Differences",
                ("measure", "mean", "10 %", "50 %", "90 %"),
                tuple(
                    (name, *(row.get(key, "") for key in ("mean", "p10", "p50", "p90")))
                    for name, row in summary.items()
                ),
            ),
        ),
        players=tuple(players[:8]),
    )


def _spread(rows: Sequence[dict[str, float]], name: str) -> dict[str, float]:
    return spread([row[name] for row in rows if name in row and np.isfinite(row[name])])


def _same_timing(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(one.durations_frames, other.durations_frames) for one, other in zip(first, second, strict=True)
    )


def _targets(kind: str, summary: dict[str, dict[str, float]], unequal: int) -> list[Target]:
    pesq = summary.get("pesq_wb", {}).get("mean")
    snr = summary.get("snr_db", {}).get("mean", float("nan"))
    targets = [Target("sentences whose durations differ", unequal, "none", unequal == 0)]
    if kind == "int8":
        return [at_least("PESQ-WB, mean", pesq, INT8_PESQ)] if pesq is not None else []
    targets.append(at_least("signal-to-noise ratio, mean dB", snr, HALF_SNR_DB))
    return [*targets, at_least("PESQ-WB, mean", pesq, HALF_PESQ)] if pesq is not None else targets
