"""Voices that users made: one JSON file each in a directory, written whole or not at all, vectors and no recordings.

Several processes may use one directory at once. A voice belongs to the encoder that made it; a bundle speaks it if it
has that encoder, or the very vectors of preset voices that came with it (another precision of the same networks).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotirt.bundle.contract import REFERENCE_ENCODER
from emotirt.bundle.manifest import VoiceEntry
from emotirt.bundle.store import UNIT_NORM_TOLERANCE, Bundle
from emotirt.errors import InvalidRequest, OutputError, UnknownVoice, VoiceExists, VoiceUnusable
from emotirt.types import FloatArray

FORMAT_VERSION = 1
SUFFIX = ".voice.json"
MAX_VOICES = 10_000
MAX_FILE_BYTES = 1024**2
MAX_NAME_CHARACTERS = 64
UNDETERMINED = "und"
"""The code of ISO 639-2 for a language that nobody named."""
_NAME = re.compile(r"[^\W_](?:[\w .'’-]*[\w.'’])?")
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Origin(BaseModel):
    """Which encoder made the vectors."""

    model_config = _STRICT

    bundle: str
    bundle_sha256: str
    encoder_sha256: str
    presets_sha256: str


class _Clip(BaseModel):
    """A recording that is not here."""

    model_config = _STRICT

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    duration_s: Annotated[float, Field(ge=0.0)]


class _File(BaseModel):
    """A voice as it lies on disk."""

    model_config = _STRICT

    format: Literal["emotirt voice"]
    format_version: Literal[1]
    name: str
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    description: Annotated[str, Field(max_length=500)]
    consent: Annotated[str, Field(min_length=1, max_length=500)]
    created_at: Annotated[int, Field(ge=0)]
    origin: _Origin
    recordings: list[_Clip]
    speaker: Annotated[list[float], Field(min_length=1, max_length=4096)]
    emotion: Annotated[list[float], Field(max_length=4096)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Which encoder made a voice.

    Attributes:
        bundle: its name.
        bundle_sha256: of the bundle's manifest.
        encoder_sha256: of the graph of the reference encoder.
        presets_sha256: of the vectors of the bundle's own voices.
    """

    bundle: str
    bundle_sha256: str
    encoder_sha256: str
    presets_sha256: str


@dataclass(frozen=True, slots=True)
class StoredVoice:
    """A user's voice.

    Attributes:
        name: unique, whatever the case of its letters.
        language: code of the speaker's language, ``und`` where nobody named it.
        consent: who agreed that this voice is made, or how that is known.
        origin: which encoder made it.
        speaker: float32 [speaker_dim], unit norm.
        emotion: float32 [emotion_dim], unit norm, how the speaker sounded; None for a blend.
        recordings: SHA-256 and seconds of each recording, which are not kept.
        description: one line.
        created_at: seconds since 1970.
    """

    name: str
    language: str
    consent: str
    origin: Origin
    speaker: FloatArray
    emotion: FloatArray | None = None
    recordings: tuple[tuple[str, float], ...] = ()
    description: str = ""
    created_at: int = 0

    @property
    def entry(self) -> VoiceEntry:
        """The voice as bundles describe theirs."""
        return VoiceEntry(self.name, self.language, "unknown", self.description, self.consent, "private")


class VoiceStore:
    """The voices of one directory; may be used from several threads and processes at once."""

    def __init__(self, path: Path | str | None = None) -> None:
        """Use ``path``, None for ``default_voices_path``; it is made when the first voice is added."""
        self.path = default_voices_path() if path is None else Path(path)
        self._read: dict[Path, tuple[tuple[int, int, int], StoredVoice]] = {}

    def voices(self) -> tuple[StoredVoice, ...]:
        """Return every voice that can be read, by name; broken files are left out."""
        found = []
        for path in self._files():
            with suppress(VoiceUnusable, FileNotFoundError):
                found.append(self._voice(path))
        return tuple(sorted(found, key=lambda voice: voice.name.casefold()))

    def get(self, name: str) -> StoredVoice | None:
        """Return a voice, None where there is none of that name.

        Raises: VoiceUnusable: its file is broken.
        """
        if not is_voice_name(name):
            return None
        try:
            return self._voice(self._place(name))
        except FileNotFoundError:
            return None

    def add(self, voice: StoredVoice, replace: bool = False) -> None:
        """Keep a voice.

        Raises:
            VoiceExists: the name is taken, unless it may be replaced.
            InvalidRequest: not a name, or too many voices.
            OutputError: the directory cannot be written.
        """
        check_voice_name(voice.name)
        place = self._place(voice.name)
        if len(self._files()) >= MAX_VOICES and not place.exists():
            raise InvalidRequest(f"{self.path} holds {MAX_VOICES} voices, the most that are kept; remove some first")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _write(place, data_from_voice(voice), replace)
        except FileExistsError:
            raise VoiceExists(f"a voice named {voice.name!r} exists; remove it first or choose another name") from None
        except OSError as exc:
            raise OutputError(f"cannot keep a voice in {str(self.path)!r}: {exc.strerror or exc}") from exc

    def remove(self, name: str) -> None:
        """Forget a voice.

        Raises: UnknownVoice: there is none of that name. OutputError: it cannot be removed.
        """
        place = self._place(name)
        try:
            if not is_voice_name(name):
                raise FileNotFoundError
            place.unlink()
        except FileNotFoundError:
            own = ", ".join(voice.name for voice in self.voices()[:12]) or "none"
            raise UnknownVoice(f"no voice {name!r} of your own to remove; yours: {own}") from None
        except OSError as exc:
            raise OutputError(f"cannot remove {str(place)!r}: {exc.strerror or exc}") from exc
        self._read.pop(place, None)

    def _files(self) -> Sequence[Path]:
        try:
            return [Path(item.path) for item in os.scandir(self.path) if item.name.endswith(SUFFIX)]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return []

    def _voice(self, path: Path) -> StoredVoice:
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = self._read[path] = (stamp, voice_from_data(read_voice_file(path), str(path)))
        return known[1]

    def _place(self, name: str) -> Path:
        key = _key(name)
        plain = re.sub(r"[^a-z0-9]+", "-", key)[:40].strip("-") or "voice"
        return self.path / f"{plain}-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:12]}{SUFFIX}"


