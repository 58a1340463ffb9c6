"""The front end that a bundle's symbols want."""

from __future__ import annotations

from emotirt.bundle.manifest import EMOTIVOICE_FRONTEND
from emotirt.bundle.store import Bundle
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import SymbolTable


def frontend_from_bundle(bundle: Bundle) -> Frontend:
    """Make the front end of a bundle.

    Raises: UnknownSymbol: the bundle repeats a symbol.
    """
    table = SymbolTable(bundle.symbols)
    if bundle.manifest.frontend != EMOTIVOICE_FRONTEND:
        return Frontend(table)
    from emotirt.text.emotivoice_reader import EmotiVoiceReader

    return Frontend(table, reader=EmotiVoiceReader(table))
