"""``emotirt voices add``, ``remove``, ``blend``, ``export`` and ``import``: voices that the user made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotirt.cli import clone
from emotirt.cli.arguments import add_store_arguments
from emotirt.cli.clone import open_voices
from emotirt.cli.output import write_file
from emotirt.errors import UnknownVoice, VoiceUnusable


def add_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the actions and their options."""
    add = actions.add_parser("add", help="make a voice from recordings, as 'emotirt clone' does")
    clone.add_arguments(add, is_within=True)
    remove = actions.add_parser("remove", help="forget a voice of yours")
    remove.add_argument("name", metavar="NAME")
    blend = actions.add_parser("blend", help="keep a mixture of voices under a name")
    blend.add_argument("name", metavar="NAME")
    blend.add_argument("mixture", metavar="MIXTURE", help="such as kathleen:0.6+lan:0.4")
    blend.add_argument("--description", default="", metavar="TEXT", help="how it sounds, in one line")
    blend.add_argument("--replace", action="store_true", help="replace a voice of yours with the same name")
    export = actions.add_parser("export", help="write a voice of yours into a file, for another machine")
    export.add_argument("name", metavar="NAME")
    export.add_argument("file", metavar="FILE", type=Path)
    bring = actions.add_parser("import", help="take a voice over from a file")
    bring.add_argument("file", metavar="FILE", type=Path)
    bring.add_argument("--name", metavar="NAME", help="call it so (default: as in the file)")
    bring.add_argument("--replace", action="store_true", help="replace a voice of yours with the same name")
    for parser in (remove, blend, export, bring):
        add_store_arguments(parser, is_within=True)


def run_action(args: argparse.Namespace) -> int:
    """Do what was asked for and return the exit code."""
    return {"add": clone.run, "remove": _remove, "blend": _blend, "export": _export, "import": _import}[args.action](
        args
    )


def _remove(args: argparse.Namespace) -> int:
    open_voices(args).remove(args.name)
    sys.stdout.write(f"voice {args.name!r} is forgotten\n")
    return 0


def _blend(args: argparse.Namespace) -> int:
    from emotirt.engine.voices import BLEND_CONSENT, NewVoice

    voices = open_voices(args)
    made = voices.blend(
        NewVoice(args.name, BLEND_CONSENT, description=args.description, replace=args.replace), args.mixture
    )
    sys.stdout.write(f"voice {made.name!r} ({made.description}) kept in {voices.store.path}\n")
    return 0


def _export(args: argparse.Namespace) -> int:
    from emotirt.voices.voice_file import data_from_voice

    store = open_voices(args).store
    voice = store.get(args.name)
    if voice is None:
        own = ", ".join(item.name for item in store.voices()) or "none"
        raise UnknownVoice(f"no voice {args.name!r} of your own to export; yours: {own}")
    write_file(args.file, data_from_voice(voice))
    sys.stdout.write(f"voice {voice.name!r} written to {args.file}\n")
    return 0


def _import(args: argparse.Namespace) -> int:
    from emotirt.voices.store import read_voice_file
    from emotirt.voices.voice_file import voice_from_data

    try:
        data = read_voice_file(args.file)
    except FileNotFoundError:
        raise VoiceUnusable(f"no file {str(args.file)!r}; give one that 'emotirt voices export' wrote") from None
    voices = open_voices(args)
    kept = voices.take(voice_from_data(data, str(args.file)), args.name, args.replace)
    sys.stdout.write(f"voice {kept.name!r} kept in {voices.store.path}\n")
    return 0
