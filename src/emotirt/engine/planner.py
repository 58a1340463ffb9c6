"""Turns a request into a plan that the stages can speak, and refuses what cannot be spoken."""

from __future__ import annotations

import time
from dataclasses import replace

from emotirt.bundle.store import Bundle
from emotirt.engine.request import SpeechRequest
from emotirt.errors import InvalidRequest
from emotirt.synthesis.speech import SpeechPlan
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import SymbolTable
from emotirt.voices.catalog import Catalog


class Planner:
    """Front end and catalog of one bundle; may be used from several threads at once."""

    def __init__(self, bundle: Bundle) -> None:
        """Read what ``bundle`` offers; raises its errors."""
        self.catalog = Catalog(bundle)
        self._frontend = Frontend(SymbolTable(bundle.symbols))

    def plan(self, request: SpeechRequest) -> SpeechPlan:
        """Check and read a request.

        Raises: InvalidRequest: it cannot be spoken as asked.
        """
        if not isinstance(request.text, str):
            raise InvalidRequest(f"text is {type(request.text).__name__}; give a str")
        started = time.perf_counter()
        asked = request.voice if request.voice is not None else self.catalog.voices[0].name
        condition = self.catalog.condition(asked, request.emotion, request.intensity, request.prosody)
        utterances = tuple(self._frontend.utterances(request.text))
        if request.voice is not None:
            voice, _ = self.catalog.voice(request.voice)
        else:
            voice = self.catalog.default_voice(symbol for item in utterances for symbol in item.symbols)
            condition = replace(condition, speaker=self.catalog.voice(voice.name)[1])
        return SpeechPlan(utterances, condition, voice.name, time.perf_counter() - started)
