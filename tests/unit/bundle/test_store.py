"""Bundles on disk: written whole or not at all, and every byte that is used was checked."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.assets.make_tiny_bundle import TINY_STAGES

from emotirt.bundle.manifest import Manifest, VoiceEntry
from emotirt.bundle.store import (
    MANIFEST_FILE,
    Bundle,
    arrays_from_npz,
    file_entry,
    open_bundle,
    stage_file_name,
    write_bundle,
)
from emotirt.errors import BundleCorrupt, BundleError, BundleNotFound, ManifestInvalid

Files = dict[str, bytes]


@pytest.fixture
def files(opened_bundle: Bundle) -> Files:
    return {entry.file: (opened_bundle.path / entry.file).read_bytes() for entry in opened_bundle.manifest.files}


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def with_vectors(manifest: Manifest, files: Files, arrays: dict[str, np.ndarray] | bytes) -> tuple[Manifest, Files]:
    """Put other vectors into a bundle, hash included."""
    if not isinstance(arrays, bytes):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        arrays = buffer.getvalue()
    name = manifest.vectors.file
    return replace(manifest, vectors=file_entry(name, arrays)), files | {name: arrays}


def test_written_bundle_is_the_same_again(opened_bundle: Bundle, files: Files, tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "deep" / "er" / "again", opened_bundle.manifest, files)
    assert written.digest == opened_bundle.digest
    assert written.manifest == opened_bundle.manifest
    assert {path.name for path in written.path.iterdir()} == {*files, MANIFEST_FILE}
    assert os.listdir(tmp_path / "deep" / "er") == ["again"]
    written.verify()


def test_what_a_bundle_tells(opened_bundle: Bundle, files: Files) -> None:
    assert opened_bundle.size_bytes == sum(map(len, files.values()))
    assert opened_bundle.digest == hashlib.sha256((opened_bundle.path / MANIFEST_FILE).read_bytes()).hexdigest()
    assert list(opened_bundle.voices) == ["ada", "bo", "chen"]
    assert list(opened_bundle.emotions) == ["neutral", "happy", "sad"]
    for stage in TINY_STAGES:
        assert opened_bundle.stage_bytes(stage) == files[stage_file_name(stage)]
        assert opened_bundle.stage_path(stage).name == stage_file_name(stage)
    with pytest.raises(BundleError, match=r"'vocodr'.*vocoder"):
        opened_bundle.stage_bytes("vocodr")
    with pytest.raises(BundleError, match=r"'vocodr'.*vocoder"):
        stage_file_name("vocodr")


def test_vectors_are_unit_and_cannot_be_changed(opened_bundle: Bundle) -> None:
    vectors = opened_bundle.vectors()
    assert set(vectors.voices) == {"ada", "bo", "chen"}
    assert set(vectors.emotions) == {"neutral", "happy", "sad"}
    for vector in (*vectors.voices.values(), *vectors.emotions.values()):
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
        with pytest.raises(ValueError, match="read-only"):
            vector[0] = 0.0


def test_nothing_there_is_named(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(BundleNotFound, match="nowhere"):
        open_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleNotFound, match=r"holds no manifest\.json"):
        open_bundle(tmp_path)
    with pytest.raises(BundleNotFound, match="no bundle directory"):
        open_bundle(copy / MANIFEST_FILE)
    for name in ("vectors.npz", "decoder.onnx"):
        (copy / name).rename(copy / "away")
        with pytest.raises(BundleNotFound, match=f"{name} is missing"):
            open_bundle(copy)
        (copy / "away").rename(copy / name)


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_a_truncated_graph_is_found_when_opening(copy: Path, stage: str) -> None:
    path = copy / stage_file_name(stage)
    data = path.read_bytes()
    expected = hashlib.sha256(data).hexdigest()
    path.write_bytes(data[:-1])
    with pytest.raises(BundleCorrupt) as caught:
        open_bundle(copy)
    message = str(caught.value)
    assert path.name in message
    assert expected in message
    assert hashlib.sha256(data[:-1]).hexdigest() in message
    assert f"{len(data) - 1} bytes" in message


def test_an_altered_file_is_found_when_read(copy: Path) -> None:
    for name in ("vocoder.onnx", "vectors.npz"):
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
    bundle = open_bundle(copy)
    for use in (lambda: bundle.stage_bytes("vocoder"), lambda: bundle.stage_path("vocoder"), bundle.verify):
        with pytest.raises(BundleCorrupt, match=r"vocoder\.onnx has SHA-256"):
            use()
    with pytest.raises(BundleCorrupt, match=r"vectors\.npz has SHA-256"):
        bundle.vectors()
    bundle.stage_bytes("decoder")


def test_unreadable_manifest_is_named(copy: Path) -> None:
    (copy / MANIFEST_FILE).write_bytes(b"\x00" * 50)
    with pytest.raises(ManifestInvalid, match=r"manifest\.json"):
        open_bundle(copy)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where a bundle should go; whatever happens, nothing else may be left beside it."""
    parent = tmp_path / "parent"
    parent.mkdir()
    yield parent / "place"
    assert set(os.listdir(parent)) <= {"place"}


