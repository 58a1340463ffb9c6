"""User's voices on disk: exact, whole, apart by name, and refused where their vectors mean nothing."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotirt.bundle.store import Bundle
from emotirt.errors import InvalidRequest, OutputError, UnknownVoice, VoiceExists, VoiceUnusable
from emotirt.voices.catalog import Catalog
from emotirt.voices.store import SUFFIX, VoiceStore, default_voices_path, origin_of, speaks
from emotirt.voices.voice_file import Origin, StoredVoice, data_from_voice, is_voice_name, voice_from_data


def unit(seed: int, size: int = 256) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def voice(name: str = "Anna", bundle: Bundle | None = None, seed: int = 1) -> StoredVoice:
    origin = Origin("other", "0" * 64, "1" * 64, "2" * 64) if bundle is None else origin_of(bundle)
    return StoredVoice(name, "en", "Anna said yes", origin, unit(seed), unit(seed + 1), (("a" * 64, 4.5),), "calm", 12)


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "deep" / "voices")


@given(st.integers(0, 2**31), st.booleans())
def test_a_file_says_all_of_it_to_the_last_bit(seed: int, has_emotion: bool) -> None:
    before = replace(voice(seed=seed), emotion=unit(seed + 1) if has_emotion else None)
    after = voice_from_data(data_from_voice(before), "here")
    np.testing.assert_array_equal(after.speaker, before.speaker)
    assert (after.emotion is None) is not has_emotion
    assert data_from_voice(after) == data_from_voice(before)
    assert not after.speaker.flags.writeable


def test_voices_survive_and_are_found_whatever_their_case(store: VoiceStore) -> None:
    assert store.voices() == ()
    assert store.get("Anna") is None
    for index, name in enumerate(("Anna", "小明", "Zoë K.")):
        store.add(voice(name, seed=index))
    again = VoiceStore(store.path)
    assert [item.name for item in again.voices()] == ["Anna", "Zoë K.", "小明"]
    for name in ("anna", " ANNA ", "小明", "ZOË K.", "Zoe\u0308 K."):
        assert again.get(name) is not None, name
    assert all(path.name.endswith(SUFFIX) for path in store.path.iterdir())
    again.remove("ANNA")
    assert store.get("Anna") is None
    with pytest.raises(UnknownVoice, match=r"no voice 'Anna' of your own to remove; yours: Zoë K., 小明"):
        store.remove("Anna")


def test_a_name_is_taken_once_unless_replaced(store: VoiceStore) -> None:
    store.add(voice(seed=1))
    with pytest.raises(VoiceExists, match="'anna' exists; remove it first or choose another name"):
        store.add(voice("anna", seed=2))
    store.add(voice("anna", seed=2), replace=True)
    kept = store.get("Anna")
    assert kept is not None
    np.testing.assert_array_equal(kept.speaker, unit(2))
    assert len(list(store.path.iterdir())) == 1


def test_of_many_at_once_one_gets_the_name(store: VoiceStore) -> None:
    ends: list[str] = []

    def add(seed: int) -> None:
        try:
            VoiceStore(store.path).add(voice(seed=seed))
            ends.append("kept")
        except VoiceExists:
            ends.append("taken")

    threads = [threading.Thread(target=add, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["kept"] + 7 * ["taken"]
    assert len(os.listdir(store.path)) == 1


@pytest.mark.parametrize(
    "name", ["", " ", "a+b", "a:b", "../x", "a/b", "a\\b", "x" * 65, ".x", "-x", "a\n", "_", "\ud800", "a\x00"]
)
def test_what_cannot_be_a_name(store: VoiceStore, name: str) -> None:
    assert not is_voice_name(name) or name != name.strip()
    with pytest.raises(InvalidRequest, match="cannot name a voice; use 1 to 64 letters"):
        store.add(voice(name))
    assert store.get(name) is None
    with pytest.raises(UnknownVoice):
        store.remove(name)
    assert not store.path.exists()


@settings(max_examples=50)
@given(st.text(max_size=70))
def test_no_name_leads_out_of_the_directory(name: str) -> None:
    place = VoiceStore("/voices")._place(name)
    assert place.parent == Path("/voices")
    assert len(place.name.encode()) < 100


def test_broken_files_are_named_and_do_not_hide_the_others(store: VoiceStore) -> None:
    store.add(voice("Anna"))
    store.add(voice("Bert"))
    (broken,) = store.path.glob("bert-*")
    broken.write_bytes(broken.read_bytes()[:200])
    assert [item.name for item in store.voices()] == ["Anna"]
    with pytest.raises(VoiceUnusable, match="is not a voice: JSON: "):
        store.get("Bert")
    store.add(voice("Bert"), replace=True)
    assert len(store.voices()) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "mp3"}, "format: input should be 'emotirt voice'"),
        ({"format_version": 2}, "format_version"),
        ({"colour": "red"}, "colour: extra inputs"),
        ({"consent": ""}, "consent"),
        ({"name": "../x"}, "cannot name one"),
        ({"speaker": [1.0, 1.0]}, "speaker vector has norm 1.414, not 1"),
        ({"speaker": []}, "speaker"),
        ({"recordings": [{"sha256": "x", "duration_s": 1.0}]}, "recordings.0"),
    ],
)
def test_what_is_no_voice_is_refused(change: dict[str, object], words: str) -> None:
    content = json.loads(data_from_voice(voice())) | change
    with pytest.raises(VoiceUnusable, match=words):
        voice_from_data(json.dumps(content).encode(), "file.json")


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="nothing is unwritable here")
def test_a_place_that_cannot_be_written() -> None:
    with pytest.raises(OutputError, match="cannot keep a voice in '/proc/voices'"):
        VoiceStore("/proc/voices").add(voice())


def test_a_voice_belongs_to_the_encoder_that_made_it(store: VoiceStore, opened_bundle: Bundle) -> None:
    own, other = voice("Anna", opened_bundle), voice("Bert")
    store.add(own)
    store.add(other)
    catalog = Catalog(opened_bundle, store)
    assert [item.name for item in catalog.custom_voices] == ["Anna"]
    np.testing.assert_array_equal(catalog.voice("anna")[1], own.speaker)
    assert [catalog.has(name) for name in ("ANNA", "ada", "Bert", "nobody")] == [True, True, False, False]
    with pytest.raises(VoiceUnusable, match=r"'Bert' was made with bundle 'other'.*clone it again from its recordings"):
        catalog.voice("Bert")
    rounded = replace(own, origin=replace(own.origin, encoder_sha256="3" * 64))
    assert speaks(opened_bundle, rounded)  # the same networks in another precision keep the presets' vectors
    assert not speaks(opened_bundle, replace(rounded, origin=replace(rounded.origin, presets_sha256="4" * 64)))


def test_bundles_without_an_encoder_say_so(store: VoiceStore, emotivoice_bundle: Bundle) -> None:
    store.add(voice())
    catalog = Catalog(emotivoice_bundle, store)
    assert catalog.custom_voices == ()
    for name in ("Anna", f"Anna+{catalog.voices[0].name}"):
        with pytest.raises(
            VoiceUnusable, match=r"cloned voice 'Anna' needs a reference encoder.*EmotiVoice model has none"
        ):
            catalog.voice(name)


def test_the_default_place_is_the_users_own() -> None:
    assert Path.home() in default_voices_path().parents


def test_who_has_no_home_has_no_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert VoiceStore().voices() == ()
    assert VoiceStore().get("Anna") is None


def test_a_place_that_is_no_directory_holds_no_voices(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="ascii")
    store = VoiceStore(file)
    assert store.voices() == ()
    assert store.get("Anna") is None
    with pytest.raises(OutputError, match="cannot keep a voice in"):
        store.add(voice())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_place_that_may_not_be_entered_is_named(store: VoiceStore) -> None:
    store.add(voice())
    store.path.chmod(0o400)
    try:
        assert VoiceStore(store.path).voices() == ()
        with pytest.raises(VoiceUnusable, match="cannot be read"):
            VoiceStore(store.path).get("Anna")
    finally:
        store.path.chmod(0o700)


def test_what_others_removed_is_not_kept_in_memory(store: VoiceStore) -> None:
    for name in ("Anna", "Bert"):
        store.add(voice(name))
    assert len(store.voices()) == 2
    VoiceStore(store.path).remove("Anna")
    assert [item.name for item in store.voices()] == ["Bert"]
    assert len(store._read) == 1