def default_voices_path() -> Path:
    """Return where a user's voices are kept unless another place is given."""
    if sys.platform == "win32":
        return Path.home() / "AppData" / "Local" / "emotirt" / "voices"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "emotirt" / "voices"
    return Path.home() / ".local" / "share" / "emotirt" / "voices"


def is_voice_name(name: str) -> bool:
    """Return whether a voice may be called so."""
    return isinstance(name, str) and len(name.strip()) <= MAX_NAME_CHARACTERS and bool(_NAME.fullmatch(name.strip()))


def check_voice_name(name: str) -> None:
    """Refuse what cannot be a voice's name.

    Raises: InvalidRequest: says what can.
    """
    if not is_voice_name(name) or name != name.strip():
        raise InvalidRequest(
            f"{name!r:.100} cannot name a voice; use 1 to {MAX_NAME_CHARACTERS} letters, digits, spaces, and . _ ' -, "
            "beginning with a letter or digit"
        )


def origin_of(bundle: Bundle) -> Origin:
    """Return what identifies the encoder of a bundle that has one."""
    manifest = bundle.manifest
    encoder = manifest.stages[REFERENCE_ENCODER].sha256
    return Origin(manifest.name, bundle.digest, encoder, manifest.vectors.sha256)


def speaks(bundle: Bundle, voice: StoredVoice) -> bool:
    """Return whether the bundle's networks understand the voice's vectors."""
    if REFERENCE_ENCODER not in bundle.manifest.stages:
        return False
    own, theirs = origin_of(bundle), voice.origin
    same = own.encoder_sha256 == theirs.encoder_sha256 or own.presets_sha256 == theirs.presets_sha256
    return same and len(voice.speaker) == bundle.manifest.speaker_dim


def now_s() -> int:
    """Return the time for ``created_at``."""
    return int(datetime.now(timezone.utc).timestamp())


def data_from_voice(voice: StoredVoice) -> bytes:
    """Write a voice as the JSON of its file; what it says of the vectors is exact."""
    content = {
        "format": "emotirt voice",
        "format_version": FORMAT_VERSION,
        "name": voice.name,
        "language": voice.language,
        "description": voice.description,
        "consent": voice.consent,
        "created_at": voice.created_at,
        "origin": asdict(voice.origin),
        "recordings": [{"sha256": digest, "duration_s": round(length, 3)} for digest, length in voice.recordings],
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)[:-2]
    vectors = (("speaker", voice.speaker), ("emotion", voice.emotion if voice.emotion is not None else ()))
    for key, vector in vectors:
        text += f',\n "{key}": [{", ".join(_number(value) for value in vector)}]'
    return (text + "\n}\n").encode("utf-8", "replace")


def voice_from_data(data: bytes, place: str) -> StoredVoice:
    """Read the JSON of a voice's file.

    Raises: VoiceUnusable: it is none, or broken; names the place and the first fault.
    """
    try:
        parsed = _File.model_validate_json(data)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2])
        raise VoiceUnusable(
            f"{place} is not a voice: {where or 'JSON'}: {first['msg'].lower()}; import or make it again"
        ) from None
    if not is_voice_name(parsed.name):
        raise VoiceUnusable(f"{place} is not a voice: {parsed.name!r:.100} cannot name one; make it again")
    return StoredVoice(
        name=parsed.name.strip(),
        language=parsed.language,
        consent=parsed.consent,
        origin=Origin(**parsed.origin.model_dump()),
        speaker=_vector(parsed.speaker, place, "speaker"),
        emotion=_vector(parsed.emotion, place, "emotion") if parsed.emotion else None,
        recordings=tuple((clip.sha256, clip.duration_s) for clip in parsed.recordings),
        description=parsed.description,
        created_at=parsed.created_at,
    )


def read_voice_file(path: Path) -> bytes:
    """Read a voice's file.

    Raises: FileNotFoundError. VoiceUnusable: it cannot be read, or is far too large for one.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise VoiceUnusable(f"voice file {str(path)!r} cannot be read: {exc.strerror or exc}") from exc
    if len(data) > MAX_FILE_BYTES:
        raise VoiceUnusable(f"{path} is larger than {MAX_FILE_BYTES} bytes, so it is not a voice")
    return data


def _vector(values: Sequence[float], place: str, which: str) -> FloatArray:
    vector = np.array(values, dtype=np.float32)
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not abs(norm - 1.0) <= UNIT_NORM_TOLERANCE:
        raise VoiceUnusable(f"{place} is not a voice: its {which} vector has norm {norm:.4g}, not 1; make it again")
    vector.setflags(write=False)
    return vector


def _number(value: np.float32) -> str:
    return repr(float(str(value)))  # the shortest decimal that gives the same float32


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", str(name)).strip().casefold()


def _write(place: Path, data: bytes, replace: bool) -> None:
    temporary = place.with_name(f".{secrets.token_hex(6)}.part")
    try:
        with temporary.open("xb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        if replace:
            os.replace(temporary, place)
            return
        try:
            os.link(temporary, place)  # unlike a rename it fails where somebody else was faster
        except OSError as exc:
            if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            if place.exists():
                raise FileExistsError(place) from None
            os.replace(temporary, place)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
