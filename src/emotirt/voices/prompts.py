"""Styles and contents from words: the prompt encoder with its tokenizer and a cache of prompts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from emotirt.bundle.contract import PROMPT_ENCODER
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError, BackendUnavailable, InvalidRequest
from emotirt.runtime.open import open_runner
from emotirt.runtime.pool import SlotRunner, WithFallback
from emotirt.runtime.runner import Array, Runner
from emotirt.types import FloatArray, IntArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_FORESEEN = 200
"""Characters of a text that may be one utterance."""
CACHED_PROMPTS = 1024
"""3 kB each; a game has as many moods at most."""


class PromptVectors:
    """The prompt encoder of one bundle; may be used from several threads at once."""

    def __init__(self, bundle: Bundle, runner: Runner) -> None:
        """Use the runner of its stage; raises BackendUnavailable without a tokenizer."""
        entry = bundle.manifest.prompt
        assert entry is not None
        self._most_pieces = entry.max_tokens
        self._tokenizer = _tokenizer(bundle)
        self._runner = runner
        self._style = lru_cache(CACHED_PROMPTS)(self._encoded_prompt)
        self._begin = runner.begin if isinstance(runner, (SlotRunner, WithFallback)) else None
        self._foreseen = _Foreseen()

    def style(self, prompt: str) -> FloatArray:
        """Return the style vector of a description such as ``非常开心``, float32 [emotion_dim]; do not change it.

        Raises: InvalidRequest: no text, nothing in it, or too long. BackendError: the stage failed.
        """
        if not isinstance(prompt, str) or not prompt.strip():
            raise InvalidRequest(f"prompt {prompt!r} says nothing; describe a way of speaking, such as '非常开心'")
        return self._style(prompt.strip())

    def contents(self, texts: Sequence[str]) -> FloatArray:
        """Return the content vectors of sentences, float32 [B, content_dim]; of a longer one its beginning.

        Raises: BackendError: the stage failed or gave values that are not finite.
        """
        foreseen = self._taken()
        if foreseen is not None and [foreseen[0]] == list(texts):
            return _checked(foreseen[1]())
        if foreseen is not None:
            foreseen[1]()  # for nothing, but it holds a slot
        return self._encoded([self._pieces(text) for text in texts])

    def foresee(self, text: str) -> None:
        """Let a GPU begin with a text that this thread will ask ``contents`` for, alone and next, if it may be one.

        Texts of several utterances are asked for piece by piece, so nothing is begun for long ones.
        """
        foreseen = self._taken()
        if foreseen is not None:
            foreseen[1]()
        if self._begin is None or not 0 < len(text) <= MOST_FORESEEN or text != text.strip():
            return
        finish = self._begin(_feeds([self._pieces(text)]))
        if finish is not None:
            self._foreseen.item = (text, finish)

    def close(self) -> None:
        """Release the runner."""
        self._runner.close()

    def _encoded_prompt(self, prompt: str) -> FloatArray:
        count = len(self._tokenizer.encode(prompt).ids)
        if count > self._most_pieces:
            raise InvalidRequest(
                f"prompt {prompt[:20]!r}… has {count} word pieces, at most {self._most_pieces} are possible; shorten it"
            )
        vector: FloatArray = self._encoded([self._pieces(prompt)])[0]
        vector.setflags(write=False)
        return vector

    def _pieces(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids if len(ids) <= self._most_pieces else [*ids[: self._most_pieces - 1], ids[-1]]

    def _encoded(self, rows: Sequence[list[int]]) -> FloatArray:
        return _checked(self._runner.run(_feeds(rows)))

    def _taken(self) -> tuple[str, Callable[[], dict[str, Array]]] | None:
        item, self._foreseen.item = self._foreseen.item, None
        return item


class _Foreseen(threading.local):
    """What a thread began: a text, and what waits for its vector."""

    item: tuple[str, Callable[[], dict[str, Array]]] | None = None


def _feeds(rows: Sequence[list[int]]) -> dict[str, Array]:
    ids: IntArray = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=np.float32)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1.0
    return {"ids": ids, "mask": mask}


def _checked(outputs: Mapping[str, Array]) -> FloatArray:
    vectors: FloatArray = outputs["style"]
    if not np.isfinite(vectors).all():
        raise BackendError("prompt encoder gave values that are not finite")
    return vectors


def open_prompts(bundle: Bundle, backend: str, threads: int | None = None) -> PromptVectors | None:
    """Load a bundle's prompt encoder, if it has one; raises as ``PromptVectors`` and ``runtime.open.open_runner``."""
    if PROMPT_ENCODER not in bundle.manifest.stages:
        return None
    return PromptVectors(bundle, open_runner(bundle, PROMPT_ENCODER, backend, threads))


def _tokenizer(bundle: Bundle) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise BackendUnavailable(
            f"bundle {bundle.manifest.name!r} takes prompts, which needs the package 'tokenizers'; "
            "run: pip install 'emotirt[emotivoice]'"
        ) from exc
    try:
        return Tokenizer.from_buffer(bundle.tokenizer_bytes())
    except Exception as exc:  # the library raises bare Exception
        if isinstance(exc, BackendUnavailable) or type(exc) is not Exception:
            raise
        raise BackendError(f"tokenizer of bundle {bundle.manifest.name!r} cannot be loaded: {exc}") from exc
