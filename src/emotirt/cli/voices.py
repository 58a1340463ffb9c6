"""List the voices and emotions of a bundle and your own voices; add, remove, blend, export and import yours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from emotirt.cli.arguments import add_store_arguments

if TYPE_CHECKING:
    from emotirt.bundle.store import Bundle
    from emotirt.voices.voice_file import StoredVoice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options and actions of ``emotirt voices``."""
    from emotirt.cli.own_voices import add_actions

    add_store_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list voices and emotions (the default)")
    add_store_arguments(listing, is_within=True)
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    add_actions(actions)


def run(args: argparse.Namespace) -> int:
    """Print voices and emotions, or do what the action says."""
    if args.action not in (None, "list"):
        from emotirt.cli.own_voices import run_action

        return run_action(args)
    from emotirt.bundle.store import default_bundle_path, open_bundle
    from emotirt.voices.store import VoiceStore, speaks

    bundle = open_bundle(default_bundle_path() if args.bundle is None else args.bundle)
    own = [_Own(voice, speaks(bundle, voice)) for voice in VoiceStore(args.voices).voices()]
    sys.stdout.write(_json(bundle, own) if args.json else _tables(bundle, own))
    return 0


@dataclass(frozen=True, slots=True)
class _Own:
    """A voice of the user, and whether the bundle can speak with it."""

    voice: StoredVoice
    is_spoken: bool


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


def _tables(bundle: Bundle, own: Sequence[_Own]) -> str:
    defaults: dict[str, list[str]] = {}
    for language, name in bundle.manifest.default_voice.items():
        defaults.setdefault(name, []).append(language)
    voices = [
        (name, entry.language, entry.sex, entry.licence, entry.description + _default_mark(defaults.get(name, [])))
        for name, entry in bundle.voices.items()
    ]
    voices += [
        (item.voice.name, item.voice.language.replace("und", "any"), "", "yours", _own_description(item))
        for item in own
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


def _own_description(own: _Own) -> str:
    if own.is_spoken:
        return own.voice.description
    return f"cannot be spoken with here: made with the encoder of bundle {own.voice.origin.bundle!r}, clone it again"


def _json(bundle: Bundle, own: Sequence[_Own]) -> str:
    content = {
        "bundle": bundle.manifest.name,
        "sha256": bundle.digest,
        "default_voice": dict(bundle.manifest.default_voice),
        "voices": [asdict(entry) for entry in bundle.voices.values()],
        "custom_voices": [
            asdict(item.voice.entry)
            | {"consent": item.voice.consent, "created_at": item.voice.created_at, "usable": item.is_spoken}
            for item in own
        ],
        "emotions": [asdict(entry) for entry in bundle.emotions.values()],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
