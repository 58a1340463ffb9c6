"""Take over a model that another project trained: emotirt import emotivoice; needs the extra 'train'."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from emotirt.cli.arguments import UsageError
from emotirt.errors import BackendUnavailable

_FILES = {
    "generator": "checkpoint of acoustic model and vocoder, g_00140000",
    "style_encoder": "checkpoint of the style encoder, checkpoint_163431",
    "bert": "folder of the BERT that it was trained from, with config.json and vocab.txt",
    "tokens": "list of phoneme symbols, tokenlist",
    "speakers": "list of speakers, speaker2",
    "config": "sizes of the generator, config.yaml",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt import``."""
    add = parser.add_argument
    add("project", choices=["emotivoice"], help="whose model it is")
    add("--from", dest="checkout", type=Path, metavar="CHECKOUT", help="checkout of the project that holds every file")
    for name, purpose in _FILES.items():
        add(f"--{name.replace('_', '-')}", type=Path, metavar="PATH", help=purpose)
    add("--name", default="emotivoice", help="name of the bundle (default: emotivoice)")
    add("--out", type=Path, required=True, metavar="DIR", help="where the bundle goes")


def run(args: argparse.Namespace) -> int:
    """Read the model and write the bundle, with progress on standard error."""
    try:
        from emotirt.build.emotivoice import load_public_model
        from emotirt.build.emotivoice_bundle import build_public_bundle
        from emotirt.build.emotivoice_files import EmotiVoiceFiles, files_from_checkout
    except ModuleNotFoundError as exc:
        raise BackendUnavailable(
            f"importing needs the package {exc.name!r}: pip install 'emotirt[train,emotivoice]'"
        ) from exc
    logging.getLogger("emotirt").setLevel(logging.INFO)
    paths = {} if args.checkout is None else files_from_checkout(args.checkout)
    paths |= {name: getattr(args, name) for name in _FILES if getattr(args, name) is not None}
    missing = [f"--{name.replace('_', '-')}" for name in _FILES if name not in paths]
    if missing:
        raise UsageError(f"missing {', '.join(missing)}; or give --from CHECKOUT, where all of them are found")
    model = load_public_model(EmotiVoiceFiles(**paths))
    bundle = build_public_bundle(args.out, model, args.name).bundle
    voices = f"{len(bundle.voices)} voices, {bundle.size_bytes / 1e6:.1f} MB"
    sys.stderr.write(
        f"{args.out}: bundle {bundle.manifest.name!r}, {voices}; try: emotirt say --bundle {args.out} 你好\n"
    )
    return 0
