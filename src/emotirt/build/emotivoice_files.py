"""The files of a public EmotiVoice model: where a checkout keeps them, and reading them without trusting them."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from emotirt.errors import ImportFailed

CHECKOUT_LAYOUT = {
    "generator": "outputs/prompt_tts_open_source_joint/ckpt/g_*",
    "style_encoder": "outputs/style_encoder/ckpt/checkpoint_*",
    "bert": "WangZeJun/simbert-base-chinese",
    "tokens": "data/youdao/text/tokenlist",
    "speakers": "data/youdao/text/speaker2",
    "config": "config/joint/config.yaml",
}
"""Where each file lies in a checkout that the public instructions were followed in; of several the last counts."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = (b"<!doctype", b"<html")
_LOOKED_AT_BYTES = 512


@dataclass(frozen=True, slots=True)
class EmotiVoiceFiles:
    """One public model.

    Attributes:
        generator: ``g_00140000``, acoustic model and vocoder.
        style_encoder: ``checkpoint_163431``.
        bert: folder with ``config.json`` and the vocabulary of the style encoder.
        tokens: list of phoneme symbols, one a line.
        speakers: list of speakers, one a line.
        config: YAML with the sizes of the generator.
    """

    generator: Path
    style_encoder: Path
    bert: Path
    tokens: Path
    speakers: Path
    config: Path


def files_from_checkout(checkout: Path) -> dict[str, Path]:
    """Find the files of a checkout, whether they exist or not, by the names of ``EmotiVoiceFiles``.

    Raises: ImportFailed: no directory there.
    """
    if not checkout.is_dir():
        raise ImportFailed(f"no directory {str(checkout)!r}; give the folder that 'git clone' of EmotiVoice made")
    found = {}
    for name, pattern in CHECKOUT_LAYOUT.items():
        folder, _, last = pattern.rpartition("/")
        candidates = sorted((checkout / folder).glob(last)) if "*" in last else []
        found[name] = candidates[-1] if candidates else checkout / pattern
    return found


def read_bytes(path: Path, what: str) -> bytes:
    """Read a file, or say why it is not the one that is needed.

    Raises: ImportFailed: missing, empty, a directory, a pointer of Git LFS or a web page.
    """
    _check(path, what)
    return path.read_bytes()


def _check(path: Path, what: str) -> int:
    """Look at how a file begins; returns its size in bytes."""
    try:
        with path.open("rb") as file:
            begins = file.read(_LOOKED_AT_BYTES)
        size = path.stat().st_size
    except FileNotFoundError as exc:
        raise ImportFailed(f"{what} {str(path)!r} does not exist; give its path, or download it first") from exc
    except OSError as exc:
        raise ImportFailed(f"{what} {str(path)!r} cannot be read: {exc.strerror or exc}") from exc
    if begins.startswith(_LFS_POINTER):
        raise ImportFailed(
            f"{what} {str(path)!r} is a Git LFS pointer of {size} bytes and not the file itself; "
            "run 'git lfs install' and 'git lfs pull' in its repository"
        )
    if not begins.strip():
        raise ImportFailed(f"{what} {str(path)!r} is empty; download it again")
    if begins.lstrip().lower().startswith(_WEB_PAGE):
        raise ImportFailed(f"{what} {str(path)!r} is a web page and not the file itself; download it again")
    return size


def read_weights(path: Path, part: str, what: str) -> dict[str, torch.Tensor]:
    """Read the tensors under one key of a checkpoint; nothing in it is executed.

    Raises: ImportFailed: not a checkpoint, truncated, holding other objects than tensors, or without that key.
    """
    size = _check(path, what)
    try:
        data: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # torch raises many kinds on a damaged file
        raise ImportFailed(_unreadable(path, what, size, exc)) from exc
    if not isinstance(data, dict) or part not in data:
        keys = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise ImportFailed(
            f"{what} {str(path)!r} holds {_shortened(keys)} instead of {part!r}; "
            "the generator is the file g_..., the style encoder is checkpoint_..."
        )
    tensors = data[part]
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ImportFailed(f"{what} {str(path)!r}: {part!r} is no table of tensors; it is another kind of file")
    return tensors


def read_labels(path: Path, row_count: int, what: str, rows_of: str) -> tuple[str, ...]:
    """Read a list of names, one a line, that numbers the rows of a table.

    Raises: ImportFailed: not UTF-8, or another number of lines than the table has rows.
    """
    try:
        lines = [line.strip() for line in read_bytes(path, what).decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as exc:
        raise ImportFailed(f"{what} {str(path)!r} is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    if not lines[-1]:
        lines.pop()  # what ends in a newline ends there
    while len(lines) > row_count and not lines[-1]:
        lines.pop()
    if len(lines) != row_count:
        raise ImportFailed(
            f"{what} {str(path)!r} has {len(lines)} lines, but {rows_of} has {row_count} rows; "
            "it is of another version: give the list that this checkpoint was trained with"
        )
    return tuple(lines)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the generator's configuration.

    Raises: ImportFailed: not YAML, or no table.
    """
    try:
        data = yaml.safe_load(read_bytes(path, "configuration"))
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ImportFailed(f"configuration {str(path)!r} is not YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(data, dict):
        raise ImportFailed(f"configuration {str(path)!r} is {type(data).__name__}, expected keys and values")
    return data


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises: ImportFailed: not JSON, or no object.
    """
    try:
        data = json.loads(read_bytes(path, what))
    except ValueError as exc:
        raise ImportFailed(f"{what} {str(path)!r} is not JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise ImportFailed(f"{what} {str(path)!r} is {type(data).__name__}, expected keys and values")
    return data


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read the tokenizer of a Hugging Face BERT folder: ``tokenizer.json``, or ``vocab.txt`` and its settings.

    Raises: ImportFailed: neither is there, or one is broken.
    """
    whole = folder / "tokenizer.json"
    if whole.is_file():
        data = read_bytes(whole, "tokenizer")
        try:
            return Tokenizer.from_buffer(data)
        except Exception as exc:  # the library raises bare Exception
            raise ImportFailed(f"tokenizer {str(whole)!r} is broken: {exc}") from exc
    pieces = read_bytes(folder / "vocab.txt", "vocabulary").decode("utf-8", "replace").splitlines()
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    lacking = [piece for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if piece not in vocabulary]
    if lacking:
        raise ImportFailed(f"vocabulary {str(folder / 'vocab.txt')!r} lacks {', '.join(lacking)}; it is no BERT's")
    settings_path = folder / "tokenizer_config.json"
    settings = read_json(settings_path, "tokenizer settings") if settings_path.is_file() else {}
    lower = bool(settings.get("do_lower_case", True))
    splits_chinese = bool(settings.get("tokenize_chinese_chars", True))
    made = BertWordPieceTokenizer(vocabulary, lowercase=lower, handle_chinese_chars=splits_chinese)
    return Tokenizer.from_str(made.to_str())


def _unreadable(path: Path, what: str, size: int, error: Exception) -> str:
    detail = _shortened(" ".join(str(error).split()))
    if isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower():
        return (
            f"{what} {str(path)!r} holds objects besides tensors, and reading those would run code from the file; "
            f"save its tensors alone ({detail})"
        )
    with path.open("rb") as file:
        begins = file.read(4)
    if begins.startswith((b"PK\x03\x04", b"\x80")):
        return f"{what} {str(path)!r} ends too early or is damaged ({size} bytes); download it again ({detail})"
    return f"{what} {str(path)!r} is no PyTorch checkpoint ({detail})"


def _shortened(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:120] + "…"
