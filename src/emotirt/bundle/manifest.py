"""The manifest of a bundle: a strict schema, converted to and from JSON.

Unknown keys, wrong types and broken references are errors that name the key. Nothing here touches the disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from emotirt.bundle.contract import PROMPT_ENCODER, SPEAKING_STAGES, STAGES, Dimensions, stage_contract
from emotirt.bundle.manifest_checks import name_problems, profile_problems, repeated
from emotirt.bundle.manifest_errors import explained
from emotirt.errors import ManifestInvalid

FORMAT_VERSION = 1
NEUTRAL = "neutral"
EMOTIRT_FRONTEND = "emotirt"
EMOTIVOICE_FRONTEND = "emotivoice"
FRONTENDS = (EMOTIRT_FRONTEND, EMOTIVOICE_FRONTEND)
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, config=_STRICT)
class TensorEntry:
    """Name, type and shape of a tensor; a string in the shape names a dynamic axis."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True, config=_STRICT)
class FileEntry:
    """A file of the bundle.

    Attributes:
        file: name inside the bundle's directory.
        sha256: lower-case hexadecimal digest.
        bytes: size.
    """

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, config=_STRICT)
class StageEntry:
    """One exported graph."""

    file: str
    sha256: str
    bytes: int
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]


@dataclass(frozen=True, slots=True, config=_STRICT)
class MelEntry:
    """Log-mel analysis that the acoustic model was trained on."""

    n_mels: int
    n_fft: int
    win_samples: int
    fmin_hz: float
    fmax_hz: float
    log_floor: float


@dataclass(frozen=True, slots=True, config=_STRICT)
class VoiceEntry:
    """A voice offered by name.

    Attributes:
        name: unique.
        language: ``en``, ``zh`` or another of the manifest's languages: the speaker's own.
        sex: ``female``, ``male`` or ``unknown``.
        description: how it sounds, one line.
        attribution: whose recordings it was made from.
        licence: of those recordings.
    """

    name: str
    language: str
    sex: str = "unknown"
    description: str = ""
    attribution: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, config=_STRICT)
class ProsodyEntry:
    """What an emotion at intensity 1 adds to the request's prosody; units of ``types.Prosody``."""

    speed: float = 1.0
    pitch_shift_semitones: float = 0.0
    pitch_range: float = 1.0
    energy_db: float = 0.0


@dataclass(frozen=True, slots=True, config=_STRICT)
class EmotionEntry:
    """An emotion offered by name.

    Attributes:
        name: unique.
        aliases: further names, also Chinese ones.
        learned: whether its vector was learned from acted speech; otherwise only ``prosody`` expresses it.
        description: one line.
        prosody: added at intensity 1.
    """

    name: str
    aliases: tuple[str, ...] = ()
    learned: bool = False
    description: str = ""
    prosody: ProsodyEntry = field(default_factory=ProsodyEntry)


@dataclass(frozen=True, slots=True, config=_STRICT)
class PromptEntry:
    """What the prompt encoder needs besides its graph.

    Attributes:
        tokenizer: file of the ``tokenizers`` library.
        max_tokens: longest text in word pieces.
    """

    tokenizer: FileEntry
    max_tokens: int


@dataclass(frozen=True, slots=True, config=_STRICT)
class CreatedBy:
    """What wrote the bundle."""

    version: str
    commit: str


