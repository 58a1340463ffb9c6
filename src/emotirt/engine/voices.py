"""The user's own voices in an engine: cloned, mixed, listed, removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ParamSpec, TypeVar
from unicodedata import category

from emotirt.bundle.store import Bundle
from emotirt.errors import EngineClosed, InvalidRequest, Overloaded, VoiceExists, VoiceUnusable
from emotirt.voices.blend import parts_from_text
from emotirt.voices.catalog import Catalog
from emotirt.voices.clone import VoiceEncoder
from emotirt.voices.recording import Sources
from emotirt.voices.recording_check import RecordingReport
from emotirt.voices.store import VoiceStore, now_s, origin_of, speaks
from emotirt.voices.voice_file import UNDETERMINED, StoredVoice, check_voice_name

MAX_CONSENT_CHARACTERS = 500
BLEND_CONSENT = "a blend of voices whose speakers have agreed"
_CONTROLS = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of characters that would move a terminal's cursor or break a line."""
ENCODER_THREADS = 1
MOST_WAITING = 16
RETRY_S = 1.0
"""A recording takes well under a tenth of a second to read, check and encode."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewVoice:
    """What a caller says about a voice to be made.

    Attributes:
        name: letters, digits, spaces and . _ ' -; unlike any other voice's.
        consent: who agreed, or how that is known; no voice is made without.
        language: code of the speaker's language, ``und`` if not known.
        description: one line.
        replace: a voice of the user with the same name is replaced.
    """

    name: str
    consent: str
    language: str = UNDETERMINED
    description: str = ""
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ClonedVoice:
    """A voice that was made.

    Attributes:
        voice: as it is kept.
        reports: of the recordings.
    """

    voice: StoredVoice
    reports: tuple[RecordingReport, ...]


class UserVoices:
    """Makes and keeps voices for one bundle; may be used from several threads at once."""

    def __init__(self, bundle: Bundle, path: Path | str | None = None, threads: int | None = None) -> None:
        """Keep voices in ``path``, None for the user's own directory; raises the errors of the bundle."""
        self._bundle = bundle
        self.store = VoiceStore(path)
        self.encoder = VoiceEncoder(bundle, threads)
        self.catalog = Catalog(bundle, self.store)

    def clone(self, new: NewVoice, sources: Sources) -> ClonedVoice:
        """Make a voice from recordings and keep it; the recordings are not kept.

        Raises:
            InvalidRequest: no consent, no name, or a bundle that cannot clone.
            VoiceExists: the name is taken.
            InvalidAudio: a recording cannot be used; says what to do.
            OutputError: the voice cannot be kept.
        """
        self.encoder.require("cloning a voice")
        self._check(new)
        made = self.encoder.clone(sources)
        lengths = [report.duration_s for report in made.reports]
        voice = StoredVoice(
            name=new.name,
            language=new.language,
            consent=new.consent.strip(),
            origin=origin_of(self._bundle),
            speaker=made.speaker,
            emotion=made.emotion,
            recordings=tuple(zip(made.sha256, lengths, strict=True)),
            description=new.description,
            created_at=now_s(),
        )
        self.store.add(voice, new.replace)
        return ClonedVoice(voice, made.reports)

    def blend(self, new: NewVoice, mixture: str) -> StoredVoice:
        """Keep a mixture of voices under a name; raises what ``clone`` and looking the voices up raise."""
        self.encoder.require("keeping a blend")
        self._check(new)
        entry, vector = self.catalog.voice(mixture)
        language = entry.language if new.language == UNDETERMINED else new.language
        description = new.description or f"a blend of {', '.join(part.name for part in parts_from_text(mixture))}"
        voice = StoredVoice(
            name=new.name,
            language=language,
            consent=new.consent.strip(),
            origin=origin_of(self._bundle),
            speaker=vector,
            description=description,
            created_at=now_s(),
        )
        self.store.add(voice, new.replace)
        return voice

    def take(self, voice: StoredVoice, name: str | None = None, replaces: bool = False) -> StoredVoice:
        """Keep a voice that was made elsewhere, under another name if one is given.

        Raises: VoiceUnusable: another encoder made it. VoiceExists, InvalidRequest: as ``clone``.
        """
        if not speaks(self._bundle, voice):
            raise VoiceUnusable(
                f"voice {voice.name!r} was made with the encoder of bundle {voice.origin.bundle!r}, which bundle "
                f"{self._bundle.manifest.name!r} does not have; clone it again from its recordings"
            )
        kept = replace(voice, name=name or voice.name)
        self._check(NewVoice(kept.name, kept.consent, kept.language, kept.description, replaces))
        self.store.add(kept, replaces)
        return kept

    def remove(self, name: str) -> None:
        """Forget a voice of the user.

        Raises: InvalidRequest: it is the bundle's. UnknownVoice: there is none.
        """
        if self.catalog.is_preset(name):
            raise InvalidRequest(f"voice {name!r} belongs to bundle {self._bundle.manifest.name!r} and stays")
        self.store.remove(name)

    def close(self) -> None:
        """Release the encoder."""
        self.encoder.close()

    def _check(self, new: NewVoice) -> None:
        check_voice_name(new.name)
        if self.catalog.is_preset(new.name):
            raise VoiceExists(f"bundle {self._bundle.manifest.name!r} has a voice {new.name!r}; choose another name")
        if not new.replace and self.store.get(new.name) is not None:
            raise VoiceExists(f"a voice named {new.name!r} exists; remove it first or choose another name")
        if not 0 < len(new.consent.strip()) <= MAX_CONSENT_CHARACTERS:
            raise InvalidRequest(
                "consent is missing; a voice is made only with the agreement of the person whose it is"
            )
        if not (2 <= len(new.language) <= 3 and new.language.isascii() and new.language.islower()):
            raise InvalidRequest(
                f"language {new.language!r:.40} is not a code such as en or zh; leave it out if unknown"
            )
        if any(category(character) in _CONTROLS for character in new.description + new.consent):
            raise InvalidRequest(
                "the description or the consent holds line breaks or control characters; leave them out"
            )
        if len(new.description) > MAX_CONSENT_CHARACTERS:
            raise InvalidRequest(f"the description is longer than {MAX_CONSENT_CHARACTERS} characters; shorten it")


class AsyncUserVoices:
    """The same on a thread of its own, so that reading recordings holds up no speech; a bounded queue before it."""

    def __init__(self, voices: UserVoices) -> None:
        """Own ``voices``."""
        self.voices = voices
        self._pool = ThreadPoolExecutor(ENCODER_THREADS, thread_name_prefix="emotirt-voices")
        self._waiting = 0
        self._is_closed = False

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function of ``voices`` there.

        Raises: Overloaded: enough wait already. EngineClosed: the engine has closed meanwhile.
        """
        if self._waiting >= MOST_WAITING:
            raise Overloaded(f"{self._waiting} recordings wait to be read, the most that may; come again", RETRY_S)
        self._waiting += 1
        try:
            future = self._pool.submit(function, *args, **kwargs)
        except RuntimeError as exc:  # the pool takes no more
            self._waiting -= 1
            raise EngineClosed("the engine is closed; open another one") from exc
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: self._done(loop))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._is_closed and future.cancelled():  # dropped by ``close``; its caller is not cancelled
                raise EngineClosed("the engine closed before the recording was read; send it again") from None
            raise

    def close(self) -> None:
        """Wait for what runs, drop what waits, release the encoder."""
        self._is_closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.voices.close()

    def _done(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(RuntimeError):  # the loop may have ended
            loop.call_soon_threadsafe(self._left)

    def _left(self) -> None:
        self._waiting -= 1
