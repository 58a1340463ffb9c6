"""Turns a request into a plan that the stages can speak, and refuses what cannot be spoken."""

from __future__ import annotations

import time
from dataclasses import replace

from emotirt.bundle.store import Bundle
from emotirt.engine.request import SpeechRequest
from emotirt.engine.voices import UserVoices
from emotirt.errors import InvalidRequest
from emotirt.synthesis.frontend import frontend_from_bundle
from emotirt.synthesis.speech import SpeechPlan
from emotirt.text.control import shown
from emotirt.text.normalize import unspoken_letters
from emotirt.text.split import split_sentences
from emotirt.types import FloatArray
from emotirt.voices.catalog import Catalog
from emotirt.voices.clone import VoicePrint
from emotirt.voices.prompts import PromptVectors

REFERENCE_VOICE = "reference"
"""What the voice of a request with a recording of its speaker is called."""


class Planner:
    """Front end and catalog of one bundle; may be used from several threads at once."""

    def __init__(self, bundle: Bundle, prompts: PromptVectors | None = None, voices: UserVoices | None = None) -> None:
        """Read what ``bundle`` offers; raises its errors.

        Args:
            bundle: of the engine.
            prompts: turns prompts into styles; None where none are taken.
            voices: encodes recordings and keeps the user's voices; None for neither.
        """
        self.catalog = Catalog(bundle) if voices is None else voices.catalog
        self._voices = voices
        self._bundle_name = bundle.manifest.name
        self._prompts = prompts
        self._has_content = bool(bundle.manifest.content_dim)
        self._frontend = frontend_from_bundle(bundle)

    def plan(self, request: SpeechRequest) -> SpeechPlan:
        """Check and read a request.

        Raises: InvalidRequest: it cannot be spoken as asked.
        """
        if not isinstance(request.text, str):
            raise InvalidRequest(f"text is {type(request.text).__name__}; give a str")
        started = time.perf_counter()
        request = self.encoded(request)
        speaker, example = (
            item if isinstance(item, VoicePrint) else None for item in (request.reference, request.emotion_reference)
        )
        if speaker is not None and request.voice is not None:
            raise InvalidRequest(f"a reference and the voice {request.voice!r} exclude each other; give one of them")
        if self._prompts is not None and self._has_content:
            self._prompts.foresee(request.text)
        entry, vector = self.catalog.voice(self.catalog.voices[0].name if request.voice is None else request.voice)
        condition = self.catalog.condition(
            vector if speaker is None else speaker.speaker,
            request.emotion,
            request.intensity,
            request.prosody,
            self._style(request.prompt),
            None if example is None else example.emotion,
        )
        utterances = tuple(self._frontend.utterances(request.text))
        if request.voice is None and speaker is None:
            entry = self.catalog.default_voice(symbol for item in utterances for symbol in item.symbols)
            condition = replace(condition, speaker=self.catalog.voice(entry.name)[1])
        name = entry.name if speaker is None else REFERENCE_VOICE
        return SpeechPlan(utterances, condition, name, time.perf_counter() - started, _warnings(request.text))

    def encoded(self, request: SpeechRequest) -> SpeechRequest:
        """Put what was made of its recordings in their place.

        Raises: InvalidAudio: a recording cannot be used. InvalidRequest: the bundle has no encoder for it.
        """
        if not request.has_recordings:
            return request
        if self._voices is None:
            raise InvalidRequest("this engine takes no recordings; open one that does")
        encoder, speaker, example = self._voices.encoder, request.reference, request.emotion_reference
        if speaker is not None and not isinstance(speaker, VoicePrint):
            speaker = encoder.clone(speaker)
        if example is not None and not isinstance(example, VoicePrint):
            example = encoder.emotion(example)
        return replace(request, reference=speaker, emotion_reference=example)

    def plan_or_cut(self, request: SpeechRequest, strict: bool) -> SpeechPlan:
        """Do as ``plan``, but cut a text past the hard limit with a warning, unless ``strict``."""
        most = self._frontend.limits.max_characters
        if strict or not isinstance(request.text, str) or len(request.text) <= most:
            return self.plan(request)
        kept = cut_text(request.text, most)
        warning = f"text has {len(request.text)} characters, the limit is {most}; spoken are the first {len(kept)}"
        plan = self.plan(replace(request, text=kept))
        return replace(plan, warnings=(warning, *plan.warnings), is_truncated=True)

    def _style(self, prompt: str | None) -> FloatArray | None:
        if prompt is None:
            return None
        if self._prompts is None:
            names = ", ".join(emotion.name for emotion in self.catalog.emotions)
            raise InvalidRequest(f"bundle {self._bundle_name!r} takes no prompt in words; choose an emotion: {names}")
        return self._prompts.style(prompt)


def _warnings(text: str) -> tuple[str, ...]:
    letters = unspoken_letters(text)
    return (f"letters that are neither English nor Chinese are not spoken: {shown(letters)}",) if letters else ()


def cut_text(text: str, most_characters: int) -> str:
    """Keep whole sentences up to a limit; if not even one fits, whole words; never part of a mark in brackets."""
    head = _without_open_bracket(text[:most_characters])
    sentences = split_sentences(head)
    if len(sentences) > 1:
        return _without_open_bracket("".join(sentences[:-1]))
    words = head.rsplit(None, 1)
    return _without_open_bracket(words[0]) if len(words) > 1 else head


def _without_open_bracket(text: str) -> str:
    while text.rfind("[") > text.rfind("]"):
        text = text[: text.rfind("[")]
    return text