@dataclass(frozen=True, slots=True, config=_STRICT)
class Manifest:
    """Everything that serving knows about a bundle.

    Attributes:
        format_version: of this schema.
        name: of the bundle.
        sample_rate_hz: of its audio.
        hop_samples: samples a frame.
        mel: analysis of the recordings.
        symbols: phoneme symbols in id order, the pad first.
        languages: codes of the languages it speaks.
        speaker_dim: length of a speaker vector.
        emotion_dim: length of an emotion vector.
        hidden_dim: channels between text encoder and decoder.
        vocoder_context_frames: mel frames on each side that influence a frame of audio.
        model: configuration of the networks, for people and for rebuilding them.
        stages: stage name to graph file.
        vectors: npz file with ``voice/<name>`` and ``emotion/<name>``.
        voices: offered by name.
        emotions: offered by name, ``neutral`` among them.
        default_voice: language code to voice name.
        licence: of the weights.
        attribution: who must be named.
        created_by: what wrote it.
        content_dim: length of the vector of what a sentence says, 0 where the text encoder takes none.
        frontend: which front end writes its symbols, one of ``FRONTENDS``.
        unit_vectors: whether voice and emotion vectors have unit length.
        random_weights: whether it was never trained: for benchmarks only, its speech is noise.
        prompt: what the prompt encoder needs; None where there is none.
        profiles: stage to shapes that its plans are built for, each the smallest, best and largest size by dynamic
            axis; stages that are not here have those of ``bundle.profiles``.
    """

    format_version: int
    name: str
    sample_rate_hz: int
    hop_samples: int
    mel: MelEntry
    symbols: tuple[str, ...]
    languages: tuple[str, ...]
    speaker_dim: int
    emotion_dim: int
    hidden_dim: int
    vocoder_context_frames: int
    model: dict[str, Any]
    stages: dict[str, StageEntry]
    vectors: FileEntry
    voices: tuple[VoiceEntry, ...]
    emotions: tuple[EmotionEntry, ...]
    default_voice: dict[str, str]
    licence: str
    attribution: tuple[str, ...]
    created_by: CreatedBy
    content_dim: int = 0
    frontend: str = EMOTIRT_FRONTEND
    unit_vectors: bool = True
    random_weights: bool = False
    prompt: PromptEntry | None = None
    profiles: dict[str, tuple[dict[str, tuple[int, int, int]], ...]] = field(default_factory=dict)

    @property
    def dimensions(self) -> Dimensions:
        """Fixed sizes of the graph contract."""
        return Dimensions(self.mel.n_mels, self.hidden_dim, self.speaker_dim, self.emotion_dim, self.content_dim)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every file of the bundle but the manifest itself."""
        stages = tuple(FileEntry(entry.file, entry.sha256, entry.bytes) for entry in self.stages.values())
        return (*stages, self.vectors, *(() if self.prompt is None else (self.prompt.tokenizer,)))


@dataclass(frozen=True, slots=True)
class _Header:
    """What tells a manifest of another version, whatever else that one holds."""

    format_version: int


_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)
_HEADER_ADAPTER: TypeAdapter[_Header] = TypeAdapter(_Header)
_SECTIONS: dict[str | int, type] = {
    "created_by": CreatedBy,
    "emotions": EmotionEntry,
    "inputs": TensorEntry,
    "mel": MelEntry,
    "outputs": TensorEntry,
    "prompt": PromptEntry,
    "prosody": ProsodyEntry,
    "stages": StageEntry,
    "tokenizer": FileEntry,
    "vectors": FileEntry,
    "voices": VoiceEntry,
}
"""Which schema holds below a key."""


def manifest_from_json(text: str | bytes, source: str) -> Manifest:
    """Parse and check a manifest.

    Args:
        text: JSON.
        source: where it came from, named in errors.

    Raises: ManifestInvalid: names the first broken key, its value and what is expected.
    """
    try:
        manifest = _ADAPTER.validate_json(text)
    except ValidationError as exc:
        raise ManifestInvalid(f"{source}: {_foreign_version(text) or first_problem(exc)}") from exc
    check_manifest(manifest, source)
    return manifest


def json_from_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as indented UTF-8 JSON ending in a newline."""
    return _ADAPTER.dump_json(manifest, indent=1, ensure_ascii=False) + b"\n"


def check_manifest(manifest: Manifest, source: str) -> None:
    """Check what types alone cannot: versions, references, names, shapes.

    Raises: ManifestInvalid: names the key.
    """
    for key, problem in _problems(manifest):
        raise ManifestInvalid(f"{source}: {key}: {problem}")


def _problems(manifest: Manifest) -> Iterable[tuple[str, str]]:
    if manifest.format_version != FORMAT_VERSION:
        yield "format_version", _version_problem(manifest.format_version)
    for key in ("sample_rate_hz", "hop_samples", "speaker_dim", "emotion_dim", "hidden_dim"):
        if getattr(manifest, key) < 1:
            yield key, f"{getattr(manifest, key)} must be at least 1"
    if manifest.mel.n_mels < 1:
        yield "mel.n_mels", f"{manifest.mel.n_mels} must be at least 1"
    if manifest.vocoder_context_frames < 0:
        yield "vocoder_context_frames", f"{manifest.vocoder_context_frames} must not be negative"
    yield from repeated("symbols", manifest.symbols)
    yield from _voice_problems(manifest)
    yield from _emotion_problems(manifest)
    yield from _prompt_problems(manifest)
    yield from _stage_problems(manifest)
    yield from profile_problems(manifest.profiles, manifest.stages, manifest.dimensions)
    for entry in manifest.files:
        yield from _file_problems(entry)
    yield from repeated("stages, vectors and tokenizer: file", [entry.file for entry in manifest.files])


