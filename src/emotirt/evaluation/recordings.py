"""What cloning makes of real recordings: taken or refused, found again among the presets, and how it names emotions.

Everything goes the way of a user's upload: from the file as it came, through the checks and the cloning encoder.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotirt.audio.wav import wav_from_audio
from emotirt.engine.request import SpeechRequest
from emotirt.errors import InvalidAudio, TrainingError
from emotirt.evaluation.findings import Findings, Table, at_least, at_most
from emotirt.evaluation.sentences import SENTENCES
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Clip, Pack, iter_files, text_fraction
from emotirt.types import Audio, FloatArray
from emotirt.voices.clone import VoiceEncoder, VoicePrint, unit_mean

SENTENCE_CORPORA = ("kathleen", "ljspeech", "speechocean762", "librispeech-voices", "aishell", "emodb")
SECONDS = (3.0, 10.0)
CLIPS_EACH = 80
PRESET_CLIPS = 8
ACTED_CLIPS = 140
CLONE_SECONDS = 5.0
RATE_HZ = 16_000
MOST_REFUSED = 0.01
LEAST_COSINE = 0.9
HALFWAY = 0.5
LABELS = {"fear": "fearful", "disgust": "disgusted"}
"""Labels of the acted corpus that the bundle calls otherwise."""


def measure_recordings(corpus: Path, pack: Pack, synthesizer: Synthesizer, voices: Mapping[str, str]) -> Findings:
    """Check, clone and name recordings.

    Args:
        corpus: the recordings as they came.
        pack: says which are how long, whose, and which speakers nothing was trained on.
        synthesizer: of a bundle that can clone.
        voices: speaker -> preset voice made from that speaker.

    Raises: TrainingError: too few recordings. InvalidRequest: the bundle cannot clone.
    """
    encoder = synthesizer.encoder
    encoder.require("cloning a voice")
    refused = refusals(corpus, pack, encoder)
    presets = {voices[name]: _preset(corpus, pack, synthesizer, name, voices[name]) for name in voices}
    emotions = _emotions(corpus, pack, synthesizer)
    unseen = _unseen(corpus, pack, synthesizer)
    count, share = sum(row["clips"] for row in refused.values()), sum(len(row["refused"]) for row in refused.values())
    found = [row["cosine"] for row in presets.values() if row["cosine"] is not None]
    return Findings(
        part="recordings",
        title="Recordings: what cloning makes of them",
        targets=(
            at_most(f"share of {count} people's recordings refused", share / max(count, 1), MOST_REFUSED),
            at_least("preset voices found again in their speakers' own, cosine", float(np.mean(found)), LEAST_COSINE),
            at_least("cloned from 5 s, our own encoder: place between another speaker (0) and the same (1)",
                     unseen["position"], HALFWAY),
        ),
        details={"refusals": refused, "presets": presets, "emotions": emotions, "unseen_speakers_own_encoder": unseen},
        tables=(
            Table(
                f"Recordings of {SECONDS[0]:g} to {SECONDS[1]:g} s",
                ("corpus", "clips", "refused", "warned of"),
                tuple((name, row["clips"], len(row["refused"]), row["warned"]) for name, row in refused.items()),
            ),
        ),
    )  # fmt: skip


def refusals(corpus: Path, pack: Pack, encoder: VoiceEncoder) -> dict[str, dict[str, Any]]:
    """Check people's sentences, which should all be taken, and time it."""
    report: dict[str, dict[str, Any]] = {}
    for name in SENTENCE_CORPORA:
        clips = [clip for clip in pack.clips if clip.corpus == name and _is_usual(clip)]
        chosen = sorted(clips, key=lambda clip: text_fraction(clip.key))[:CLIPS_EACH]
        if not chosen:
            continue
        refused, warned, elapsed_ms = {}, 0, []
        for key, data in iter_files(corpus, name, [clip.key for clip in chosen]):
            started_s = time.perf_counter()
            (found,) = encoder.check(data)
            elapsed_ms.append(1000 * (time.perf_counter() - started_s))
            warned += bool(found.warnings)
            if found.refusal:
                refused[key] = found.refusal
        report[name] = {
            "clips": len(elapsed_ms),
            "refused": refused,
            "warned": warned,
            "check_and_encode_p50_ms": round(float(np.median(elapsed_ms)), 1),
        }
    return report


def _is_usual(clip: Clip) -> bool:
    return SECONDS[0] <= clip.sample_count / RATE_HZ <= SECONDS[1]


