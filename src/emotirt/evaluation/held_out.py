"""How close synthesized sentences come to the same person's recordings of them, which nothing was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emotirt.audio.compare import CEPSTRA, mel_cepstra, warping_path
from emotirt.engine.request import SpeechRequest
from emotirt.evaluation.charts import histogram
from emotirt.evaluation.findings import Findings, Player, Table, spread
from emotirt.evaluation.intelligibility import choose_sentences
from emotirt.evaluation.no_reference import SignalRater
from emotirt.evaluation.recognize import leveled
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Clip, Pack
from emotirt.training.index import fundamental_hz
from emotirt.types import FloatArray

SENTENCES_EACH = 40
DB_PER_NEPER = 10.0 / np.log(10.0)


def warped_errors(human: FloatArray, ours: FloatArray) -> dict[str, float]:
    """Compare two renderings of a sentence after dynamic time warping.

    Args: both float32 [samples] at 16 kHz; edges are trimmed and levels set alike.
    Returns: mel cepstral distortion in dB; root mean square pitch error in cents as it is and about the two means (of
        frames voiced in both, WORLD's tracker); share of frames where only one is voiced; ratio of lengths.
    """
    first, second = leveled(human), leveled(ours)
    cepstra = mel_cepstra(first), mel_cepstra(second)
    pairs = warping_path(*cepstra)
    assert cepstra[0].shape[1] == CEPSTRA
    distance = np.sqrt(2.0 * ((cepstra[0][pairs[:, 0]] - cepstra[1][pairs[:, 1]]) ** 2).sum(axis=1))
    tracks = [fundamental_hz(samples).astype(np.float64) for samples in (first, second)]
    theirs, mine = tracks[0][pairs[:, 0]], tracks[1][pairs[:, 1]]
    both = (theirs > 0) & (mine > 0)
    cents = 1200.0 * np.log2(mine[both] / theirs[both]) if both.any() else np.zeros(0)
    return {
        "mcd_db": float(DB_PER_NEPER * distance.mean()),
        "f0_rmse_cents": float(np.sqrt(np.square(cents).mean())) if len(cents) else float("nan"),
        "f0_shape_rmse_cents": float(cents.std()) if len(cents) else float("nan"),
        "voicing_error": float(((theirs > 0) != (mine > 0)).mean()),
        "length_ratio": len(second) / len(first),
    }


def measure_held_out(
    pack: Pack, synthesizer: Synthesizer, voices: Mapping[str, str], rater: SignalRater | None, languages: Sequence[str]
) -> Findings:
    """Speak unseen sentences of the voices' owners and compare with the owners' recordings.

    Args:
        pack: its split ``test`` holds the sentences.
        synthesizer: speaks them.
        voices: speaker of the pack -> voice.
        rater: rates both, or None.
        languages: of ``intelligibility.SENTENCE_CORPORA``.
    """
    rows: list[dict[str, Any]] = []
    players: list[Player] = []
    for language in languages:
        clips = [clip for clip in choose_sentences(pack.clips, language) if clip.speaker in voices][:SENTENCES_EACH]
        for clip in clips:
            human = pack.samples(clip)
            ours = synthesizer.say(SpeechRequest(clip.text, voice=voices[clip.speaker])).samples
            rows.append({"language": language, "voice": voices[clip.speaker], **warped_errors(human, ours)})
            if rater is not None:
                rows[-1]["rating"] = {"people": rater.rate(human), "synthesized": rater.rate(ours)}
        players += _examples(pack, synthesizer, voices, clips[:2])
    report = {language: _summary([row for row in rows if row["language"] == language]) for language in languages}
    by_voice = {
        name: _summary([row for row in rows if row["voice"] == name]) for name in sorted({row["voice"] for row in rows})
    }
    series = {language: [row["mcd_db"] for row in rows if row["language"] == language] for language in languages}
    return Findings(
        part="held_out",
        title="Unseen sentences beside their speaker's own recordings",
        details={"languages": report, "voices": by_voice},
        tables=(_table("By language", report), _table("By voice", by_voice)),
        charts=(histogram("Mel cepstral distortion, dB", series, bins=20),),
        players=tuple(players),
    )


def _examples(pack: Pack, synthesizer: Synthesizer, voices: Mapping[str, str], clips: Sequence[Clip]) -> list[Player]:
    players = []
    for clip in clips:
        ours = synthesizer.say(SpeechRequest(clip.text, voice=voices[clip.speaker])).samples
        players += [
            Player(f"{clip.speaker}, recorded: {clip.text[:60]}", pack.samples(clip)),
            Player(f"{voices[clip.speaker]}, synthesized", ours),
        ]
    return players


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("mcd_db", "f0_rmse_cents", "f0_shape_rmse_cents", "voicing_error", "length_ratio")
    found: dict[str, Any] = {"sentences": len(rows)}
    found |= {name: spread([row[name] for row in rows if np.isfinite(row[name])]) for name in names}
    for side in ("people", "synthesized"):
        ratings = [row["rating"][side].to_dict() for row in rows if "rating" in row]
        if ratings:
            found[f"dnsmos_{side}"] = {
                name: round(float(np.mean([one[name] for one in ratings])), 3) for name in ratings[0]
            }
    return found


def _table(title: str, report: Mapping[str, Mapping[str, Any]]) -> Table:
    def row(name: str, found: Mapping[str, Any]) -> tuple[Any, ...]:
        rated = [found.get(f"dnsmos_{side}", {}).get("overall", "") for side in ("people", "synthesized")]
        keys = ("mcd_db", "f0_rmse_cents", "f0_shape_rmse_cents", "length_ratio")
        return (name, found["sentences"], *(found[key].get("mean", "") for key in keys), *rated)

    header = (
        "",
        "sentences",
        "MCD, dB",
        "F0 RMSE, cents",
        "about the means",
        "length",
        "DNSMOS, people",
        "synthesized",
    )
    return Table(title, header, tuple(row(name, found) for name, found in report.items()))
