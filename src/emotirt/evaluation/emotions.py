"""Do emotion tags sound like the emotions? A classifier that heard people only judges them at several intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotirt.engine.request import SpeechRequest
from emotirt.errors import TrainingError
from emotirt.evaluation.charts import bars, lines
from emotirt.evaluation.emotion_classifier import (
    NEUTRAL,
    EmotionClassifier,
    balanced_accuracy,
    confusions,
    relative_to_neutral,
    speakers_left_out,
    train,
)
from emotirt.evaluation.findings import Findings, Player, Table, Target, at_least
from emotirt.evaluation.sentences import SENTENCES
from emotirt.evaluation.speaker_encoder import SpeakerEncoder, unit
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Pack
from emotirt.training.prosodics import Prosodics, features, prosodics
from emotirt.types import FloatArray

ACTED_CORPUS = "emodb"
LABELS = {
    "neutral": "neutral",
    "happy": "happy",
    "sad": "sad",
    "angry": "angry",
    "fear": "fearful",
    "fearful": "fearful",
}
"""Label in the acted corpus -> tag."""
TAGS = ("neutral", "happy", "sad", "angry", "fearful")
INTENSITIES = (0.0, 0.5, 1.0, 1.5)
LEAST_ACCURACY = 0.6
MOST_SPEAKER_LOSS = 0.05
RISE_TOLERANCE = 0.02
SENTENCES_EACH = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Acted:
    """Human acted speech: one entry a recording in every field; vectors are those of the speaker encoder."""

    relative: Floats
    speakers: tuple[str, ...]
    tags: tuple[str, ...]
    sentences: tuple[str, ...]
    prosody: tuple[Prosodics, ...]
    vectors: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True)
class Rendering:
    """One synthesized sentence as it was asked for, and what was measured on it."""

    voice: str
    language: str
    sentence: int
    tag: str
    intensity: float
    measured: Floats
    prosody: Prosodics
    vector: FloatArray


def hear_actors(pack: Pack, encoder: SpeakerEncoder) -> Acted:
    """Measure the acted recordings of the five emotions.

    Raises: TrainingError: the pack holds none.
    """
    clips = [clip for clip in pack.clips if clip.corpus == ACTED_CORPUS and clip.emotion in LABELS]
    if not clips:
        raise TrainingError(f"the pack holds no acted speech ({ACTED_CORPUS}); make it from a corpus with it")
    speakers, sentences = [clip.speaker for clip in clips], [clip.text for clip in clips]
    tags = [LABELS[clip.emotion] for clip in clips]
    samples = [pack.samples(clip) for clip in clips]
    relative = relative_to_neutral(np.stack([features(one) for one in samples]), speakers, tags, sentences)
    return Acted(
        relative,
        tuple(speakers),
        tuple(tags),
        tuple(sentences),
        tuple(prosodics(one) for one in samples),
        tuple(encoder.vector(one) for one in samples),
    )


def render(synthesizer: Synthesizer, encoder: SpeakerEncoder) -> tuple[list[Rendering], list[Player]]:
    """Speak every sentence with every voice, tag and intensity; intensity 0 is neutral and spoken once."""
    rows: list[Rendering] = []
    players: list[Player] = []
    voices = [voice.name for voice in synthesizer.bundle.manifest.voices]
    for voice in voices:
        for language, texts in SENTENCES.items():
            for index, text in enumerate(texts[:SENTENCES_EACH]):
                for tag in TAGS:
                    for intensity in (0.0,) if tag == NEUTRAL else INTENSITIES[1:]:
                        samples = synthesizer.say(SpeechRequest(text, voice, tag, intensity)).samples
                        rows.append(_rendering(encoder, samples, (voice, language, index, tag, intensity)))
                        if voice == voices[0] and index == 0 and language == "en" and intensity in (0.0, 1.0):
                            players.append(Player(f"{voice}: {tag}", samples))
    return rows, players


def _rendering(encoder: SpeakerEncoder, samples: FloatArray, asked: tuple[str, str, int, str, float]) -> Rendering:
    return Rendering(*asked, features(samples), prosodics(samples), encoder.vector(samples))


def judge(rows: Sequence[Rendering], classifier: EmotionClassifier) -> dict[float, dict[str, Any]]:
    """Decide every rendering against the same voice's neutral speech of other sentences.

    Returns: intensity -> tag -> {"right", "probability", "heard", "by_language"}.
    """
    neutral: dict[tuple[str, str], list[Rendering]] = {}
    for row in rows:
        if row.tag == NEUTRAL:
            neutral.setdefault((row.voice, row.language), []).append(row)
    report: dict[float, dict[str, Any]] = {}
    for intensity in INTENSITIES:
        report[intensity] = {}
        for tag in TAGS:
            picked = [row for row in rows if (row.tag, row.intensity) == _key(tag, intensity)]
            relative = np.stack(
                [row.measured - _base(neutral[row.voice, row.language], row.sentence) for row in picked]
            )
            probability = classifier.probabilities(relative)[:, classifier.emotions.index(tag)]
            heard = classifier.decide(relative)
            right = np.array([one == tag for one in heard])
            languages = np.array([row.language for row in picked])
            report[intensity][tag] = {
                "right": round(float(right.mean()), 4),
                "probability": round(float(probability.mean()), 4),
                "heard": dict(confusions([tag] * len(heard), heard)[tag]),
                "by_language": {name: round(float(right[languages == name].mean()), 4) for name in SENTENCES},
            }
    return report


def _key(tag: str, intensity: float) -> tuple[str, float]:
    return (NEUTRAL, 0.0) if tag == NEUTRAL or intensity == 0.0 else (tag, intensity)


def _base(neutral: Sequence[Rendering], sentence: int) -> Floats:
    return np.asarray(np.mean([row.measured for row in neutral if row.sentence != sentence], axis=0))


def speaker_loss(rows: Sequence[Rendering], acted: Acted) -> dict[str, dict[str, float]]:
    """Measure how far an emotion at intensity 1 leads away from its voice, and how far acting leads actors away.

    Both are cosines to the mean of the same speaker's neutral speech of other sentences, less those of neutral speech.
    """
    ours = [
        (row.voice + row.language, row.sentence, row.tag, row.vector) for row in rows if row.intensity in (0.0, 1.0)
    ]
    theirs = list(zip(acted.speakers, acted.sentences, acted.tags, acted.vectors, strict=True))
    own, people = _cosines(ours), _cosines(theirs)
    return {
        tag: {
            "synthesized": round(own[NEUTRAL] - own[tag], 4),
            "people": round(people[NEUTRAL] - people[tag], 4),
        }
        for tag in TAGS
        if tag != NEUTRAL
    }


def _cosines(rows: Sequence[tuple[str, object, str, FloatArray]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for who, what, tag, vector in rows:
        base = [other for name, text, label, other in rows if name == who and label == NEUTRAL and text != what]
        if base:
            found.setdefault(tag, []).append(float(vector @ unit(np.mean(base, axis=0))))
    return {tag: float(np.mean(values)) for tag, values in found.items()}


def shifts(rows: Sequence[tuple[str, str, Prosodics]]) -> dict[str, dict[str, float]]:
    """Average what each tag does to prosody relative to neutral, speaker by speaker.

    Args: rows: speaker, tag, prosody.
    Returns: tag -> differences; rate and pitch spread as ratios.
    """
    table: dict[tuple[str, str], list[Prosodics]] = {}
    for who, tag, measured in rows:
        table.setdefault((who, tag), []).append(measured)
    means = {
        key: {name: float(np.mean([asdict(one)[name] for one in many])) for name in asdict(many[0])}
        for key, many in table.items()
    }
    report: dict[str, dict[str, float]] = {}
    for tag in TAGS[1:]:
        pairs = [
            (means[who, tag], means[who, NEUTRAL]) for who, label in means if label == tag and (who, NEUTRAL) in means
        ]
        report[tag] = {
            "pitch_semitones": _mean_difference(pairs, "pitch_semitones"),
            "pitch_spread_ratio": _mean_ratio(pairs, "pitch_spread_semitones"),
            "energy_db": _mean_difference(pairs, "energy_db"),
            "rate_ratio": _mean_ratio(pairs, "syllables_per_s"),
            "pause_share": _mean_difference(pairs, "pause_share"),
            "tilt_db": _mean_difference(pairs, "tilt_db"),
        }
    return report


def _mean_difference(pairs: Sequence[tuple[dict[str, float], dict[str, float]]], name: str) -> float:
    return round(float(np.mean([ours[name] - base[name] for ours, base in pairs])), 3)


def _mean_ratio(pairs: Sequence[tuple[dict[str, float], dict[str, float]]], name: str) -> float:
    return round(float(np.exp(np.mean([np.log(ours[name] / base[name]) for ours, base in pairs]))), 3)


def rises(judged: Mapping[float, Mapping[str, Any]], tag: str) -> bool:
    """Whether the tag's mean probability never falls by more than a little as intensity grows, and grows in all."""
    values = [judged[intensity][tag]["probability"] for intensity in INTENSITIES]
    steps = np.diff(values)
    return bool((steps >= -RISE_TOLERANCE).all() and values[-1] > values[0] + RISE_TOLERANCE)


