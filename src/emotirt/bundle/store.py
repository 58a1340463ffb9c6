"""Read and write bundle directories; every byte that serving uses is checked against the manifest's hash."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotirt.bundle.contract import STAGES
from emotirt.bundle.manifest import (
    EmotionEntry,
    FileEntry,
    Manifest,
    VoiceEntry,
    check_manifest,
    json_from_manifest,
    manifest_from_json,
)
from emotirt.errors import BundleCorrupt, BundleError, BundleNotFound, ManifestInvalid
from emotirt.types import FloatArray

MANIFEST_FILE = "manifest.json"
VOICE_TABLE = "voices"
"""Array with one row a voice, in the manifest's order, in place of ``voice/<name>``: quicker to read for thousands."""
UNIT_NORM_TOLERANCE = 1e-3
"""float32 vectors renormalized in float32 stay within 1e-6 of unit length; anything past this was never normalized."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of the named voices and emotions, float32 [speaker_dim] and [emotion_dim].

    They have unit length if the manifest says so.
    """

    voices: Mapping[str, FloatArray]
    emotions: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle; its files are read on demand.

    Attributes:
        path: its directory.
        manifest: parsed and checked.
        digest: SHA-256 of the manifest, which names the hash of every other file: identifies the whole bundle.
    """

    path: Path
    manifest: Manifest
    digest: str

    @property
    def symbols(self) -> tuple[str, ...]:
        """Phoneme symbols in id order."""
        return self.manifest.symbols

    @property
    def voices(self) -> dict[str, VoiceEntry]:
        """Voices by name, in the manifest's order."""
        return {voice.name: voice for voice in self.manifest.voices}

    @property
    def emotions(self) -> dict[str, EmotionEntry]:
        """Emotions by name, in the manifest's order."""
        return {emotion.name: emotion for emotion in self.manifest.emotions}

    @property
    def size_bytes(self) -> int:
        """Size of every file but the manifest."""
        return sum(entry.bytes for entry in self.manifest.files)

    def stage_bytes(self, stage: str) -> bytes:
        """Read a stage's graph and verify its hash.

        Raises: BundleError: no such stage in this bundle. BundleNotFound: file missing. BundleCorrupt: hash differs.
        """
        return self._read(self._stage_file(stage))

    def stage_path(self, stage: str) -> Path:
        """Return the path of a stage's graph after verifying its hash; errors of ``stage_bytes``."""
        entry = self._stage_file(stage)
        self._read(entry)
        return self.path / entry.file

    def vectors(self) -> Vectors:
        """Read the vectors of voices and emotions.

        Raises: BundleCorrupt: hash differs or unreadable. ManifestInvalid: a vector is missing or misshapen.
        """
        entry = self.manifest.vectors
        return _vectors_from_npz(self._read(entry), self.manifest, str(self.path / entry.file))

    def tokenizer_bytes(self) -> bytes:
        """Read the tokenizer of the prompt encoder; errors of ``stage_bytes``."""
        if self.manifest.prompt is None:
            raise BundleError(f"bundle {self.manifest.name!r} has no prompt encoder")
        return self._read(self.manifest.prompt.tokenizer)

    def verify(self) -> None:
        """Verify the hash of every file.

        Raises: BundleNotFound, BundleCorrupt: names the first bad file.
        """
        for entry in self.manifest.files:
            self._read(entry)

    def _stage_file(self, stage: str) -> FileEntry:
        entry = self.manifest.stages.get(stage)
        if entry is None:
            raise BundleError(
                f"bundle {self.manifest.name!r} has no stage {stage!r}; it has {', '.join(self.manifest.stages)}"
            )
        return FileEntry(entry.file, entry.sha256, entry.bytes)

    def _read(self, entry: FileEntry) -> bytes:
        data = _read_bytes(self.path / entry.file)
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise BundleCorrupt(
                f"{self.path / entry.file} has SHA-256 {found} and {len(data)} bytes, the manifest says {entry.sha256} "
                f"and {entry.bytes} bytes; copy or rebuild the bundle"
            )
        return data


def default_bundle_path() -> Path:
    """Return where the bundle inside the package lies; it may be missing in a development checkout."""
    return Path(__file__).resolve().parents[1] / "data" / "default"


