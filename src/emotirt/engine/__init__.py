"""The engine: takes requests, gives audio. ``direct`` speaks in the caller's thread, ``live`` schedules many."""

from emotirt.engine.direct import Engine
from emotirt.engine.request import SpeechRequest, SpeechResult
from emotirt.synthesis.speech import SpeechStream, Timings

__all__ = ["Engine", "SpeechRequest", "SpeechResult", "SpeechStream", "Timings"]
