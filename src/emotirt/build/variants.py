"""Bundles whose vocoder computes the same in another way, to compare ways on the machine that runs them."""

from __future__ import annotations

from pathlib import Path

from emotirt.build.rewrites import REWRITES, rewritten, with_stage_graph
from emotirt.build.spectral_forms import SpectralForm, export_form
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.store import Bundle, open_bundle
from emotirt.errors import BuildError

FORM = "form"


def make_variant(source: Path, directory: Path, variant: str) -> Bundle:
    """Write a copy of a bundle with another way to compute its vocoder.

    Args:
        source: directory of the bundle.
        directory: where the copy goes; an existing bundle there is replaced.
        variant: rewrites joined by ``+``, such as ``polyphase+planar``; or ``form:`` with the three words of
            ``SpectralForm``, such as ``form:conv/shifts/phases``.

    Raises:
        BuildError: no such variant, or the vocoder is not of the kind that it is for.
        BundleError: a bundle cannot be read or written.
    """
    bundle = open_bundle(source)
    kind, _, words = variant.partition(":")
    if kind == FORM:
        parts = words.split("/")
        if len(parts) != 3:
            raise BuildError(f"variant {variant!r} is not known; a form has three words, such as form:conv/conv/add")
        graph = export_form(bundle, SpectralForm(*parts))
    elif not variant:
        raise BuildError(f"no variant is named; give rewrites ({', '.join(REWRITES)}) joined by +, or form:A/B/C")
    else:
        graph = rewritten(bundle.stage_bytes(VOCODER), variant.split("+"), VOCODER)
    name = "-".join([bundle.manifest.name, *variant.replace(":", "+").replace("/", "+").split("+")])
    return with_stage_graph(bundle, directory, VOCODER, graph, name)