def open_bundle(path: Path | str) -> Bundle:
    """Open a bundle: parse its manifest and check that every file is there in full length.

    Hashes are verified when a file is read; ``Bundle.verify`` reads them all.

    Raises:
        BundleNotFound: no directory, no manifest or a file missing.
        ManifestInvalid: the manifest breaks its schema.
        BundleCorrupt: a file has another length than the manifest says.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise BundleNotFound(f"no bundle directory at {directory}; give the path of one that 'emotirt build' wrote")
    if not (directory / MANIFEST_FILE).is_file():
        raise BundleNotFound(f"{directory} holds no {MANIFEST_FILE}, so it is not a bundle")
    text = _read_bytes(directory / MANIFEST_FILE)
    bundle = Bundle(
        directory, manifest_from_json(text, str(directory / MANIFEST_FILE)), hashlib.sha256(text).hexdigest()
    )
    for entry in bundle.manifest.files:
        if _size_bytes(directory / entry.file) != entry.bytes:
            bundle._read(entry)
    return bundle


def write_bundle(directory: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle whole or not at all; an existing one at the place is replaced.

    Args:
        directory: where; its parent is created.
        manifest: names exactly the given files, with their hashes.
        files: file name to content.

    Returns: the bundle, opened again and verified.

    Raises:
        ManifestInvalid: the manifest is broken, describes other files, or offers what the vectors lack.
        BundleError: the place cannot be written.
    """
    check_manifest(manifest, MANIFEST_FILE)
    named = {entry.file for entry in manifest.files}
    if named != set(files):
        raise ManifestInvalid(f"manifest names {sorted(named)} but the files are {sorted(files)}")
    for entry in manifest.files:
        if file_entry(entry.file, files[entry.file]) != entry:
            raise ManifestInvalid(f"{entry.file} has another hash or length than the manifest says")
    _vectors_from_npz(files[manifest.vectors.file], manifest, manifest.vectors.file)
    try:
        if directory.exists() and not (directory / MANIFEST_FILE).is_file() and any(directory.iterdir()):
            raise BundleError(f"{directory} exists and is no bundle; it is not overwritten, choose another place")
        directory.parent.mkdir(parents=True, exist_ok=True)
        _replace_directory(directory, {**files, MANIFEST_FILE: json_from_manifest(manifest)})
    except OSError as exc:
        raise BundleError(f"bundle cannot be written to {directory}: {exc.strerror or exc}") from exc
    bundle = open_bundle(directory)
    bundle.verify()
    return bundle


def file_entry(name: str, data: bytes) -> FileEntry:
    """Describe a file for the manifest."""
    return FileEntry(name, hashlib.sha256(data).hexdigest(), len(data))


def arrays_from_npz(data: bytes) -> dict[str, FloatArray]:
    """Read every array of an npz archive.

    Raises: ValueError: not an archive, damaged, or holding anything but plain arrays.
    """
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError("no zip archive")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds something else than arrays")
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise ValueError(f"not a readable npz archive ({exc})") from exc
    return arrays


def stage_file_name(stage: str) -> str:
    """Return the file name of a stage's graph, one of ``STAGES``."""
    if stage not in STAGES:
        raise BundleError(f"unknown stage {stage!r}; stages are {', '.join(STAGES)}")
    return f"{stage}.onnx"


def _vectors_from_npz(data: bytes, manifest: Manifest, place: str) -> Vectors:
    try:
        arrays = arrays_from_npz(data)
    except ValueError as exc:
        raise BundleCorrupt(f"{place}: {exc}; rebuild the bundle") from exc
    names = [item.name for item in manifest.voices]
    if VOICE_TABLE in arrays:
        arrays |= _rows(arrays[VOICE_TABLE], names, place)
    unit = manifest.unit_vectors
    return Vectors(
        {name: _vector(arrays, f"voice/{name}", manifest.speaker_dim, place, unit) for name in names},
        {
            item.name: _vector(arrays, f"emotion/{item.name}", manifest.emotion_dim, place, unit)
            for item in manifest.emotions
        },
    )


def _rows(table: FloatArray, names: Sequence[str], place: str) -> dict[str, FloatArray]:
    if len(table) != len(names):
        raise ManifestInvalid(f"{place}: {VOICE_TABLE!r} has {len(table)} rows for {len(names)} voices")
    return {f"voice/{name}": row for name, row in zip(names, table, strict=True)}


def _vector(arrays: Mapping[str, FloatArray], key: str, length: int, place: str, unit: bool) -> FloatArray:
    vector = arrays.get(key)
    if vector is None:
        raise ManifestInvalid(f"{place}: {key} is missing though the manifest offers it; rebuild the bundle")
    if vector.dtype != np.float32 or vector.shape != (length,):
        raise ManifestInvalid(f"{place}: {key} is {vector.dtype} {vector.shape}, expected float32 ({length},)")
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or (unit and abs(norm - 1.0) > UNIT_NORM_TOLERANCE):
        raise ManifestInvalid(f"{place}: {key} has norm {norm:.4f}, expected {'1' if unit else 'a finite one'}")
    vector.setflags(write=False)
    return vector


def _replace_directory(directory: Path, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as scratch:
        fresh, old = Path(scratch) / "new", Path(scratch) / "old"
        fresh.mkdir()
        for name, data in files.items():
            (fresh / name).write_bytes(data)
        try:
            if directory.exists():
                directory.rename(old)
            fresh.rename(directory)
        except BaseException:  # also an interruption: the scratch directory goes, so the old bundle must not be in it
            if old.exists() and not directory.exists():
                old.rename(directory)
            raise


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as exc:
        raise BundleNotFound(f"{path} is missing though the manifest names it; copy or rebuild the bundle") from exc
    except OSError as exc:
        raise BundleError(f"{path} cannot be read: {exc.strerror or exc}") from exc


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise BundleNotFound(f"{path} is missing though the manifest names it; copy or rebuild the bundle") from exc
    except OSError as exc:
        raise BundleError(f"{path} cannot be read: {exc.strerror or exc}") from exc
