"""Does a voice sound like its owner? Cosines of a foreign speaker encoder, against people's among themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emotirt.engine.request import SpeechRequest
from emotirt.errors import TrainingError
from emotirt.evaluation.charts import histogram
from emotirt.evaluation.findings import Findings, Player, Table, at_least, spread
from emotirt.evaluation.sentences import SENTENCES
from emotirt.evaluation.speaker_encoder import SpeakerEncoder, unit
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Clip, Pack, text_fraction
from emotirt.types import FloatArray

RATE_HZ = 16_000
REFERENCE_SECONDS = (3.0, 5.0, 10.0)
JUDGED_SECONDS = 5.0
DRAWS = 2
"""References cut from each speaker for each length, which share no recording unless there are too few."""
CLONED_SENTENCES = {"en": 6, "zh": 3}
MOST_CLIPS = 40
HALFWAY = 0.5
LEAST_TOP1 = 0.8


@dataclass(frozen=True, slots=True)
class Scale:
    """Where people lie: mean cosine of a recording to its own speaker, and to the other speakers."""

    same: float
    different: float

    def position(self, cosine: float) -> float:
        """Return 0 at the different-speaker mean, 1 at the same-speaker mean."""
        return (cosine - self.different) / (self.same - self.different)


@dataclass(frozen=True, slots=True)
class Owner:
    """A speaker who is to be recognized.

    Attributes:
        name: speaker id.
        target: mean vector of recordings that are used for nothing else.
        others: recordings for references and for the scale.
        vectors: of ``others``.
    """

    name: str
    target: FloatArray
    others: tuple[FloatArray, ...]
    vectors: tuple[FloatArray, ...]


def owners(pack: Pack, encoder: SpeakerEncoder, clips_of: Mapping[str, Sequence[Clip]]) -> tuple[Owner, ...]:
    """Halve each speaker's recordings by a hash of their text into a target and the rest.

    Raises: TrainingError: fewer than two speakers, or a speaker with fewer than four recordings.
    """
    found = []
    for name, clips in sorted(clips_of.items()):
        ordered = sorted(clips, key=lambda clip: (text_fraction(clip.text), clip.key))[:MOST_CLIPS]
        if len(ordered) < 4:
            raise TrainingError(f"speaker {name!r} has {len(ordered)} recordings; speaker similarity needs 4")
        recordings = [pack.samples(clip) for clip in ordered]
        vectors = [encoder.vector(samples) for samples in recordings]
        target = unit(np.mean(vectors[1::2], axis=0))
        found.append(Owner(name, target, tuple(recordings[::2]), tuple(vectors[::2])))
    if len(found) < 2:
        raise TrainingError("the pack holds fewer than two unseen speakers; make it from a corpus that has them")
    return tuple(found)


def human_scale(people: Sequence[Owner]) -> tuple[Scale, dict[str, Any]]:
    """Score people's own recordings: same speaker, different speaker, and how often the right one comes first."""
    table = np.array([[vector @ other.target for other in people] for one in people for vector in one.vectors])
    truth = np.array([index for index, one in enumerate(people) for _ in one.vectors])
    own = table[np.arange(len(table)), truth]
    foreign = np.delete(table.ravel(), np.arange(len(table)) * len(people) + truth)
    report = {
        "same": spread(own.tolist()),
        "different": spread(foreign.tolist()),
        "top1": round(float((table.argmax(axis=1) == truth).mean()), 4),
    }
    scale = Scale(float(own.mean()), float(foreign.mean()))
    return scale, {**report, "cosines": {"same": own.tolist(), "different": foreign.tolist()}}


