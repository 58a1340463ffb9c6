"""Text to utterances."""

from __future__ import annotations

from dataclasses import dataclass

from emotirt.errors import EmptyText
from emotirt.text.normalize import normalize
from emotirt.text.sequence import Mark, items_from_text, symbols_from_items
from emotirt.text.symbols import DEFAULT_TABLE, SymbolTable


@dataclass(frozen=True, slots=True)
class FrontendLimits:
    """Bounds on one request.

    Attributes:
        max_characters: longest text of a request.
        max_tokens: most tokens of one utterance, edges included.
    """

    max_characters: int = 20_000
    max_tokens: int = 240


_DEFAULT_LIMITS = FrontendLimits()


class Frontend:
    """Turns text into utterances for the text encoder."""

    def __init__(self, table: SymbolTable = DEFAULT_TABLE, limits: FrontendLimits = _DEFAULT_LIMITS) -> None:
        self._table = table
        self._limits = limits

    def symbols(self, text: str) -> tuple[str, ...]:
        """Read a whole text as one utterance, whatever its length (for labelling recordings)."""
        items = items_from_text(normalize(text))
        if all(isinstance(item, Mark) for item in items):
            raise EmptyText(f"nothing speakable in {text[:60]!r}; give a text with words")
        return symbols_from_items(items)[0]