def measure_emotions(pack: Pack, synthesizer: Synthesizer, encoder: SpeakerEncoder) -> Findings:
    """Train the classifier on people, publish its accuracy, and judge the bundle's tags.

    Raises: TrainingError: no acted speech in the pack. UnknownEmotion: the bundle lacks one of the five tags.
    """
    acted = hear_actors(pack, encoder)
    left_out = speakers_left_out(acted.relative, acted.speakers, acted.tags)
    rows, players = render(synthesizer, encoder)
    judged = judge(rows, train(acted.relative, acted.tags))
    details = {
        "classifier": {
            "recordings": len(acted.tags),
            "speakers": len(set(acted.speakers)),
            "accuracy_on_unheard_speakers": round(
                float(np.mean([a == b for a, b in zip(acted.tags, left_out, strict=True)])), 4
            ),
            "balanced_accuracy": round(balanced_accuracy(acted.tags, left_out), 4),
            "confusions": {tag: dict(row) for tag, row in confusions(acted.tags, left_out).items()},
        },
        "by_intensity": {f"{intensity:g}": row for intensity, row in judged.items()},
        "renderings": len(rows),
        "speaker_loss": speaker_loss(rows, acted),
        "shifts": {
            "people": shifts(list(zip(acted.speakers, acted.tags, acted.prosody, strict=True))),
            "synthesized": shifts(
                [(r.voice + r.language, r.tag, r.prosody) for r in rows if r.intensity in (0.0, 1.0)]
            ),
        },
    }
    return _findings(details, judged, players)


