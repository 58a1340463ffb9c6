"""A user's voice as a value and as JSON: its name, what its file holds, its vectors exact to the last bit."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emotirt.bundle.manifest import VoiceEntry
from emotirt.bundle.store import UNIT_NORM_TOLERANCE
from emotirt.errors import InvalidRequest, VoiceUnusable
from emotirt.types import FloatArray

FORMAT_VERSION = 1
MAX_NAME_CHARACTERS = 64
UNDETERMINED = "und"
"""The code of ISO 639-2 for a language that nobody named."""
_MARKS = frozenset(" ._'’-")
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


@dataclass(frozen=True, slots=True, eq=False)
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


def is_voice_name(name: str) -> bool:
    """Return whether a voice may be called so."""
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_NAME_CHARACTERS:
        return False
    characters = unicodedata.normalize("NFC", name.strip())
    return characters[0].isalnum() and all(
        item.isalnum() or item in _MARKS or unicodedata.category(item).startswith("M") for item in characters
    )


def check_voice_name(name: str) -> None:
    """Refuse what cannot be a voice's name.

    Raises: InvalidRequest: says what can.
    """
    if not is_voice_name(name) or name != name.strip():
        raise InvalidRequest(
            f"{name!r:.100} cannot name a voice; use 1 to {MAX_NAME_CHARACTERS} letters, digits, spaces, and . _ ' -, "
            "beginning with a letter or digit"
        )


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


def _vector(values: Sequence[float], place: str, which: str) -> FloatArray:
    vector = np.array(values, dtype=np.float32)
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not abs(norm - 1.0) <= UNIT_NORM_TOLERANCE:
        raise VoiceUnusable(f"{place} is not a voice: its {which} vector has norm {norm:.4g}, not 1; make it again")
    vector.setflags(write=False)
    return vector


def _number(value: np.float32) -> str:
    return repr(float(str(value)))  # the shortest decimal that gives the same float32
