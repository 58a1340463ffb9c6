"""Phoneme symbols of corpus rows, also where the transcript is a code or pinyin."""

from __future__ import annotations

import re

from emotirt.errors import EmotiRTError
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import BOUNDARY, END, START
from emotirt.text.zh import symbols_from_pinyin
from emotirt.training.corpus import Row

PINYIN_SYLLABLE = re.compile(r"^[a-zü:]+[1-5]$")

EMODB_SENTENCES = {
    "a01": "D EH1 R # L AA1 P AH0 N # L IY1 K T # AW1 F # D EY1 M # AY1 S SH R AA2 NG K .",
    "a02": "D AA1 S # V IH1 L # Z IY1 # AA1 M # M IH1 T V AO0 HH # AA1 P G EY2 B AH0 N .",
    "a04": "HH OY1 T AH0 # AA1 B AH0 N T # K ER1 N T AH0 # IH1 SH # EH1 S # IY1 M # Z AA1 G AH0 N .",
    "a05": "D AA1 S # SH V AA1 R T S AH0 # SH T IY1 K # P AA0 P IY1 R # B AH0 F IH1 N D AH0 T # Z IH1 SH # D AA1 # "
    "OW1 B AH0 N # N EY1 B AH0 N # D EY1 M # HH AO1 L T S SH T IY2 K .",
    "a07": "IH1 N # Z IY1 B AH0 N # SH T UH1 N D AH0 N # V IH1 R T # EH1 S # Z OW1 V AY2 T # Z AY1 N .",
    "b01": "V AA1 S # Z IH1 N T # D EH1 N # D AA1 S # F IY1 R # T IY1 T AH0 N , D IY1 # D AA1 # UH1 N T ER0 # D EY1 M "
    "# T IH1 SH # SH T EY1 AH0 N ?",
    "b02": "Z IY1 # HH AA1 B AH0 N # EH1 S # G AH0 R AA1 D AH0 # HH OW1 HH G AH0 T R AA2 G AH0 N # UH1 N T # "
    "Y EH1 T S T # G EY1 AH0 N # Z IY1 # V IY1 D ER0 # R UH1 N T ER0 .",
    "b03": "AA1 N # D EY1 N # V AO1 HH AH0 N EH2 N D AH0 N # B IH1 N # IH1 SH # Y EH1 T S T # IH1 M ER0 # N AA1 HH # "
    "HH AW1 Z AH0 # G AH0 F AA1 R AH0 N # UH1 N T # HH AA1 B AH0 # AA1 G N EH0 S # B AH0 Z UW1 HH T .",
    "b09": "IH1 SH # V IH1 L # D AA1 S # EY1 B AH0 N # V EH1 K B R IH2 NG AH0 N # UH1 N T # D AA1 N # M IH1 T # "
    "K AA1 R L # V AA1 S # T R IH1 NG K AH0 N # G EY1 AH0 N .",
    "b10": "D IY1 # V IH1 R T # AW1 F # D EY1 M # P L AA1 T S # Z AY1 N , V OW1 # V IY1 R # Z IY1 # IH1 M ER0 # "
    "HH IH1 N L EY2 G AH0 N .",
}
"""EMO-DB's ten German sentences (Burkhardt et al. 2005) in the nearest symbols we have, transcribed by us.

They let the acted recordings train prosody and voice quality; no German is offered.
"""


class Labeller:
    """Gives corpus rows their phoneme symbols."""

    def __init__(self) -> None:
        self.frontend = Frontend()
        self.failures: list[tuple[str, str]] = []

    def symbols(self, row: Row) -> tuple[str, ...] | None:
        """Return the symbols of a row from ``^`` to ``$``; None, and a note in ``failures``, where there are none."""
        if not row.text:
            return None
        if row.corpus == "emodb":
            return (START, *EMODB_SENTENCES[row.text].split(), END)
        if row.language == "zh" and PINYIN_SYLLABLE.match(row.text):
            return (START, *symbols_from_pinyin(row.text), ".", END)
        text = row.text.lower() if row.text.isupper() and row.language.startswith("en") else row.text
        try:
            symbols = self.frontend.symbols(text)
        except EmotiRTError as exc:
            self.failures.append((row.path, str(exc)))
            return None
        return symbols if any(symbol not in (START, END, BOUNDARY) for symbol in symbols) else None
