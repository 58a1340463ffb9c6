"""The manifest's schema: what is read is what was written, and whatever is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from emotirt.bundle.manifest import (
    EmotionEntry,
    FileEntry,
    Manifest,
    ProsodyEntry,
    VoiceEntry,
    check_manifest,
    json_from_manifest,
    manifest_from_json,
)
from emotirt.bundle.store import Bundle
from emotirt.errors import ManifestInvalid


@pytest.fixture
def manifest(opened_bundle: Bundle) -> Manifest:
    return opened_bundle.manifest


def problem(manifest: Manifest, change: Callable[[dict[str, Any]], object]) -> str:
    """What is said of the manifest's JSON once ``change`` has been at it."""
    data = json.loads(json_from_manifest(manifest))
    change(data)
    with pytest.raises(ManifestInvalid) as caught:
        manifest_from_json(json.dumps(data), "somewhere/manifest.json")
    message = str(caught.value)
    assert message.startswith("somewhere/manifest.json: ")
    assert "\n" not in message
    return message


def test_round_trip(manifest: Manifest) -> None:
    text = json_from_manifest(manifest)
    assert manifest_from_json(text, "x") == manifest
    assert json_from_manifest(manifest_from_json(text, "x")) == text
    assert "高兴".encode() in text


def test_dimensions_and_files(manifest: Manifest) -> None:
    assert manifest.dimensions.n_mels == 80
    names = [entry.file for entry in manifest.files]
    assert names == [
        "reference_encoder.onnx", "text_encoder.onnx", "decoder.onnx", "vocoder.onnx", "vectors.npz",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe", '{"name": "x"}'])
def test_what_is_no_manifest_is_refused(text: str | bytes) -> None:
    with pytest.raises(ManifestInvalid, match=r"^here: "):
        manifest_from_json(text, "here")


@pytest.mark.parametrize(
    ("place", "key", "nearest"),
    [
        ((), "licens", "licence"),
        (("mel",), "n_mel", "n_mels"),
        (("voices", 0), "sexx", "sex"),
        (("emotions", 1), "alias", "aliases"),
        (("emotions", 1, "prosody"), "pitch_rang", "pitch_range"),
        (("stages", "decoder"), "sha265", "sha256"),
        (("stages", "decoder", "inputs", 0), "dtyp", "dtype"),
        (("vectors",), "byte", "bytes"),
        (("created_by",), "comit", "commit"),
    ],
)
def test_unknown_key_names_the_nearest(
    manifest: Manifest, place: tuple[str | int, ...], key: str, nearest: str
) -> None:
    def add(data: Any) -> None:
        for part in place:
            data = data[part]
        data[key] = 1

    message = problem(manifest, add)
    assert ".".join(map(str, (*place, key))) in message
    assert f"did you mean {nearest!r}?" in message


def test_unknown_key_unlike_any_lists_them(manifest: Manifest) -> None:
    message = problem(manifest, lambda data: data["mel"].update(zzz=1))
    assert "mel.zzz: unknown key; known: n_mels, n_fft" in message


def test_foreign_version_is_named_before_all_else(manifest: Manifest) -> None:
    message = problem(manifest, lambda data: data.update(format_version=2, brand_new_key={}, voices=7))
    assert "format_version: 2 is not 1" in message
    assert "rebuild" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("hop_samples"), ["hop_samples"]),
        (lambda data: data.update(hop_samples="256"), ["hop_samples", "'256'"]),
        (lambda data: data.update(hop_samples=0), ["hop_samples", "0"]),
        (lambda data: data.update(sample_rate_hz=16000.5), ["sample_rate_hz", "16000.5"]),
        (lambda data: data.update(vocoder_context_frames=-1), ["vocoder_context_frames", "-1"]),
        (lambda data: data["mel"].update(fmin_hz=float("nan")), ["mel.fmin_hz"]),
        (lambda data: data["mel"].update(n_mels=0), ["mel.n_mels"]),
        (lambda data: data["symbols"].append(data["symbols"][3]), ["symbols", "twice"]),
        (lambda data: data.update(voices=[]), ["voices", "at least one"]),
        (lambda data: data["voices"].append(data["voices"][0] | {"name": "ADA"}), ["voices", "'ada'", "twice"]),
        (lambda data: data["voices"][0].update(name=" ada"), ["voices", "' ada'"]),
        (lambda data: data["emotions"][1].update(name=""), ["emotions", "''"]),
        (lambda data: data["emotions"][1]["aliases"].append("Sad"), ["emotions", "'sad'", "twice"]),
        (lambda data: data["emotions"].pop(0), ["emotions", "'neutral'"]),
        (lambda data: data["emotions"][0]["prosody"].update(speed=1.1), ["emotions.neutral.prosody"]),
        (lambda data: data["emotions"][1]["prosody"].update(speed=0.0), ["emotions.happy.prosody", "speed"]),
        (lambda data: data["emotions"][1]["prosody"].update(speed=float("nan")), ["emotions.1.prosody.speed"]),
        (lambda data: data["default_voice"].pop("zh"), ["default_voice.zh"]),
        (lambda data: data["default_voice"].update(zh="nobody"), ["default_voice.zh", "'nobody'", "chen"]),
        (lambda data: data["stages"].pop("vocoder"), ["stages.vocoder", "missing"]),
        (lambda data: data["stages"].update(vocodr=data["stages"]["vocoder"]), ["stages.vocodr", "vocoder"]),
        (lambda data: data["stages"]["decoder"]["inputs"].pop(), ["stages.decoder.inputs", "frame_mask"]),
        (lambda data: data.update(hidden_dim=17), ["hidden", "17"]),
        (lambda data: data["vectors"].update(file="../vectors.npz"), ["'../vectors.npz'"]),
        (lambda data: data["vectors"].update(file="vocoder.onnx"), ["'vocoder.onnx'", "twice"]),
        (lambda data: data["vectors"].update(sha256="ABC"), ["vectors.npz", "sha256", "'ABC'"]),
        (lambda data: data["vectors"].update(bytes=0), ["vectors.npz", "bytes"]),
    ],
)
def test_what_is_wrong_is_named(manifest: Manifest, change: Callable[[Any], object], words: list[str]) -> None:
    message = problem(manifest, change)
    assert [word for word in words if word not in message] == []


def test_a_manifest_made_in_code_is_checked_alike(manifest: Manifest) -> None:
    check_manifest(manifest, "x")
    with pytest.raises(ManifestInvalid, match="default_voice"):
        check_manifest(replace(manifest, voices=(VoiceEntry("eve", "en"),)), "x")
    with pytest.raises(ManifestInvalid, match="plain file name"):
        check_manifest(replace(manifest, vectors=FileEntry("a/b", "0" * 64, 1)), "x")
    fast_neutral = EmotionEntry("neutral", prosody=ProsodyEntry(speed=2.0))
    with pytest.raises(ManifestInvalid, match=r"neutral\.prosody"):
        check_manifest(replace(manifest, emotions=(fast_neutral,)), "x")