def _files(corpus: Path, clips: Sequence[Clip], most: int) -> list[bytes]:
    """Return the files of the first few clips by a hash of their names, longest enough first."""
    usual = [clip for clip in clips if _is_usual(clip)] or list(clips)
    chosen = sorted(usual, key=lambda clip: text_fraction(clip.key))[:most]
    return [data for _, data in iter_files(corpus, chosen[0].corpus, [clip.key for clip in chosen])]


def _preset(corpus: Path, pack: Pack, synthesizer: Synthesizer, speaker: str, voice: str) -> dict[str, Any]:
    """Clone a preset's own speaker and compare with the preset, and with the nearest other one."""
    clips = [clip for clip in pack.clips if clip.speaker == speaker]
    if not clips:
        return {"cosine": None}
    files = _files(corpus, clips, PRESET_CLIPS)
    try:
        found = synthesizer.encoder.clone(files).speaker
    except InvalidAudio as exc:
        return {"cosine": None, "refused": str(exc)}
    alike = {name: float(found @ vector) for name, vector in synthesizer.bundle.vectors().voices.items()}
    own = alike.pop(voice)
    return {"clips": len(files), "cosine": round(own, 4), "nearest_other": round(max(alike.values()), 4)}


def _emotions(corpus: Path, pack: Pack, synthesizer: Synthesizer) -> dict[str, Any]:
    """Name acted recordings by the nearest emotion of the bundle; all of these actors were trained on."""
    tags = {
        name: synthesizer.bundle.vectors().emotions[name]
        for name, entry in synthesizer.bundle.emotions.items()
        if entry.learned
    }
    acted = sorted((clip for clip in pack.clips if clip.corpus == "emodb"), key=lambda clip: text_fraction(clip.key))
    clips = {clip.key: LABELS.get(clip.emotion, clip.emotion) for clip in acted[:ACTED_CLIPS]}
    right = count = refused = 0
    for key, data in iter_files(corpus, "emodb", clips) if clips else ():
        try:
            found = synthesizer.encoder.emotion(data).emotion
        except InvalidAudio:
            refused += 1
            continue
        count += 1
        right += max(tags, key=lambda tag: float(found @ tags[tag])) == clips[key]
    return {"clips": count, "refused": refused, "nearest_is_right": round(right / max(count, 1), 4)}


def _unseen(corpus: Path, pack: Pack, synthesizer: Synthesizer) -> dict[str, Any]:
    """Clone speakers that nothing was trained on, and look where the clones lie in the encoder's own space."""
    people: dict[str, list[Clip]] = {}
    for clip in pack.clips:
        if clip.split == "valid":
            people.setdefault(clip.speaker, []).append(clip)
    if len(people) < 2:
        raise TrainingError("the pack holds fewer than two unseen speakers; make it from a corpus that has them")
    prints: dict[str, VoicePrint] = {}
    others: dict[str, FloatArray] = {}
    for name, clips in people.items():
        ordered = sorted(clips, key=lambda clip: -clip.sample_count)
        joined = np.concatenate([pack.samples(clip) for clip in ordered[:4]])[: int(CLONE_SECONDS * RATE_HZ)]
        prints[name] = synthesizer.encoder.clone(wav_from_audio(Audio(joined, RATE_HZ)))
        others[name] = np.stack([synthesizer.encoder.vectors_of(pack.samples(clip))[0] for clip in ordered[4:]])
    return _clones(synthesizer, prints, others)


def _clones(
    synthesizer: Synthesizer, prints: Mapping[str, VoicePrint], others: Mapping[str, FloatArray]
) -> dict[str, Any]:
    names = list(prints)
    targets = {name: unit_mean(rows) for name, rows in others.items()}
    same = np.mean([(rows @ rows.T)[np.triu_indices(len(rows), 1)].mean() for rows in others.values()])
    different = np.mean([(others[one] @ others[two].T).mean() for one in names for two in names if one != two])
    cosines, first = [], []
    for name in names:
        for text in SENTENCES["en"][:6]:
            said = synthesizer.say(SpeechRequest(text), prints[name].speaker).samples
            found, _ = synthesizer.encoder.vectors_of(said)
            cosines.append(float((others[name] @ found).mean()))
            first.append(max(names, key=lambda other: float(found @ targets[other])) == name)
    place = (float(np.mean(cosines)) - different) / (same - different)
    return {
        "speakers": len(names),
        "people_same": round(float(same), 4),
        "people_different": round(float(different), 4),
        "cloned": round(float(np.mean(cosines)), 4),
        "position": round(float(place), 4),
        "right_speaker_first": round(float(np.mean(first)), 4),
        "sentences": len(first),
    }
