"""List the voices and emotions of a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotirt.bundle.store import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt voices``."""
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="bundle to look into (default: the one inside EmotiRT)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print voices and emotions."""
    from emotirt.bundle.store import default_bundle_path, open_bundle

    bundle = open_bundle(default_bundle_path() if args.bundle is None else args.bundle)
    sys.stdout.write(_json(bundle) if args.json else _tables(bundle))
    return 0


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Lay out rows in columns as wide as their widest cell; wide characters count twice."""
    widths = [max(map(_columns, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def _columns(text: str) -> int:
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _tables(bundle: Bundle) -> str:
    defaults: dict[str, list[str]] = {}
    for language, name in bundle.manifest.default_voice.items():
        defaults.setdefault(name, []).append(language)
    voices = [
        (name, entry.language, entry.sex, entry.licence, entry.description + _default_mark(defaults.get(name, [])))
        for name, entry in bundle.voices.items()
    ]
    emotions = [
        (name, ", ".join(entry.aliases), "learned" if entry.learned else "prosody only", entry.description)
        for name, entry in bundle.emotions.items()
    ]
    return (
        table(("voice", "language", "sex", "licence", "description"), voices)
        + "\n"
        + table(("emotion", "also", "kind", "description"), emotions)
    )


def _default_mark(languages: list[str]) -> str:
    return f" (default for {' and '.join(languages)})" if languages else ""


def _json(bundle: Bundle) -> str:
    content = {
        "bundle": bundle.manifest.name,
        "sha256": bundle.digest,
        "default_voice": dict(bundle.manifest.default_voice),
        "voices": [asdict(entry) for entry in bundle.voices.values()],
        "emotions": [asdict(entry) for entry in bundle.emotions.values()],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
