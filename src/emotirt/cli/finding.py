"""One line of what ``emotirt doctor`` reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        area: python, package, backend, gpu, player, bundle or plans.
        name: what was looked at.
        state: ``ok``, ``unused``, ``missing`` (optional) or ``broken`` (speech will not work).
        detail: version, path, or how to install it.
    """

    area: str
    name: str
    state: str
    detail: str
