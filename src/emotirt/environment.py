"""Environment variables of EmotiRT; the only module that reads them. One that is empty counts as not set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PREFIX = "EMOTIRT_"


def variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is set, by the rest of its name in small letters.

    Args: environment: None for that of this process.
    """
    found = os.environ if environment is None else environment
    return {key[len(PREFIX) :].lower(): value for key, value in found.items() if key.startswith(PREFIX) and value}


def voices_directory() -> Path | None:
    """Return where the user's voices are kept by ``EMOTIRT_VOICES``, None for the usual place."""
    value = variables().get("voices")
    return None if value is None else Path(value)
