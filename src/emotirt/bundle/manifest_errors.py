"""One line about the first thing that a strict schema refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches

from pydantic import ValidationError

LONGEST_VALUE = 60


def explained(error: ValidationError, root: type, sections: Mapping[str | int, type]) -> str:
    """Say what is wrong first: the key, the value and what is expected, for an unknown key the nearest one.

    Args:
        error: from pydantic.
        root: dataclass that was expected.
        sections: key to the dataclass that is expected below it.
    """
    first = error.errors(include_url=False)[0]
    place = first["loc"]
    key = ".".join(str(part) for part in place) or "manifest"
    if first["type"] == "unexpected_keyword_argument":
        schema = next((sections[part] for part in reversed(place[:-1]) if part in sections), root)
        return f"{key}: unknown key; {_known_keys(str(place[-1]), schema)}"
    value = repr(first["input"])
    return f"{key}: {first['msg']} (got {value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + '…'})"


def _known_keys(key: str, schema: type) -> str:
    known = [item.name for item in fields(schema)]
    near = get_close_matches(key, known, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(known)}"
