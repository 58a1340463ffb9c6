"""What a caller asks of an engine and what comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from emotirt.bundle.manifest import NEUTRAL
from emotirt.errors import InvalidRequest
from emotirt.synthesis.speech import Timings
from emotirt.types import Audio, Priority, Prosody, SpokenUtterance
from emotirt.voices.clone import VoicePrint
from emotirt.voices.condition import NATURAL_PROSODY
from emotirt.voices.recording import Sources

MAX_ID_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What to say and how.

    Attributes:
        text: English, Mandarin or both, with inline control.
        voice: name, a mixture such as ``kathleen:0.6+lan:0.4``, or None for the bundle's voice of the text's language.
        emotion: name or alias, English or Chinese.
        intensity: of the emotion, 0 (neutral) to 1.5.
        prosody: speed, pitch, pitch range and energy; ranges in ``voices.condition``.
        prompt: the way of speaking in the caller's own words, in place of an emotion; for bundles that take prompts.
        reference: recordings of the speaker for this request, in place of a voice; or what was made of them.
        emotion_reference: recordings that sound as this request should, of any speaker, in place of an emotion.
    """

    text: str
    voice: str | None = None
    emotion: str = NEUTRAL
    intensity: float = 1.0
    prosody: Prosody = NATURAL_PROSODY
    prompt: str | None = None
    reference: Sources | VoicePrint | None = None
    emotion_reference: Sources | VoicePrint | None = None

    @property
    def has_recordings(self) -> bool:
        """Whether recordings have to be encoded first."""
        return any(item is not None and not isinstance(item, VoicePrint) for item in self._references)

    @property
    def _references(self) -> tuple[Sources | VoicePrint | None, ...]:
        return self.reference, self.emotion_reference


@dataclass(frozen=True, slots=True)
class SpeechResult:
    """Finished speech.

    Attributes:
        audio: all of it.
        timings: where the time went.
        warnings: what was not done exactly as asked, for people.
        voice: the voice that spoke.
        spoken: when every token of every utterance sounds.
    """

    audio: Audio
    timings: Timings
    warnings: tuple[str, ...] = ()
    voice: str = ""
    spoken: tuple[SpokenUtterance, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """How urgently a request is to be served.

    Attributes:
        priority: live requests go before bulk ones, which never starve.
        deadline_s: from the request to its first audio; None for the engine's default (500 ms for live requests, none
            for bulk ones), ``math.inf`` for none. Without one it is not refused because it could not be fed in time.
        request_id: for logs and observers; None to have one made.
        strict: refuse a text past the hard limit, which is otherwise cut with a warning.
    """

    priority: Priority = Priority.LIVE
    deadline_s: float | None = None
    request_id: str | None = None
    strict: bool = False


def check_options(options: SpeechOptions) -> None:
    """Check what may have come from outside.

    Raises: InvalidRequest: a value is not accepted; names what is.
    """
    if options.priority not in tuple(Priority):
        accepted = ", ".join(repr(item.value) for item in Priority)
        raise InvalidRequest(f"priority {options.priority!r} is not accepted; give one of {accepted}")
    deadline_s: Any = options.deadline_s
    is_number = isinstance(deadline_s, Real) and not isinstance(deadline_s, bool)
    if deadline_s is not None and not (is_number and 0 < deadline_s <= math.inf):  # NaN compares as outside
        raise InvalidRequest(f"deadline {deadline_s!r} is not accepted; give seconds, more than 0")
    name: object = options.request_id
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= MAX_ID_CHARACTERS):
        raise InvalidRequest(f"request id {name!r:.60} is not accepted; give 1 to {MAX_ID_CHARACTERS} characters")
