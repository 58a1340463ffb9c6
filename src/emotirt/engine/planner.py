"""Turns a request into a plan that the stages can speak, and refuses what cannot be spoken."""

from __future__ import annotations

import time
from dataclasses import replace

from emotirt.bundle.store import Bundle
from emotirt.engine.request import SpeechRequest
from emotirt.errors import InvalidRequest
from emotirt.synthesis.frontend import frontend_from_bundle
from emotirt.synthesis.speech import SpeechPlan
from emotirt.text.split import split_sentences
from emotirt.types import FloatArray
from emotirt.voices.catalog import Catalog
from emotirt.voices.prompts import PromptVectors


class Planner:
    """Front end and catalog of one bundle; may be used from several threads at once."""

    def __init__(self, bundle: Bundle, prompts: PromptVectors | None = None) -> None:
        """Read what ``bundle`` offers; raises its errors.

        Args:
            bundle: of the engine.
            prompts: turns prompts into styles; None where none are taken.
        """
        self.catalog = Catalog(bundle)
        self._bundle_name = bundle.manifest.name
        self._prompts = prompts
        self._frontend = frontend_from_bundle(bundle)

    def plan(self, request: SpeechRequest) -> SpeechPlan:
        """Check and read a request.

        Raises: InvalidRequest: it cannot be spoken as asked.
        """
        if not isinstance(request.text, str):
            raise InvalidRequest(f"text is {type(request.text).__name__}; give a str")
        started = time.perf_counter()
        asked = request.voice if request.voice is not None else self.catalog.voices[0].name
        style = self._style(request.prompt)
        condition = self.catalog.condition(asked, request.emotion, request.intensity, request.prosody, style)
        utterances = tuple(self._frontend.utterances(request.text))
        if request.voice is not None:
            voice, _ = self.catalog.voice(request.voice)
        else:
            voice = self.catalog.default_voice(symbol for item in utterances for symbol in item.symbols)
            condition = replace(condition, speaker=self.catalog.voice(voice.name)[1])
        return SpeechPlan(utterances, condition, voice.name, time.perf_counter() - started)

    def plan_or_cut(self, request: SpeechRequest, strict: bool) -> SpeechPlan:
        """Do as ``plan``, but cut a text past the hard limit with a warning, unless ``strict``."""
        most = self._frontend.limits.max_characters
        if strict or not isinstance(request.text, str) or len(request.text) <= most:
            return self.plan(request)
        kept = cut_text(request.text, most)
        warning = f"text has {len(request.text)} characters, the limit is {most}; spoken are the first {len(kept)}"
        return replace(self.plan(replace(request, text=kept)), warnings=(warning,), is_truncated=True)

    def _style(self, prompt: str | None) -> FloatArray | None:
        if prompt is None:
            return None
        if self._prompts is None:
            names = ", ".join(emotion.name for emotion in self.catalog.emotions)
            raise InvalidRequest(f"bundle {self._bundle_name!r} takes no prompt in words; choose an emotion: {names}")
        return self._prompts.style(prompt)


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
