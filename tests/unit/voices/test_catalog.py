"""Voices and emotions by name, alias and language."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotirt.bundle.manifest import VoiceEntry
from emotirt.bundle.store import Bundle, arrays_from_npz, file_entry, write_bundle
from emotirt.errors import InvalidRequest, UnknownEmotion, UnknownVoice
from emotirt.text.frontend import Frontend
from emotirt.types import Prosody
from emotirt.voices.catalog import LISTED_NAMES, Catalog
from emotirt.voices.condition import NATURAL_PROSODY
from emotirt.voices.language import spoken_language


@pytest.fixture(scope="module")
def catalog(opened_bundle: Bundle) -> Catalog:
    return Catalog(opened_bundle)


def test_order_is_the_bundles(catalog: Catalog) -> None:
    assert [voice.name for voice in catalog.voices] == ["ada", "bo", "chen"]
    assert [emotion.name for emotion in catalog.emotions] == ["neutral", "happy", "sad"]


@pytest.mark.parametrize("name", ["bo", "Bo", "BO", " bo\n"])
def test_voices_by_name(catalog: Catalog, opened_bundle: Bundle, name: str) -> None:
    entry, vector = catalog.voice(name)
    assert entry.name == "bo"
    np.testing.assert_array_equal(vector, opened_bundle.vectors().voices["bo"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("happy", "happy"), ("Happy", "happy"), ("joyful", "happy"), ("高兴", "happy"), (" 开心 ", "happy"),
     ("悲伤", "sad"), ("难过", "sad"), ("中性", "neutral"), ("普通", "neutral")],
)  # fmt: skip
def test_emotions_by_name_and_alias(catalog: Catalog, opened_bundle: Bundle, name: str, expected: str) -> None:
    entry, vector = catalog.emotion(name)
    assert entry.name == expected
    np.testing.assert_array_equal(vector, opened_bundle.vectors().emotions[expected])


@pytest.mark.parametrize(
    ("look_up", "error", "name", "nearest"),
    [
        (Catalog.voice, UnknownVoice, "chenn", "nearest: chen;"),
        (Catalog.voice, UnknownVoice, "ADAA", "nearest: ada;"),
        (Catalog.voice, UnknownVoice, "zzz", "available: ada, bo, chen"),
        (Catalog.voice, UnknownVoice, "", "available: ada, bo, chen"),
        (Catalog.emotion, UnknownEmotion, "hapy", "nearest: happy;"),
        (Catalog.emotion, UnknownEmotion, "JOYFULL", "nearest: joyful;"),
        (Catalog.emotion, UnknownEmotion, "很高兴", "nearest: 高兴;"),
        (Catalog.emotion, UnknownEmotion, "qqq", "available: neutral, happy, sad"),
    ],
)
def test_unknown_names_list_the_nearest(
    catalog: Catalog,
    look_up: Callable[[Catalog, str], object],
    error: type[Exception],
    name: str,
    nearest: str,
) -> None:
    with pytest.raises(error) as caught:
        look_up(catalog, name)
    assert repr(name) in str(caught.value)
    assert nearest in str(caught.value)
    assert "available: " in str(caught.value)


@pytest.mark.parametrize("name", [None, 3])
def test_what_is_no_name_is_refused(catalog: Catalog, name: object) -> None:
    with pytest.raises(UnknownVoice):
        catalog.voice(name)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UnknownEmotion):
        catalog.emotion(name)  # type: ignore[arg-type]  # wrong on purpose


def test_long_lists_are_cut(opened_bundle: Bundle, tmp_path: Path) -> None:
    manifest, names = opened_bundle.manifest, [f"voice{index:02}" for index in range(40)]
    files = {entry.file: (opened_bundle.path / entry.file).read_bytes() for entry in manifest.files}
    arrays = arrays_from_npz(files[manifest.vectors.file])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{f"voice/{name}": arrays["voice/ada"] for name in names})
    files[manifest.vectors.file] = buffer.getvalue()
    crowded = replace(
        manifest,
        voices=tuple(VoiceEntry(name, "en") for name in names),
        default_voice={"en": "voice00", "zh": "voice00"},
        vectors=file_entry(manifest.vectors.file, buffer.getvalue()),
    )
    with pytest.raises(UnknownVoice, match=f"and {40 - LISTED_NAMES} more") as caught:
        Catalog(write_bundle(tmp_path / "crowded", crowded, files)).voice("voice307")
    nearest, available = str(caught.value).split("available")
    assert "nearest: voice37, " in nearest
    assert "voice11" in available
    assert "voice12" not in available


def test_conditions(catalog: Catalog, opened_bundle: Bundle) -> None:
    vectors = opened_bundle.vectors()
    plain = catalog.condition("ada", "neutral", 1.0, NATURAL_PROSODY)
    np.testing.assert_array_equal(plain.speaker, vectors.voices["ada"])
    np.testing.assert_allclose(plain.emotion, vectors.emotions["neutral"], atol=1e-6)
    assert plain.prosody == NATURAL_PROSODY
    happy = catalog.condition("bo", "高兴", 1.0, Prosody(speed=2.0))
    np.testing.assert_array_equal(happy.speaker, vectors.voices["bo"])
    np.testing.assert_allclose(happy.emotion, vectors.emotions["happy"], atol=1e-6)
    assert happy.prosody == Prosody(pytest.approx(2.2), 2.0, pytest.approx(1.3), 2.0)


@pytest.mark.parametrize("emotion", ["happy", "sad"])
def test_intensity_zero_is_neutral(catalog: Catalog, emotion: str) -> None:
    asked = Prosody(1.3, 1.0, 0.7, -2.0)
    nothing, neutral = catalog.condition("ada", emotion, 0.0, asked), catalog.condition("ada", "neutral", 1.0, asked)
    np.testing.assert_array_equal(nothing.emotion, neutral.emotion)
    assert nothing.prosody == neutral.prosody == asked


def test_bad_values_are_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest, match="intensity 2"):
        catalog.condition("ada", "happy", 2, NATURAL_PROSODY)
    with pytest.raises(InvalidRequest, match="speed 0"):
        catalog.condition("ada", "happy", 1.0, Prosody(speed=0))


@pytest.mark.parametrize(
    ("text", "language", "voice"),
    [
        ("Hello there, how are you?", "en", "ada"),
        ("今天天气很好。", "zh", "chen"),
        ("我用 Python 写程序。", "zh", "chen"),
        ("My friend from 北京 says hello to everybody here.", "en", "ada"),
        ("Hi 好", "zh", "chen"),
    ],
)
def test_the_default_voice_speaks_the_texts_language(catalog: Catalog, text: str, language: str, voice: str) -> None:
    symbols = [symbol for item in Frontend().utterances(text) for symbol in item.symbols]
    assert spoken_language(symbols) == language
    assert catalog.default_voice(symbols).name == voice


def test_nothing_spoken_is_english() -> None:
    assert spoken_language([]) == spoken_language(["^", ".", "$"]) == "en"