def _voice_problems(manifest: Manifest) -> Iterable[tuple[str, str]]:
    names = [voice.name for voice in manifest.voices]
    yield from name_problems("voices", names)
    if not names:
        yield "voices", "is empty; a bundle offers at least one voice"
    for language in manifest.languages:
        if language not in manifest.default_voice:
            yield f"default_voice.{language}", "is missing"
    for language, name in manifest.default_voice.items():
        if name not in names:
            yield f"default_voice.{language}", f"{name!r} is none of the voices {names}"


def _emotion_problems(manifest: Manifest) -> Iterable[tuple[str, str]]:
    names = [name for emotion in manifest.emotions for name in (emotion.name, *emotion.aliases)]
    yield from name_problems("emotions", names)
    if NEUTRAL not in [emotion.name for emotion in manifest.emotions]:
        yield "emotions", f"lack {NEUTRAL!r}, which intensities start from"
    for emotion in manifest.emotions:
        if emotion.name == NEUTRAL and emotion.prosody != ProsodyEntry():
            yield f"emotions.{NEUTRAL}.prosody", "must stay at its defaults, because intensities start from there"
        if emotion.prosody.speed <= 0 or emotion.prosody.pitch_range < 0:
            yield f"emotions.{emotion.name}.prosody", "speed must be positive and pitch_range not negative"


def _stage_problems(manifest: Manifest) -> Iterable[tuple[str, str]]:
    for stage in SPEAKING_STAGES:
        if stage not in manifest.stages:
            yield f"stages.{stage}", "is missing"
    for stage, entry in manifest.stages.items():
        if stage not in STAGES:
            yield f"stages.{stage}", f"is unknown; stages are {', '.join(STAGES)}"
            continue
        contract = stage_contract(stage, manifest.dimensions)
        for side, entries, specs in (
            ("inputs", entry.inputs, contract.inputs),
            ("outputs", entry.outputs, contract.outputs),
        ):
            found = [(item.name, item.dtype, item.shape) for item in entries]
            expected = [(spec.name, spec.dtype, spec.shape) for spec in specs]
            if found != expected:
                yield f"stages.{stage}.{side}", f"{found} differs from the graph contract {expected}"


def _prompt_problems(manifest: Manifest) -> Iterable[tuple[str, str]]:
    has_stage = PROMPT_ENCODER in manifest.stages
    if manifest.frontend not in FRONTENDS:
        yield "frontend", f"{manifest.frontend!r} is unknown; known: {', '.join(FRONTENDS)}"
    if manifest.content_dim < 0:
        yield "content_dim", f"{manifest.content_dim} must not be negative"
    if manifest.content_dim and not has_stage:
        yield f"stages.{PROMPT_ENCODER}", "is missing, and content_dim says that it is needed"
    if manifest.content_dim not in (0, manifest.emotion_dim):
        yield "content_dim", f"{manifest.content_dim} must be 0 or emotion_dim, for the same stage gives both"
    if has_stage != (manifest.prompt is not None):
        yield "prompt", f"goes with the stage {PROMPT_ENCODER!r}; give both or neither"
    if manifest.prompt is not None and manifest.prompt.max_tokens < 3:
        yield "prompt.max_tokens", f"{manifest.prompt.max_tokens} must be at least 3"


def _file_problems(entry: FileEntry) -> Iterable[tuple[str, str]]:
    if not _FILE_NAME.fullmatch(entry.file):
        yield "file", f"{entry.file!r} is not a plain file name"
    if not _SHA256.fullmatch(entry.sha256):
        yield f"{entry.file}: sha256", f"{entry.sha256!r} is not 64 lower-case hexadecimal digits"
    if entry.bytes < 1:
        yield f"{entry.file}: bytes", f"{entry.bytes} must be at least 1"


def _foreign_version(text: str | bytes) -> str | None:
    """Name a version that is not ours: it explains every other problem."""
    try:
        version = _HEADER_ADAPTER.validate_json(text).format_version
    except ValidationError:
        return None
    return None if version == FORMAT_VERSION else f"format_version: {_version_problem(version)}"


def _version_problem(version: int) -> str:
    return f"{version} is not {FORMAT_VERSION}, the one readable here; rebuild the bundle"


def first_problem(error: ValidationError, root: type = Manifest) -> str:
    """Say in one line what is wrong first, for an unknown key also the nearest one.

    Args:
        error: from pydantic.
        root: dataclass that was expected; below it, the keys of a manifest.
    """
    return explained(error, root, _SECTIONS)
