"""Manifests and files of bundles with a prompt encoder, a content vector and a table of voices."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotirt.bundle.contract import PROMPT_ENCODER
from emotirt.bundle.manifest import check_manifest, json_from_manifest, manifest_from_json
from emotirt.bundle.store import VOICE_TABLE, Bundle, arrays_from_npz, file_entry, open_bundle, write_bundle
from emotirt.errors import BundleCorrupt, BundleError, ManifestInvalid


def without(stages: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in stages.items() if key != name}


def test_a_manifest_survives_json(emotivoice_bundle: Bundle) -> None:
    manifest = emotivoice_bundle.manifest
    assert manifest_from_json(json_from_manifest(manifest), "here") == manifest
    assert {entry.file for entry in manifest.files} >= {"tokenizer.json", "prompt_encoder.onnx"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: {"frontend": "espeak"}, "frontend: 'espeak' is unknown; known: emotirt, emotivoice"),
        (lambda m: {"content_dim": -1}, "content_dim: -1 must not be negative"),
        (lambda m: {"content_dim": 12}, "content_dim: 12 must be 0 or emotion_dim"),
        (lambda m: {"content_dim": 0}, "text_encoder.inputs"),
        (lambda m: {"prompt": None}, "prompt: goes with the stage 'prompt_encoder'; give both or neither"),
        (lambda m: {"stages": without(m.stages, PROMPT_ENCODER)}, "stages.prompt_encoder: is missing, and content_dim"),
        (lambda m: {"prompt": replace(m.prompt, max_tokens=2)}, "prompt.max_tokens: 2 must be at least 3"),
    ],
)
def test_what_does_not_fit_together_is_named(emotivoice_bundle: Bundle, change: Any, words: str) -> None:
    manifest = emotivoice_bundle.manifest
    with pytest.raises(ManifestInvalid, match=words):
        check_manifest(replace(manifest, **change(manifest)), "here")


def test_a_tokenizer_belongs_to_a_prompt_encoder(opened_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="bundle 'tiny' has no prompt encoder"):
        opened_bundle.tokenizer_bytes()


def test_a_changed_tokenizer_is_found(emotivoice_path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(emotivoice_path, tmp_path / "copy"))
    data = (copy / "tokenizer.json").read_bytes()
    (copy / "tokenizer.json").write_bytes(data[:-1] + b" ")
    with pytest.raises(BundleCorrupt, match=r"tokenizer\.json has SHA-256"):
        open_bundle(copy).tokenizer_bytes()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (lambda table: table[:-1], "'voices' has 9 rows for 10 voices"),
        (lambda table: table[:, :-1], r"voice/8051 is float32 \(31,\), expected float32 \(32,\)"),
        (lambda table: table * np.float32("nan"), "voice/8051 has norm nan, expected a finite one"),
    ],
)
def test_a_table_of_voices_fits_the_manifest(emotivoice_bundle: Bundle, tmp_path: Path, rows: Any, words: str) -> None:
    manifest, path = emotivoice_bundle.manifest, emotivoice_bundle.path
    arrays = arrays_from_npz((path / manifest.vectors.file).read_bytes())
    buffer = io.BytesIO()
    np.savez(buffer, **arrays | {VOICE_TABLE: rows(arrays[VOICE_TABLE])})
    files = {entry.file: (path / entry.file).read_bytes() for entry in manifest.files}
    files[manifest.vectors.file] = buffer.getvalue()
    changed = replace(manifest, vectors=file_entry(manifest.vectors.file, buffer.getvalue()))
    with pytest.raises(ManifestInvalid, match=words):
        write_bundle(tmp_path / "place", changed, files)