def reference_of(owner: Owner, seconds: float, draw: int) -> FloatArray:
    """Join recordings of a speaker up to a length; each draw begins with another recording."""
    start = draw * max(1, len(owner.others) // DRAWS)
    turned = [*owner.others[start:], *owner.others[:start]]
    return np.concatenate(turned)[: round(seconds * RATE_HZ)]


def cloned(
    synthesizer: Synthesizer, encoder: SpeakerEncoder, people: Sequence[Owner], seconds: float
) -> tuple[list[dict[str, Any]], list[Player]]:
    """Clone every speaker and score what the clones say.

    Returns: a row a sentence (speaker, language, cosine to the right speaker, whether that one came first); examples.
    """
    rows: list[dict[str, Any]] = []
    players: list[Player] = []
    for index, owner in enumerate(people):
        for draw in range(DRAWS):
            reference = reference_of(owner, seconds, draw)
            vector = synthesizer.clone(reference)
            for language, count in CLONED_SENTENCES.items():
                for text in SENTENCES[language][:count]:
                    spoken = synthesizer.say(SpeechRequest(text), vector).samples
                    cosines = [float(encoder.vector(spoken) @ other.target) for other in people]
                    first = int(np.argmax(cosines)) == index
                    rows.append({"speaker": owner.name, "language": language, "cosine": cosines[index], "first": first})
            if draw == 0:
                players += [Player(f"{owner.name}: reference", reference), Player(f"{owner.name}: cloned", spoken)]
    return rows, players


def copied(synthesizer: Synthesizer, encoder: SpeakerEncoder, people: Sequence[Owner]) -> list[dict[str, Any]]:
    """Score people's recordings after the vocoder alone, as ``cloned`` does: the most that cloning can reach."""
    rows = []
    for index, owner in enumerate(people):
        for samples in owner.others:
            vector = encoder.vector(synthesizer.copy(samples))
            cosines = [float(vector @ other.target) for other in people]
            rows.append({"cosine": cosines[index], "first": int(np.argmax(cosines)) == index})
    return rows


def clone_summary(rows: Sequence[Mapping[str, Any]], scale: Scale) -> dict[str, Any]:
    """Average cosine, its position between people, and the share ranked first."""
    mean = float(np.mean([row["cosine"] for row in rows]))
    return {
        "cosine": round(mean, 4),
        "position": round(scale.position(mean), 4),
        "top1": round(float(np.mean([row["first"] for row in rows])), 4),
        "sentences": len(rows),
    }


def preset_rows(
    pack: Pack, synthesizer: Synthesizer, encoder: SpeakerEncoder, voices: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Score every voice made from a speaker of the pack, in both languages, beside the speaker's own recordings."""
    clips_of: dict[str, list[Clip]] = {speaker: [] for speaker in voices}
    for clip in pack.clips:
        if clip.speaker in clips_of and clip.sample_count > 1.5 * RATE_HZ:
            clips_of[clip.speaker].append(clip)
    known = owners(pack, encoder, {name: clips for name, clips in clips_of.items() if len(clips) >= 4})
    scale, _ = human_scale(known)
    report: dict[str, dict[str, Any]] = {}
    for owner in known:
        human = float(np.mean([vector @ owner.target for vector in owner.vectors]))
        row: dict[str, Any] = {"human": round(human, 4)}
        for language, texts in SENTENCES.items():
            said = [synthesizer.say(SpeechRequest(text, voice=voices[owner.name])).samples for text in texts]
            cosine = float(np.mean([encoder.vector(samples) @ owner.target for samples in said]))
            row[language] = {"cosine": round(cosine, 4), "position": round(scale.position(cosine), 4)}
        report[voices[owner.name]] = row
    return report


def measure_speakers(
    pack: Pack, synthesizer: Synthesizer, encoder: SpeakerEncoder, voices: Mapping[str, str]
) -> Findings:
    """Clone speakers that nothing was trained on, and compare the preset voices with their owners.

    Args:
        pack: its split ``valid`` holds the unseen speakers.
        synthesizer: of a bundle that can clone.
        encoder: not ours.
        voices: speaker of the pack -> preset voice.

    Raises: TrainingError: too few recordings. InvalidRequest: the bundle cannot clone.
    """
    unseen: dict[str, list[Clip]] = {}
    for clip in pack.clips:
        if clip.split == "valid":
            unseen.setdefault(clip.speaker, []).append(clip)
    people = owners(pack, encoder, unseen)
    spoken = next(clip.language for clips in unseen.values() for clip in clips)
    scale, human = human_scale(people)
    cosines = human.pop("cosines")
    lengths: dict[str, Any] = {}
    judged: list[dict[str, Any]] = []
    players: list[Player] = []
    for seconds in REFERENCE_SECONDS:
        rows, examples = cloned(synthesizer, encoder, people, seconds)
        by_language = {
            language: clone_summary([row for row in rows if row["language"] == language], scale)
            for language in SENTENCES
        }
        lengths[f"{seconds:g}"] = by_language
        if seconds == JUDGED_SECONDS:
            judged, players = [row for row in rows if row["language"] == spoken], examples
    human["vocoder_alone"] = clone_summary(copied(synthesizer, encoder, people), scale)
    human["language"] = spoken
    presets = preset_rows(pack, synthesizer, encoder, voices)
    return _findings(human, cosines, lengths, judged, presets, players)


def _findings(
    human: dict[str, Any],
    cosines: Mapping[str, list[float]],
    lengths: Mapping[str, Any],
    judged: Sequence[Mapping[str, Any]],
    presets: Mapping[str, Any],
    players: Sequence[Player],
) -> Findings:
    found = lengths[f"{JUDGED_SECONDS:g}"][human["language"]]
    speakers = len({row["speaker"] for row in judged})
    by_speaker = {
        name: {
            "cosine": round(float(np.mean([row["cosine"] for row in judged if row["speaker"] == name])), 4),
            "top1": round(float(np.mean([row["first"] for row in judged if row["speaker"] == name])), 4),
        }
        for name in sorted({str(row["speaker"]) for row in judged})
    }
    chart = histogram(
        "Cosine to the target speaker",
        {
            "people, another speaker": cosines["different"],
            "cloned from 5 s": [float(row["cosine"]) for row in judged],
            "people, the same speaker": cosines["same"],
        },
    )
    return Findings(
        part="speakers",
        title="Voices: do they sound like their owners?",
        values={"quality.speaker_top1_of_10": {"value": found["top1"], "unit": "share"}} if speakers == 10 else {},
        targets=(
            at_least("cloned from 5 s: place between another speaker (0) and the same (1)", found["position"], HALFWAY),
            at_least(f"cloned from 5 s: right speaker first of {speakers}", found["top1"], LEAST_TOP1),
        ),
        details={"people": human, "cloned_by_reference_s": lengths, "cloned_5_s": by_speaker, "presets": presets},
        tables=(
            Table(
                f"Cloned voices, {speakers} unseen speakers",
                ("reference, s", "speaks", "cosine", "place", "first"),
                tuple(
                    (key, language, row["cosine"], row["position"], row["top1"])
                    for key, by_language in lengths.items()
                    for language, row in by_language.items()
                ),
            ),
            Table(
                "Preset voices: cosine to their owner",
                ("voice", "owner's recordings", "English", "Mandarin"),
                tuple((name, row["human"], row["en"]["cosine"], row["zh"]["cosine"]) for name, row in presets.items()),
            ),
        ),
        charts=(chart,),
        players=tuple(players[:12]),
    )
