"""Corpora on disk and the pack made of them: one file of samples and one line a clip.

A corpus folder holds ``manifest.tsv`` (path, seconds, language, speaker, emotion, text, licence; literal quotes) and,
for each path ``NAME/FILE``, either that file or ``NAME.tar`` with it inside. A pack holds ``clips.jsonl`` and
``audio.i16`` (int16, mono, one clip after another). The clip list is small and can travel alone: ``materialize``
rebuilds the samples from the corpus wherever that is.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotirt.errors import TrainingError
from emotirt.types import FloatArray

SAMPLE_RATE_HZ = 16_000
COLUMNS = ("path", "seconds", "language", "speaker", "emotion", "text", "licence")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a corpus manifest."""

    path: str
    language: str
    speaker: str
    emotion: str
    text: str

    @property
    def corpus(self) -> str:
        """Name of the corpus, the first part of the path."""
        return self.path.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of a pack.

    Attributes:
        key: path in the corpus.
        corpus: its corpus.
        speaker: speaker id.
        language: ``en``, ``zh`` or ``de``.
        emotion: emotion label.
        text: transcript, or a code.
        symbols: phoneme symbols from ``^`` to ``$``; None where there is no transcript.
        source_start_samples: first kept sample of the source file.
        gain: factor applied to the source.
        offset_samples: where it starts in the pack.
        sample_count: its length.
        split: ``train``, ``valid`` (unseen speakers) or ``test`` (unseen sentences).
        heard: the symbols are what the recognizer heard, not a transcript; never to be taken for the truth.
    """

    key: str
    corpus: str
    speaker: str
    language: str
    emotion: str
    text: str
    symbols: tuple[str, ...] | None
    source_start_samples: int
    gain: float
    offset_samples: int
    sample_count: int
    split: str
    heard: bool = False


@dataclass(frozen=True, slots=True)
class Pack:
    """Clips and their samples."""

    clips: tuple[Clip, ...]
    audio: NDArray[np.int16]

    def samples(self, clip: Clip) -> FloatArray:
        """Return a clip's samples, float32 in [-1, 1]."""
        piece = self.audio[clip.offset_samples : clip.offset_samples + clip.sample_count]
        return piece.astype(np.float32) / np.float32(32768.0)


def read_manifest(folder: Path) -> list[Row]:
    """Read ``manifest.tsv`` of a corpus folder.

    Raises: TrainingError: missing file or columns.
    """
    path = folder / "manifest.tsv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise TrainingError(f"cannot read the corpus manifest {path}: {exc.strerror}") from exc
    header = lines[0].split("\t") if lines else []
    missing = [name for name in COLUMNS[:6] if name not in header]
    if missing:
        raise TrainingError(f"{path} lacks the columns {missing}; its first line must name {list(COLUMNS)}")
    rows = []
    for line in lines[1:]:
        cells = dict(zip(header, line.split("\t"), strict=False))
        rows.append(Row(cells["path"], cells["language"], cells["speaker"], cells["emotion"], cells.get("text", "")))
    return rows


def text_fraction(text: str) -> float:
    """Map a sentence to a number in [0, 1) that depends only on its letters; splits are drawn by it."""
    letters = "".join(character for character in text.casefold() if character.isalnum())
    return int(hashlib.sha256(letters.encode()).hexdigest()[:8], 16) / 2**32


def iter_files(folder: Path, corpus: str, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (path, bytes) of the named files of a corpus, from its tar or its folder, in storage order."""
    wanted = set(names)
    archive = folder / f"{corpus}.tar"
    if not archive.exists():
        for name in sorted(wanted):
            yield name, (folder / name).read_bytes()
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            name = name if name in wanted else f"{corpus}/{name}"
            if name in wanted:
                stream = tar.extractfile(member)
                if stream is not None:
                    yield name, stream.read()


def decode(data: bytes) -> FloatArray:
    """Decode any libsndfile format to float32 mono at 16 kHz.

    Raises: TrainingError: another sample rate.
    """
    import soundfile

    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    if rate_hz != SAMPLE_RATE_HZ:
        raise TrainingError(f"clip has {rate_hz} Hz; corpora must be {SAMPLE_RATE_HZ} Hz, resample them first")
    return np.ascontiguousarray(samples.mean(axis=1))


def load_clips(folder: Path) -> tuple[Clip, ...]:
    """Read ``clips.jsonl`` of a pack."""
    try:
        lines = (folder / "clips.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise TrainingError(f"{folder} holds no clips.jsonl; make a pack with 'emotirt train pack'") from exc
    clips = []
    for line in lines:
        data = json.loads(line)
        data["symbols"] = None if data["symbols"] is None else tuple(data["symbols"])
        clips.append(Clip(**data))
    return tuple(clips)


def write_clips(folder: Path, clips: Iterable[Clip]) -> None:
    """Write ``clips.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "clips.jsonl").open("w", encoding="utf-8") as stream:
        for clip in clips:
            stream.write(json.dumps(asdict(clip), ensure_ascii=False) + "\n")


def with_offsets(clips: Iterable[Clip]) -> list[Clip]:
    """Lay clips end to end."""
    placed, offset = [], 0
    for clip in clips:
        placed.append(replace(clip, offset_samples=offset))
        offset += clip.sample_count
    return placed


def _cut(job: tuple[bytes, int, int, float]) -> NDArray[np.int16]:
    data, start, count, gain = job
    samples = decode(data)[start : start + count] * gain
    samples = np.pad(samples, (0, count - len(samples)))
    return np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)


def materialize(corpus_folder: Path, pack_folder: Path, workers: int = 1) -> None:
    """Write ``audio.i16`` of a pack from the corpora its clip list names."""
    clips = load_clips(pack_folder)
    total = max((clip.offset_samples + clip.sample_count for clip in clips), default=0)
    audio = np.memmap(pack_folder / "audio.i16", dtype=np.int16, mode="w+", shape=(total,))
    by_corpus: dict[str, dict[str, Clip]] = {}
    for clip in clips:
        by_corpus.setdefault(clip.corpus, {})[clip.key] = clip
    with ProcessPoolExecutor(workers) as pool:
        for corpus, wanted in by_corpus.items():
            keys, jobs = [], []
            for name, data in iter_files(corpus_folder, corpus, wanted):
                clip = wanted[name]
                keys.append(name)
                jobs.append((data, clip.source_start_samples, clip.sample_count, clip.gain))
            missing = sorted(set(wanted) - set(keys))
            if missing:
                raise TrainingError(f"corpus {corpus} lacks {len(missing)} clips of the pack, e.g. {missing[0]}")
            for name, samples in zip(keys, pool.map(_cut, jobs, chunksize=64), strict=True):
                clip = wanted[name]
                audio[clip.offset_samples : clip.offset_samples + clip.sample_count] = samples
    audio.flush()


def load_pack(folder: Path) -> Pack:
    """Open a pack; samples stay on disk until used.

    Raises: TrainingError: the sample file is missing or has another length than the clips say.
    """
    clips = load_clips(folder)
    path = folder / "audio.i16"
    total = max((clip.offset_samples + clip.sample_count for clip in clips), default=0)
    if not path.exists() or path.stat().st_size != 2 * total:
        found = path.stat().st_size // 2 if path.exists() else 0
        raise TrainingError(f"{path} holds {found} samples, its clips need {total}; run 'emotirt train pack' again")
    return Pack(clips, np.memmap(path, dtype=np.int16, mode="r"))