def test_an_existing_bundle_is_replaced(opened_bundle: Bundle, files: Files, place: Path) -> None:
    write_bundle(place, opened_bundle.manifest, files)
    (place / "stray").write_text("from an older format")
    renamed = replace(opened_bundle.manifest, name="second")
    assert write_bundle(place, renamed, files).manifest.name == "second"
    assert not (place / "stray").exists()


@pytest.mark.parametrize("kind", ["directory", "file", "parent is a file"])
def test_what_is_no_bundle_is_not_overwritten(opened_bundle: Bundle, files: Files, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "precious"
    if kind == "directory":
        target.mkdir()
        (target / "letter").write_text("dear")
    else:
        target.write_text("dear")
    place = target / "bundle" if kind == "parent is a file" else target
    with pytest.raises(BundleError, match="precious"):
        write_bundle(place, opened_bundle.manifest, files)
    kept = target / "letter" if kind == "directory" else target
    assert kept.read_text() == "dear"
    assert os.listdir(tmp_path) == ["precious"]


def test_an_empty_directory_is_a_fine_place(opened_bundle: Bundle, files: Files, place: Path) -> None:
    place.mkdir()
    assert write_bundle(place, opened_bundle.manifest, files).digest == opened_bundle.digest


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", ["write_bytes", "rename"])
def test_a_failed_write_leaves_the_old_bundle(
    opened_bundle: Bundle,
    files: Files,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    error: BaseException,
) -> None:
    before = write_bundle(place, opened_bundle.manifest, files).digest
    real = getattr(Path, failing)

    def fault(path: Path, *arguments: object) -> object:
        if path.name in ("vocoder.onnx", "new"):
            raise error
        return real(path, *arguments)

    monkeypatch.setattr(Path, failing, fault)
    with pytest.raises((BundleError, KeyboardInterrupt)):
        write_bundle(place, replace(opened_bundle.manifest, name="second"), files)
    monkeypatch.undo()
    found = open_bundle(place)
    found.verify()
    assert found.digest == before


def test_files_and_manifest_must_agree(opened_bundle: Bundle, files: Files, place: Path) -> None:
    with pytest.raises(ManifestInvalid, match="extra"):
        write_bundle(place, opened_bundle.manifest, files | {"extra": b"x"})
    for other in (files["decoder.onnx"][:-1], files["decoder.onnx"][:-1] + b"x"):
        with pytest.raises(ManifestInvalid, match=r"decoder\.onnx has another hash or length"):
            write_bundle(place, opened_bundle.manifest, files | {"decoder.onnx": other})
    del files["decoder.onnx"]
    with pytest.raises(ManifestInvalid, match=r"decoder\.onnx"):
        write_bundle(place, opened_bundle.manifest, files)
    assert not place.exists()


def test_bad_vectors_are_refused_before_anything_is_written(opened_bundle: Bundle, files: Files, place: Path) -> None:
    manifest, good = opened_bundle.manifest, arrays_from_npz(files["vectors.npz"])
    ada = good["voice/ada"]
    cases: dict[str, dict[str, np.ndarray]] = {
        "voice/ada is missing": {key: value for key, value in good.items() if key != "voice/ada"},
        "voice/ada has norm 2.0000": good | {"voice/ada": 2 * ada},
        "voice/ada has norm nan": good | {"voice/ada": ada * np.float32("nan")},
        "voice/ada is float64": good | {"voice/ada": ada.astype(np.float64)},
        r"voice/ada is float32 \(255,\)": good | {"voice/ada": ada[1:]},
        "emotion/sad is missing": {key: value for key, value in good.items() if key != "emotion/sad"},
    }
    for words, arrays in cases.items():
        with pytest.raises(ManifestInvalid, match=words):
            write_bundle(place, *with_vectors(manifest, files, arrays))
    unvoiced = replace(manifest, voices=(*manifest.voices, VoiceEntry("eve", "en")))
    with pytest.raises(ManifestInvalid, match="voice/eve is missing"):
        write_bundle(place, unvoiced, files)
    single = io.BytesIO()
    np.save(single, ada)
    for data in (b"no archive", files["vectors.npz"][:500], single.getvalue()):
        with pytest.raises(BundleCorrupt, match=r"vectors\.npz: not a readable npz archive"):
            write_bundle(place, *with_vectors(manifest, files, data))
    assert not place.exists()


def test_other_members_of_an_archive_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("voice/ada", b"no array")
    with pytest.raises(ValueError, match="something else than arrays"):
        arrays_from_npz(buffer.getvalue())


def test_pickles_are_never_loaded() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, harmless=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="npz"):
        arrays_from_npz(buffer.getvalue())
