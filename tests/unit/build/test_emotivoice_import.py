"""Importing a public EmotiVoice model: what is found, what is refused, and with which words."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.assets.emotivoice import FOLDER, copied_files, legacy_generator, tiny_files

from emotirt.build.emotivoice import load_public_model
from emotirt.build.emotivoice_files import EmotiVoiceFiles, files_from_checkout
from emotirt.bundle.store import open_bundle
from emotirt.cli.main import main
from emotirt.errors import ImportFailed

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 232\n"


@pytest.fixture
def files(tmp_path: Path) -> EmotiVoiceFiles:
    return copied_files(tmp_path)


def refused(files: EmotiVoiceFiles, words: str) -> None:
    with pytest.raises(ImportFailed, match=words) as caught:
        load_public_model(files)
    assert "\n" not in str(caught.value)
    assert str(files.generator.parent) in str(caught.value)  # the broken file is named


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = torch.load(path, weights_only=True)
    change(data)
    torch.save(data, path)


@pytest.mark.parametrize("name", ["generator", "style_encoder", "tokens", "speakers", "config"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (POINTER, r"is a Git LFS pointer of \d+ bytes.*git lfs pull"),
        (b"", "is empty; download it again"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
    ],
    ids=["pointer", "empty", "page"],
)
def test_files_that_are_something_else(files: EmotiVoiceFiles, name: str, content: bytes, words: str) -> None:
    getattr(files, name).write_bytes(content)
    refused(files, words)


@pytest.mark.parametrize("name", ["generator", "style_encoder", "tokens", "speakers", "config", "bert"])
def test_missing_files(files: EmotiVoiceFiles, name: str) -> None:
    refused(replace(files, **{name: files.config.parent / "nowhere"}), "nowhere.* does not exist; give its path")


@pytest.mark.parametrize("name", ["generator", "style_encoder"])
def test_truncated_checkpoints(files: EmotiVoiceFiles, name: str) -> None:
    path = getattr(files, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(files, r"ends too early or is damaged \(\d+ bytes\); download it again")


def test_no_checkpoint_at_all(files: EmotiVoiceFiles) -> None:
    files.generator.write_bytes(b"RIFF....WAVEfmt ")
    refused(files, "is no PyTorch checkpoint")


def test_generator_and_style_encoder_swapped(files: EmotiVoiceFiles) -> None:
    refused(replace(files, generator=files.style_encoder), r"holds \['model'\] instead of 'generator'")
    refused(replace(files, style_encoder=files.generator), r"holds \['generator'\] instead of 'model'")


def test_code_in_a_checkpoint_is_not_run(files: EmotiVoiceFiles, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "harm"),)

    torch.save({"generator": Harm()}, files.generator)
    refused(files, "objects besides tensors, and reading those would run code")
    assert not (tmp_path / "harm").exists()


def test_missing_tensor(files: EmotiVoiceFiles) -> None:
    edited(files.generator, lambda data: data["generator"].pop("am.encoder.encoders.1.norm1.weight"))
    refused(files, r"lacks 1 of its tensors: am\.encoder\.encoders\.1\.norm1\.weight")


def test_misshapen_tensor(files: EmotiVoiceFiles) -> None:
    edited(
        files.style_encoder, lambda data: data["model"].update({"module.bert.pooler.dense.weight": torch.ones(3, 4)})
    )
    refused(files, r"bert\.pooler\.dense\.weight has shape \(3, 4\), its configuration says \(24, 24\)")


def test_tensor_that_is_not_finite(files: EmotiVoiceFiles) -> None:
    edited(files.generator, lambda data: data["generator"]["am.to_mel.bias"].fill_(float("nan")))
    refused(files, r"am\.to_mel\.bias holds values that are not finite")


def test_extra_tensors_are_a_warning_by_name(files: EmotiVoiceFiles, caplog: pytest.LogCaptureFixture) -> None:
    ids = {"module.bert.embeddings.position_ids": torch.arange(64)[None]}
    edited(files.style_encoder, lambda data: data["model"].update(ids))
    with caplog.at_level(logging.WARNING, "emotirt"):
        load_public_model(files)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "bert.embeddings.position_ids" in caplog.text


def test_known_training_networks_are_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "emotirt"):
        load_public_model(tiny_files())
    assert not caplog.records


def test_token_list_of_another_version(files: EmotiVoiceFiles) -> None:
    text = files.tokens.read_text(encoding="utf-8")
    files.tokens.write_text(text + "newer\n", encoding="utf-8")
    refused(files, "has 503 lines, but the generator's symbol table has 502 rows; it is of another version")
    files.tokens.write_text(text.replace("\nsp3\n", "\nsilence\n"), encoding="utf-8")
    refused(files, "lacks 1 symbols that the front end writes: sp3; give the list")
    files.tokens.write_text(text.replace("\nuncased15\n", "\nuncased16\n"), encoding="utf-8")
    refused(files, "repeats 'uncased16'")
    files.tokens.write_bytes("你好\n".encode("gbk"))
    refused(files, "is not UTF-8 text")


def test_speaker_list_of_another_version(files: EmotiVoiceFiles) -> None:
    files.speakers.write_text("8051\n11614\n", encoding="utf-8")
    refused(files, "has 2 lines, but the generator's speaker table has 10 rows")


def test_lists_may_end_in_blank_lines(files: EmotiVoiceFiles) -> None:
    files.speakers.write_text(files.speakers.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")
    assert list(load_public_model(files).speakers)[:2] == ["8051", "11614"]


def test_of_a_repeated_speaker_the_last_row_counts(files: EmotiVoiceFiles) -> None:
    names = files.speakers.read_text(encoding="utf-8").split("\n")
    files.speakers.write_text("\n".join([names[1], *names[1:]]), encoding="utf-8")
    plain, repeated = load_public_model(tiny_files()).speakers, load_public_model(files).speakers
    assert len(repeated) == len(plain) - 1
    assert (repeated[names[1]] == plain[names[1]]).all()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("encoder_n_layers", None, r"model\.encoder_n_layers: Field required"),
        ("encoder_n_layers", "two", r"model\.encoder_n_layers: .*integer.*two"),
        ("encoder_n_layers", 3, r"lacks 16 of its tensors"),
        ("encoder_n_heads", 5, "does not divide 32 channels"),
        ("decoder_n_hidden", 64, "encoder_n_hidden 32 and decoder_n_hidden 64 differ"),
        ("resblock", "2", "resblock is '2'; only '1' is known"),
        ("upsample_rates", [8, 8, 2, 4], "upsample_rates multiply to 512, hop_length is 256"),
        ("upsample_kernel_sizes", [16, 16, 4], "have different lengths"),
        ("resblock_dilation_sizes", [[1, 3, 5], [1, 3, 5], [1, 2, 3]], "must be the same for each"),
        ("initial_channel", 40, "initial_channel 40 and n_mels 80 differ"),
        ("bert_embedding", 768, "gives vectors of 24, .* expects 768"),
        ("variance_n_hidden", 48, r"has shape \(32, 32, 3\), its configuration says \(48, 32, 3\)"),
    ],
)
def test_configurations_that_do_not_fit(files: EmotiVoiceFiles, key: str, value: object, words: str) -> None:
    data = yaml.safe_load(files.config.read_text(encoding="utf-8"))
    data["model"].update({key: value})
    if value is None:
        del data["model"][key]
    files.config.write_text(yaml.safe_dump(data), encoding="utf-8")
    refused(files, words)


def test_broken_text_files(files: EmotiVoiceFiles) -> None:
    files.config.write_text("model: [", encoding="utf-8")
    refused(files, "is not YAML")
    files.config.write_text("- 1", encoding="utf-8")
    refused(files, "is list, expected keys and values")
    shutil.copy(FOLDER / "config.yaml", files.config)
    (files.bert / "config.json").write_text("{", encoding="utf-8")
    refused(files, "is not JSON")
    settings = json.loads((FOLDER / "bert" / "config.json").read_text(encoding="utf-8"))
    (files.bert / "config.json").write_text(json.dumps(settings | {"hidden_act": "relu"}), encoding="utf-8")
    refused(files, "hidden_act is 'relu'")
    (files.bert / "config.json").write_text(json.dumps(settings | {"vocab_size": 12}), encoding="utf-8")
    refused(files, "knows 66 pieces, its config.json says 12")


def test_tokenizers(files: EmotiVoiceFiles) -> None:
    whole = load_public_model(files).tokenizer
    (files.bert / "tokenizer.json").unlink()
    from_vocabulary = load_public_model(files).tokenizer
    for text in ("非常开心", "今天真不错，你好世界！", "Hello, World?", "开心🙂"):
        assert from_vocabulary.encode(text).ids == whole.encode(text).ids
    (files.bert / "vocab.txt").write_text("a\nb\n", encoding="utf-8")
    refused(files, r"lacks \[PAD\], \[UNK\], \[CLS\], \[SEP\]; it is no BERT's")
    (files.bert / "tokenizer.json").write_text("{}", encoding="utf-8")
    refused(files, "tokenizer .* is broken")


def checkout(place: Path) -> Path:
    """Lay the tiny model out as the public instructions do."""
    layout = {
        "outputs/prompt_tts_open_source_joint/ckpt/g_00140000": "g_00000001",
        "outputs/prompt_tts_open_source_joint/ckpt/g_00000009": "config.yaml",  # an older one, which must not be taken
        "outputs/style_encoder/ckpt/checkpoint_163431": "checkpoint_000001",
        "data/youdao/text/tokenlist": "tokenlist",
        "data/youdao/text/speaker2": "speaker2",
        "config/joint/config.yaml": "config.yaml",
    }
    for target, source in layout.items():
        (place / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FOLDER / source, place / target)
    shutil.copytree(FOLDER / "bert", place / "WangZeJun" / "simbert-base-chinese")
    return place


def test_a_checkout_is_searched(tmp_path: Path) -> None:
    found = files_from_checkout(checkout(tmp_path))
    assert found["generator"].name == "g_00140000"
    assert len(load_public_model(EmotiVoiceFiles(**found)).speakers) == 10
    with pytest.raises(ImportFailed, match="no directory"):
        files_from_checkout(tmp_path / "nowhere")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = checkout(tmp_path / "EmotiVoice")
    older = legacy_generator()
    command = ["import", "emotivoice", "--from", str(place), "--generator", str(older), "--out", str(tmp_path / "mine")]
    assert main(command) == 0, capsys.readouterr().err
    assert "10 voices" in capsys.readouterr().err
    bundle = open_bundle(tmp_path / "mine")
    bundle.verify()
    assert bundle.manifest.frontend == "emotivoice"
    assert not bundle.manifest.random_weights
    assert bundle.voices["8051"].language == "mul"
    assert set(bundle.manifest.default_voice.values()) == {"8051"}
    assert "reference_encoder" not in bundle.manifest.stages


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["emotivoice"],
            2,
            "missing --generator, --style-encoder, --bert, --tokens, --speakers, --config; or give --from",
        ),
        (["vits"], 2, "invalid choice: 'vits'"),
        (["emotivoice", "--from", "nowhere"], 1, "no directory 'nowhere'"),
    ],
)
def test_command_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert main(["import", *arguments, "--out", str(tmp_path / "mine")]) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
