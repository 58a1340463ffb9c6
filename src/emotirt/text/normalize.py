"""Write out what is not words: character forms, numbers, dates, money, units, abbreviations.

Pure text to text; knows nothing of phonemes. The Chinese grammar comes from ``wetext`` and is imported on first need.
"""

from __future__ import annotations

import re
import unicodedata

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def normalize(text: str) -> str:
    """Write a sentence out as words and punctuation."""
    if text.isascii():
        return text
    text = text.translate(_FULL_WIDTH)
    return unicodedata.normalize("NFKC", text)