def _findings(
    details: dict[str, Any], judged: Mapping[float, Mapping[str, Any]], players: Sequence[Player]
) -> Findings:
    accuracy = float(np.mean([judged[1.0][tag]["right"] for tag in TAGS]))
    details["accuracy"] = round(accuracy, 4)
    details["accuracy_by_language"] = {
        language: round(float(np.mean([judged[1.0][tag]["by_language"][language] for tag in TAGS])), 4)
        for language in SENTENCES
    }
    details["rises_with_intensity"] = {tag: rises(judged, tag) for tag in TAGS[1:]}
    lost = details["speaker_loss"]
    risen = sum(details["rises_with_intensity"].values())
    return Findings(
        part="emotions",
        title="Emotions: are they heard, and does the voice stay the same?",
        values={"quality.emotion_accuracy": {"value": round(accuracy, 4), "unit": "share"}},
        targets=(
            at_least("tags at intensity 1 recognized", accuracy, LEAST_ACCURACY),
            Target("tags whose probability rises with intensity", risen / 4, "all four", risen == 4),
            Target(
                "cosine to the voice's own neutral speech lost by an emotion, largest",
                max(row["synthesized"] for row in lost.values()),
                f"at most {MOST_SPEAKER_LOSS:g}",
                all(row["synthesized"] <= MOST_SPEAKER_LOSS for row in lost.values()),
            ),
        ),
        details=details,
        tables=_tables(judged, details),
        charts=_charts(judged, details),
        players=tuple(players),
    )


def _tables(judged: Mapping[float, Mapping[str, Any]], details: Mapping[str, Any]) -> tuple[Table, ...]:
    people, ours = details["shifts"]["people"], details["shifts"]["synthesized"]
    measures, lost = tuple(next(iter(people.values()))), details["speaker_loss"]
    return (
        Table(
            "Heard at intensity 1 (rows: asked for)",
            ("tag", *TAGS),
            tuple((tag, *(judged[1.0][tag]["heard"].get(other, 0) for other in TAGS)) for tag in TAGS),
        ),
        Table(
            "What an emotion does to prosody, people / synthesized",
            ("emotion", *measures),
            tuple((tag, *(f"{people[tag][m]:g} / {ours[tag][m]:g}" for m in measures)) for tag in people),
        ),
        Table(
            "Speaker similarity lost by an emotion",
            ("emotion", "actors", "synthesized"),
            tuple((tag, row["people"], row["synthesized"]) for tag, row in lost.items()),
        ),
    )


def _charts(judged: Mapping[float, Mapping[str, Any]], details: Mapping[str, Any]) -> tuple[str, ...]:
    people, ours = details["shifts"]["people"], details["shifts"]["synthesized"]
    return (
        lines(
            "Probability of the asked emotion by intensity",
            INTENSITIES,
            {tag: [judged[i][tag]["probability"] for i in INTENSITIES] for tag in TAGS[1:]},
        ),
        bars(
            "Pitch level against neutral, semitones",
            TAGS[1:],
            {
                "actors": [people[tag]["pitch_semitones"] for tag in TAGS[1:]],
                "synthesized": [ours[tag]["pitch_semitones"] for tag in TAGS[1:]],
            },
        ),
        bars(
            "Spectral tilt against neutral, dB",
            TAGS[1:],
            {
                "actors": [people[tag]["tilt_db"] for tag in TAGS[1:]],
                "synthesized": [ours[tag]["tilt_db"] for tag in TAGS[1:]],
            },
        ),
    )
