"""Text to utterances: controls out, sentences apart, words written out and read, symbols laid out and numbered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from emotirt.errors import EmptyText, InvalidRequest, TextTooLong
from emotirt.text.control import MAX_PAUSE_S, ControlledText, Passage, controls_from_text, shown
from emotirt.text.normalize import normalize
from emotirt.text.phonemes import Pronunciation
from emotirt.text.sequence import Item, Mark, OwnReader, Reader, token_count
from emotirt.text.split import split_clauses, split_half, split_sentences
from emotirt.text.symbols import DEFAULT_TABLE, SymbolTable
from emotirt.types import Utterance

EDGE_TOKENS = 3
"""Tokens that an utterance has beside its words: both edges and the last punctuation."""


@dataclass(frozen=True, slots=True)
class FrontendLimits:
    """Bounds on one request.

    Attributes:
        max_characters: longest text of a request.
        max_tokens: most tokens of one utterance, edges included; at least 16.
    """

    max_characters: int = 20_000
    max_tokens: int = 240

    def __post_init__(self) -> None:
        if self.max_tokens < 16 or self.max_characters < 1:
            raise ValueError(f"{self}: max_tokens is at least 16 and max_characters at least 1")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a passage and what is read in it."""

    text: str
    items: tuple[Item, ...]

    @property
    def is_silent(self) -> bool:
        return all(isinstance(item, Mark) for item in self.items)


_DEFAULT_LIMITS = FrontendLimits()


class Frontend:
    """Turns text into utterances for the text encoder; holds no state between calls."""

    def __init__(
        self,
        table: SymbolTable = DEFAULT_TABLE,
        limits: FrontendLimits = _DEFAULT_LIMITS,
        reader: Reader | None = None,
    ) -> None:
        """Make a front end.

        Args:
            table: the bundle's symbols.
            limits: bounds on a request.
            reader: how sentences become symbols; None for the default bundle's way.
        """
        self._table = table
        self._reader = reader or OwnReader(table)
        self._limits = limits

    @property
    def limits(self) -> FrontendLimits:
        """Bounds on a request."""
        return self._limits

    def utterances(self, text: str) -> list[Utterance]:
        """Read a text of any length.

        Every sentence becomes an utterance; one that exceeds the token limit is divided at clauses, then at spaces. The
        texts of the utterances join to ``text`` but for pause marks, and for stretches between pauses in which nothing
        can be spoken. Pauses in a row add up; one before the first word is left out.

        Args:
            text: English, Chinese or both, with inline controls (``text/control.py``).
        Returns: at least one utterance, each of at most ``max_tokens`` tokens.

        Raises:
            EmptyText: nothing in it can be spoken.
            TextTooLong: more than ``max_characters`` characters.
            UnknownSymbol: a phoneme that the bundle lacks.
            InvalidRequest: a pause out of range.
        """
        controlled = self._controlled(text)
        utterances: list[Utterance] = []
        for passage in controlled.passages:
            utterances.extend(self._passage_utterances(passage, controlled))
            if passage.pause_after_s and utterances:
                utterances[-1] = _with_pause(utterances[-1], passage.pause_after_s)
        if not utterances:
            raise self._empty(text)
        return utterances

    def symbols(self, text: str) -> tuple[str, ...]:
        """Read a whole text as one utterance, whatever its token count (for labelling recordings).

        Raises: as ``utterances``.
        """
        controlled = self._controlled(text)
        items = [
            item
            for passage in controlled.passages
            for sentence in split_sentences(passage.text)
            for item in self._items(sentence, controlled)
        ]
        if all(isinstance(item, Mark) for item in items):
            raise self._empty(text)
        return self._reader.symbols(items)[0]

    def _controlled(self, text: str) -> ControlledText:
        if len(text) > self._limits.max_characters:
            raise TextTooLong(
                f"text has {len(text)} characters, the limit is {self._limits.max_characters}; send it in parts"
            )
        return controls_from_text(text, self._reader.spoken_table)

    def _empty(self, text: str) -> EmptyText:
        return EmptyText(f"nothing in '{shown(text)}' can be spoken; give English or Chinese words")

    def _passage_utterances(self, passage: Passage, controlled: ControlledText) -> list[Utterance]:
        spoken: list[_Piece] = []
        before = ""
        for sentence in split_sentences(passage.text):
            for piece in self._fitting(sentence, controlled):
                if spoken and piece.is_silent:
                    spoken[-1] = _Piece(spoken[-1].text + piece.text, spoken[-1].items)
                elif piece.is_silent:
                    before += piece.text
                else:
                    spoken.append(_Piece(before + piece.text, piece.items))
                    before = ""
        return [self._utterance(piece, controlled) for piece in spoken]

    def _items(self, text: str, controlled: ControlledText) -> list[Item]:
        items = self._reader.items(normalize(text, controlled.has_hanzi), controlled.overrides)
        most = self._limits.max_tokens - EDGE_TOKENS
        return [part for item in items for part in _sliced(item, most)]

    def _fitting(self, text: str, controlled: ControlledText) -> list[_Piece]:
        """Divide a sentence into pieces within the token limit, as few as a greedy filling gives."""
        if len(text) <= 4 * self._limits.max_tokens or len(text) == 1:
            piece = _Piece(text, tuple(self._items(text, controlled)))
            if token_count(piece.items) <= self._limits.max_tokens:
                return [piece]
            if len(text) == 1:
                return [_Piece(text if index == 0 else "", (item,)) for index, item in enumerate(piece.items)]
        parts = split_clauses(text)
        if len(parts) == 1:
            parts = split_half(text)
        return list(self._packed(piece for part in parts for piece in self._fitting(part, controlled)))

    def _packed(self, pieces: Iterable[_Piece]) -> Iterator[_Piece]:
        """Join neighbours as long as they fit."""
        texts: list[str] = []
        items: list[Item] = []
        tokens = EDGE_TOKENS
        for piece in pieces:
            added = token_count(piece.items) - EDGE_TOKENS
            added += added > 0 and tokens > EDGE_TOKENS  # the boundary between two words
            if tokens + added > self._limits.max_tokens:
                yield _Piece("".join(texts), tuple(items))
                texts, items, tokens = [], [], EDGE_TOKENS
                added = token_count(piece.items) - EDGE_TOKENS
            texts.append(piece.text)
            items.extend(piece.items)
            tokens += added
        if texts:
            yield _Piece("".join(texts), tuple(items))

    def _utterance(self, piece: _Piece, controlled: ControlledText) -> Utterance:
        symbols, words = self._reader.symbols(piece.items)
        return Utterance(
            text=controlled.plain_text(piece.text),
            symbols=symbols,
            ids=self._table.ids_from_symbols(symbols),
            words=words,
        )


def _with_pause(utterance: Utterance, pause_s: float) -> Utterance:
    total_s = utterance.pause_after_s + pause_s
    if total_s > MAX_PAUSE_S:
        raise InvalidRequest(
            f"pauses in a row add up to {total_s:g} s; at most {MAX_PAUSE_S:g} s may lie between words"
        )
    return replace(utterance, pause_after_s=total_s)


def _sliced(item: Item, most: int) -> list[Item]:
    """Cut a word of more than ``most`` phonemes into several."""
    if isinstance(item, Mark) or len(item.symbols) <= most:
        return [item]
    return [Pronunciation(item.word, item.symbols[k : k + most]) for k in range(0, len(item.symbols), most)]
