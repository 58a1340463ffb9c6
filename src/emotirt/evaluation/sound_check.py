"""Speaks hundreds of sentences with every voice and lists what is not sound: clicks, clipping, missing ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emotirt.engine.request import SpeechRequest
from emotirt.errors import TrainingError
from emotirt.evaluation.clicks import click_ratio, clicks_at_s
from emotirt.evaluation.damage import detection_rates, human_rates
from emotirt.evaluation.endings import spoken_ending, swallowed
from emotirt.evaluation.findings import Findings, Player, Table, Target, spread
from emotirt.evaluation.soundness import problems
from emotirt.evaluation.synthesizer import Spoken, Synthesizer
from emotirt.training.corpus import Clip, Pack, text_fraction

SENTENCES = 500
CORPORA = {"en": ("kathleen", "ljspeech", "speechocean762"), "zh": ("aishell",)}
LISTED = 20
TRIED = 60
"""Renderings that are damaged, and recordings that are heard, to see what the detectors notice."""
JUDGED = ("click", "clipped", "cut off", "swallowed")
"""Kinds of fault that the target names; what else is found is listed beside them."""


def choose_texts(clips: Sequence[Clip], count: int = SENTENCES) -> tuple[tuple[str, str], ...]:
    """Choose (language, text) by a hash of the letters, as many of either language, each text once.

    Raises: TrainingError: the pack holds too few sentences.
    """
    chosen: list[tuple[str, str]] = []
    for language, corpora in CORPORA.items():
        texts = {clip.text: None for clip in clips if clip.corpus in corpora and clip.text}
        ordered = sorted(texts, key=text_fraction)[: count // len(CORPORA)]
        if len(ordered) < count // len(CORPORA):
            raise TrainingError(
                f"the pack holds {len(ordered)} {language} sentences, {count // len(CORPORA)} are needed"
            )
        chosen += [(language, text.capitalize() if text.isupper() else text) for text in ordered]
    return tuple(chosen)


def faults(spoken: Spoken) -> tuple[str, ...]:
    """Name everything that is wrong with a rendering."""
    found = list(problems(spoken.samples))
    found += [f"click: at {at_s:.3f} s" for at_s in clicks_at_s(spoken.samples, spoken.utterances)]
    for utterance in spoken.utterances:
        end = spoken_ending(spoken.samples, utterance)
        if end is not None:
            found += swallowed(end)
    return tuple(found)


def check_sound(pack: Pack, synthesizer: Synthesizer, count: int = SENTENCES) -> Findings:
    """Speak ``count`` sentences, voices in turn, and check each.

    Raises: TrainingError: too few sentences.
    """
    voices = [voice.name for voice in synthesizer.bundle.manifest.voices]
    offenders: list[dict[str, Any]] = []
    players: list[Player] = []
    kinds: dict[str, int] = {}
    ratios, vowels, sharp = [], [], 0
    kept: list[Spoken] = []
    texts = choose_texts(pack.clips, count)
    for index, (_, text) in enumerate(texts):
        voice = voices[index % len(voices)]
        spoken = synthesizer.say(SpeechRequest(text, voice=voice))
        found = faults(spoken)
        kept += [spoken] if len(kept) < TRIED else []
        ratios.append(float(click_ratio(spoken.samples).max()))
        sharp += len(clicks_at_s(spoken.samples)) > len(clicks_at_s(spoken.samples, spoken.utterances))
        ends = [spoken_ending(spoken.samples, one) for one in spoken.utterances]
        vowels += [end.last_vowel_db for end in ends if end is not None]
        for kind in {one.partition(":")[0] for one in found}:
            kinds[kind] = kinds.get(kind, 0) + 1
        if found:
            offenders.append({"voice": voice, "text": text, "faults": list(found)})
            players.append(Player(f"{voice}: {text[:60]}", spoken.samples))
    judged = sum(any(kind.startswith(JUDGED) for kind in one["faults"]) for one in offenders)
    people = [pack.samples(clip) for clip in _recordings(pack.clips)]
    detectors = {"damaged": detection_rates(kept), "people": human_rates(people)}
    return Findings(
        part="sound",
        title=f"Sound: {len(texts)} sentences without a fault?",
        targets=(Target("sentences with a click, clipping or a missing end", judged, "none", judged == 0),),
        details={
            "sentences": len(texts),
            "voices": voices,
            "with_faults": len(offenders),
            "kinds": kinds,
            "sharp_releases": sharp,
            "click_ratio": {**spread(ratios), "most": round(float(np.max(ratios)), 4)},
            "last_vowel_db": {**spread(vowels), "least": round(float(np.min(vowels)), 4)},
            "detectors": detectors,
            "offenders": offenders[:LISTED],
        },
        tables=(
            Table("Damage on purpose that was noticed", ("damage", "share"), tuple(detectors["damaged"].items())),
            Table(
                "Offenders",
                ("voice", "text", "what"),
                tuple((one["voice"], one["text"], "; ".join(one["faults"])) for one in offenders[:LISTED]),
            ),
        ),
        players=tuple(players[:6]),
    )


def _recordings(clips: Sequence[Clip]) -> list[Clip]:
    """Some held-out recordings of sentences, by a hash of their text."""
    usable = [
        clip for clip in clips if clip.split == "test" and any(clip.corpus in names for names in CORPORA.values())
    ]
    return sorted(usable, key=lambda clip: (text_fraction(clip.text), clip.key))[:TRIED]
