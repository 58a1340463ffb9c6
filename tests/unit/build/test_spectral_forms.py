"""The spectral vocoder in other forms gives the same samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from tests.assets.make_tiny_bundle import DESCRIPTION, tiny_config, tiny_vectors

from emotirt.build.parity import ShapeCase
from emotirt.build.recipe import build_bundle
from emotirt.build.spectral_forms import DEPTHWISE, OVERLAP, POINTWISE, SpectralForm, export_form
from emotirt.bundle.contract import VOCODER, stage_contract
from emotirt.bundle.store import Bundle
from emotirt.errors import BuildError
from emotirt.models.checkpoint import build_networks
from emotirt.models.config import SpectralConfig
from emotirt.runtime.ort import OrtRunner

FORMS = (
    *(SpectralForm(pointwise=name) for name in POINTWISE),
    *(SpectralForm(depthwise=name) for name in DEPTHWISE[1:]),
    *(SpectralForm(overlap=name) for name in OVERLAP[1:]),
    SpectralForm("conv", "shifts", "phases"),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        networks = build_networks(replace(tiny_config(), vocoder=SpectralConfig(channels=16, blocks=2, expansion=2)))
        for block in networks.vocoder.blocks:
            torch.nn.init.normal_(block.scale)  # so that an unused scale would be heard
    place = tmp_path_factory.mktemp("bundles") / "spectral"
    cases = (ShapeCase("min", 1, 1, 1),)
    return build_bundle(place, networks, tiny_vectors(), DESCRIPTION, "tests", cases).bundle


def wave(bundle: Bundle, graph: bytes, mel: np.ndarray) -> np.ndarray:
    contract = stage_contract(VOCODER, bundle.manifest.dimensions)
    runner = OrtRunner(VOCODER, graph, contract.inputs, contract.outputs, 1)
    made: np.ndarray = runner.run({"mel": mel})["wav"]
    return made


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.pointwise}-{form.depthwise}-{form.overlap}")
def test_every_form_gives_the_same_samples(bundle: Bundle, form: SpectralForm) -> None:
    graph, made = bundle.stage_bytes(VOCODER), export_form(bundle, form)
    for batch, frames in ((1, 1), (3, 2), (2, 37)):
        mel = np.random.default_rng(frames).normal(-4.0, 1.5, (batch, 80, frames)).astype(np.float32)
        wanted = wave(bundle, graph, mel)
        assert np.abs(wanted).max() > 1e-3
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(wave(bundle, made, mel), wanted, rtol=0, atol=2e-5 * scale)


def kinds(graph: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)


def test_forms_use_the_operators_that_they_name(bundle: Bundle) -> None:
    plain = kinds(bundle.stage_bytes(VOCODER))
    conv = kinds(export_form(bundle, SpectralForm(pointwise="conv")))
    assert plain["MatMul"] - conv["MatMul"] == conv["Conv"] - plain["Conv"] == 4
    assert kinds(export_form(bundle, SpectralForm(depthwise="shifts")))["Conv"] == 1
    assert kinds(export_form(bundle, SpectralForm(overlap="transposed")))["ConvTranspose"] == 2
    phases = kinds(export_form(bundle, SpectralForm(overlap="phases")))
    assert (phases["ConvTranspose"], phases["Pad"]) == (0, 0)


def test_what_cannot_be_is_refused(bundle: Bundle, opened_bundle: Bundle) -> None:
    with pytest.raises(BuildError, match="form overlap 'magic' is not known; give one of add, transposed, phases"):
        SpectralForm(overlap="magic")
    with pytest.raises(BuildError, match="the vocoder of bundle 'tiny' is a Generator"):
        export_form(opened_bundle, SpectralForm())
