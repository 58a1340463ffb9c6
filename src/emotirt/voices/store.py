"""Voices that users made: one JSON file each in a directory, written whole or not at all, vectors and no recordings.

Several processes may use one directory at once. A voice belongs to the encoder that made it; a bundle speaks it if it
has that encoder, or the very vectors of preset voices that came with it (another precision of the same networks).
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from emotirt.bundle.contract import REFERENCE_ENCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import InvalidRequest, OutputError, UnknownVoice, VoiceExists, VoiceUnusable
from emotirt.voices.voice_file import (
    Origin,
    StoredVoice,
    check_voice_name,
    data_from_voice,
    is_voice_name,
    voice_from_data,
)
from emotirt.whole_file import write_new, write_whole

SUFFIX = ".voice.json"
MAX_VOICES = 10_000
MAX_FILE_BYTES = 1024**2
NO_HOME = Path("/nonexistent")
"""What Debian calls the home of users that have none."""


class VoiceStore:
    """The voices of one directory; may be used from several threads and processes at once."""

    def __init__(self, path: Path | str | None = None) -> None:
        """Use ``path``, None for ``default_voices_path``; it is made when the first voice is added."""
        self.path = default_voices_path() if path is None else Path(path)
        self._read: dict[Path, tuple[tuple[int, int, int], StoredVoice]] = {}

    def voices(self) -> tuple[StoredVoice, ...]:
        """Return every voice that can be read, by name; broken files are left out."""
        found = []
        files = self._files()
        for path in files:
            with suppress(VoiceUnusable, FileNotFoundError):
                found.append(self._voice(path))
        self._forget_all_but(files)
        return tuple(sorted(found, key=lambda voice: voice.name.casefold()))

    def get(self, name: str) -> StoredVoice | None:
        """Return a voice, None where there is none of that name.

        Raises: VoiceUnusable: its file is broken.
        """
        if not is_voice_name(name):
            return None
        try:
            return self._voice(self._place(name))
        except (FileNotFoundError, NotADirectoryError):
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
            try:
                (write_whole if replace else write_new)(place, data_from_voice(voice))
            except FileExistsError:
                raise VoiceExists(
                    f"a voice named {voice.name!r} exists; remove it first or choose another name"
                ) from None
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
        stat = _stat(path)
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            known = self._read[path] = (stamp, voice_from_data(read_voice_file(path), str(path)))
        return known[1]

    def _forget_all_but(self, files: Sequence[Path]) -> None:
        """Let go of voices that somebody else removed."""
        for path in set(self._read).difference(files):
            self._read.pop(path, None)

    def _place(self, name: str) -> Path:
        key = _key(name)
        plain = re.sub(r"[^a-z0-9]+", "-", key)[:40].strip("-") or "voice"
        return self.path / f"{plain}-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:12]}{SUFFIX}"


def default_voices_path() -> Path:
    """Return where a user's voices are kept unless another place is given; nowhere for a user without a home."""
    try:
        home = Path.home()
    except RuntimeError:  # a container's made-up user; presets are spoken all the same
        home = NO_HOME
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "emotirt" / "voices"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "emotirt" / "voices"
    return home / ".local" / "share" / "emotirt" / "voices"


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


def _stat(path: Path) -> os.stat_result:
    """Return a file's; raises FileNotFoundError, NotADirectoryError, and VoiceUnusable for what forbids it."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as exc:
        raise VoiceUnusable(f"voice file {str(path)!r} cannot be read: {exc.strerror or exc}") from exc


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", str(name)).strip().casefold()
