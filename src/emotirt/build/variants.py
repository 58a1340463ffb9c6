"""Bundles whose vocoder computes the same in another way, to compare ways on the machine that runs them."""

from __future__ import annotations

import re
from pathlib import Path

from emotirt.build.rewrites import REWRITES, rewritten, with_stage_graph
from emotirt.build.spectral_forms import SpectralForm, export_form
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.profiles import Axes
from emotirt.bundle.store import Bundle, open_bundle
from emotirt.errors import BuildError

FORM, PLAIN = "form", "plain"


def make_variant(source: Path, directory: Path, variant: str) -> Bundle:
    """Write a copy of a bundle with another way to compute its vocoder.

    Args:
        source: directory of the bundle.
        directory: where the copy goes; an existing bundle there is replaced.
        variant: rewrites joined by ``+``, such as ``polyphase+planar``; or ``form:`` with the three words of
            ``SpectralForm``, such as ``form:conv/shifts/phases``; or ``plain`` for the graph as it is. Behind it
            ``@FRAMES`` or ``@FRAMESxBATCH``, several with commas, builds its plans for exactly these shapes.

    Raises:
        BuildError: no such variant, or the vocoder is not of the kind that it is for.
        BundleError: a bundle cannot be read or written.
    """
    bundle = open_bundle(source)
    way, _, shapes = variant.partition("@")
    kind, _, words = way.partition(":")
    if way == PLAIN:
        graph = bundle.stage_bytes(VOCODER)
    elif kind == FORM:
        parts = words.split("/")
        if len(parts) != 3:
            raise BuildError(f"variant {variant!r} is not known; a form has three words, such as form:conv/conv/add")
        graph = export_form(bundle, SpectralForm(*parts))
    elif not way:
        raise BuildError(f"no variant is named; give rewrites ({', '.join(REWRITES)}) joined by +, or form:A/B/C")
    else:
        graph = rewritten(bundle.stage_bytes(VOCODER), way.split("+"), VOCODER)
    name = "-".join([bundle.manifest.name, *re.split("[:/+@,]", variant)])
    return with_stage_graph(
        bundle, directory, VOCODER, graph, name, [_exact(item) for item in shapes.split(",") if item]
    )


def _exact(shape: str) -> Axes:
    """Read ``937`` or ``937x32``."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,3}))?", shape)
    if match is None or "0" in match.groups():
        raise BuildError(f"shape {shape!r} is not known; give frames, such as 937, or frames and batch, such as 90x32")
    frames, batch = (int(part or 1) for part in match.groups())
    return {"batch": (batch,) * 3, "frames": (frames,) * 3}
