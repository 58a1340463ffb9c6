"""The way of speaking in words, English or Chinese, read by a small table of rules; pure.

For bundles without a prompt encoder. The rules know common words, how strong they are meant ("very", "有点"), and that
a negated word ("not sad", "不要生气") means nothing; whatever they do not know changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from emotirt.types import Prosody
from emotirt.voices.condition import (
    ENERGY_RANGE_DB,
    INTENSITY_RANGE,
    NATURAL_PROSODY,
    PITCH_RANGE_RANGE,
    PITCH_SHIFT_RANGE_SEMITONES,
    SPEED_RANGE,
)

STRONG, WEAK = 1.4, 0.6
"""How a word of degree scales what it stands before."""

_EMOTIONS = {
    "happy": r"happy|happily|happiness|cheer\w*|joy\w*|glad\w*|delighted|smil\w*|upbeat|高兴|开心|快乐|愉快|喜悦|微笑",
    "sad": r"sad|sadly|sadness|sorrow\w*|melanchol\w*|mournful|griev\w*|gloomy|悲伤|难过|伤心|忧伤|悲痛|沮丧",
    "angry": r"ang(?:ry|rily|er)|furious\w*|mad|irritated|annoyed|生气|愤怒|恼火|发火",
    "fearful": r"fear\w*|afraid|scared|frightened|terrified|nervous\w*|anxious\w*|害怕|恐惧|惊恐|紧张",
    "disgusted": r"disgust\w*|厌恶|嫌弃|恶心",
    "bored": r"bor(?:ed|edom|ing)|tired|weary|无聊|疲惫|厌倦",
    "surprised": r"surpris\w*|amazed|astonished|shocked|惊讶|吃惊|惊喜|震惊",
    "excited": r"excit\w*|thrilled|enthusias\w*|energetic|兴奋|激动|热情",
    "neutral": r"neutral\w*|calm\w*|flat|平静|冷静|中性|沉着",
}
_PROSODY: tuple[tuple[str, Prosody], ...] = (
    (r"slow\w*|unhurried\w*|慢", Prosody(speed=0.8)),
    (r"fast\w*|quick\w*|rapid\w*|hurried\w*|快(?!乐)", Prosody(speed=1.25)),
    (r"high(?:er)?[ -](?:pitch\w*|voice)|高音|音调高|声音高", Prosody(pitch_shift_semitones=3.0)),
    (r"low(?:er)?[ -](?:pitch\w*|voice)|deep\w*|低音|音调低|声音低|低沉", Prosody(pitch_shift_semitones=-3.0)),
    (r"loud\w*|shout\w*|yell\w*|大声|响亮|喊", Prosody(energy_db=6.0)),
    (r"quiet\w*|soft\w*|gentl\w*|whisper\w*|小声|轻声|温柔|轻轻|柔和", Prosody(energy_db=-6.0)),
    (r"monotone|monotonous\w*|单调|平淡", Prosody(pitch_range=0.5)),
    (r"lively|expressive\w*|animated|dramatic\w*|生动|活泼|抑扬顿挫", Prosody(pitch_range=1.4)),
)
_DEGREES = (
    (STRONG, r"very|extremely|really|so|super|deeply|highly|非常|很|十分|特别|极其|极|超级|太"),
    (WEAK, r"slightly|somewhat|mildly|(?:a )?(?:bit|little)|有点儿?|有些|稍微|略微|一点"),
)
_NEGATION = re.compile(
    r"(?:\b(?:not?|never|without|don't|do not|avoid|isn't)\s+(?:(?:be|sound|speak|too|so|very|sounding|being|any)\s+)*"
    r"|(?:不要|别|不能|不|勿|没有)(?:太|那么|要|很|再)?)$"
)


@dataclass(frozen=True, slots=True)
class InstructedStyle:
    """What instructions ask for.

    Attributes:
        emotion: a name, None when none was recognized.
        intensity: of the emotion.
        prosody: to be combined with the request's own.
    """

    emotion: str | None = None
    intensity: float = 1.0
    prosody: Prosody = NATURAL_PROSODY


def style_from_instructions(instructions: str, emotions: Iterable[str]) -> InstructedStyle:
    """Read instructions.

    Args:
        instructions: in any language; English and Chinese are understood.
        emotions: names that the bundle offers; no other is answered.
    Returns: the first emotion that is named and offered, and every change of prosody that is named.
    """
    text = " ".join(instructions.casefold().replace("’", "'").split())
    offered = {name.casefold() for name in emotions}
    named = [
        (place, emotion, degree)
        for emotion, words in _EMOTIONS.items()
        if emotion in offered
        for place, degree in _found(words, text)[:1]
    ]
    prosody = NATURAL_PROSODY
    for words, change in _PROSODY:
        for _, degree in _found(words, text)[:1]:
            prosody = combined(prosody, change, degree)
    if not named:
        return InstructedStyle(prosody=prosody)
    _, emotion, degree = min(named)
    return InstructedStyle(emotion, min(degree, INTENSITY_RANGE[1]), prosody)


def combined(asked: Prosody, change: Prosody, degree: float = 1.0) -> Prosody:
    """Apply ``change`` to ``degree`` on top of ``asked``, kept within what a request may ask for."""
    return replace(
        asked,
        speed=_kept(asked.speed * change.speed**degree, SPEED_RANGE),
        pitch_shift_semitones=_kept(
            asked.pitch_shift_semitones + degree * change.pitch_shift_semitones, PITCH_SHIFT_RANGE_SEMITONES
        ),
        pitch_range=_kept(asked.pitch_range * change.pitch_range**degree, PITCH_RANGE_RANGE),
        energy_db=_kept(asked.energy_db + degree * change.energy_db, ENERGY_RANGE_DB),
    )


def _found(words: str, text: str) -> list[tuple[int, float]]:
    """Return where the words stand and to which degree, without those that are negated."""
    found = []
    for match in re.finditer(rf"(?<![a-z])(?:{words})(?![a-z])", text):
        before, degree = text[max(0, match.start() - 40) : match.start()], 1.0
        for factor, adverbs in _DEGREES:
            adverb = re.search(rf"(?:(?<![a-z])(?:{adverbs}))\s*$", before)
            if adverb is not None:
                before, degree = before[: adverb.start()], factor
        if not _NEGATION.search(before):
            found.append((match.start(), degree))
    return found


def _kept(value: float, accepted: tuple[float, float]) -> float:
    return min(max(value, accepted[0]), accepted[1])
