"""Text that trickles in is divided as if it had been read as a whole, and in a time that grows with its length."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from emotirt.server import turn
from emotirt.server.turn import spoken_part
from emotirt.text.split import split_sentences

WORDS = st.sampled_from([
    "a", "Dr", ".", ". ", "...", "!", "?", " ", "\n", "\n\n", "p.m", "U.S.", " The", " he", "3.14", "你好", "。", "……",
    "，", "”", ") ", "It", " " * 40, "." * 40, "Messrs. ", "x" * 40,
])  # fmt: skip


def parts_of(pieces: Sequence[str]) -> list[str]:
    parts, pending = [], ""
    for piece in pieces:
        ready, pending = spoken_part(pending, piece)
        parts.append(ready)
    return [*parts, pending]


def whole_parts_of(pieces: Sequence[str]) -> list[str]:
    """The same, reading all that is pending for every piece."""
    parts, pending = [], ""
    for piece in pieces:
        sentences = split_sentences(pending + piece)
        parts.append("".join(sentences[:-1]))
        pending = "".join(sentences[-1:])
    return [*parts, pending]


@given(st.lists(WORDS, max_size=40))
@example(["x" * 100, " p.m", ".", " ", "he", " p.m", ". ", "The", " end", ". ", "A"])
@example(["Messrs. ", "Dr", "x" * 40, "a"])
def test_pieces_are_divided_as_a_whole_is(pieces: list[str]) -> None:
    assert parts_of(pieces) == whole_parts_of(pieces)


def test_trickled_text_is_not_read_again_for_every_piece(monkeypatch) -> None:
    read = []

    def counted(text: str) -> list[str]:
        read.append(len(text))
        return split_sentences(text)

    monkeypatch.setattr(turn, "split_sentences", counted)
    assert parts_of(["so, "] * 5000)[-1] == "so, " * 5000
    assert max(read) < 1000
