"""The spectral vocoder as a graph: no stored cosines, and ONNX Runtime gives what PyTorch gives at any length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from tests.assets.make_tiny_bundle import tiny_config

from emotirt.build.export import dimensions, export_stage, prepare_networks
from emotirt.bundle.contract import VOCODER, stage_contract
from emotirt.models.checkpoint import Networks, build_networks
from emotirt.models.config import SpectralConfig
from emotirt.runtime.ort import OrtRunner


@pytest.fixture(scope="module")
def prepared() -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return prepare_networks(
            build_networks(replace(tiny_config(), vocoder=SpectralConfig(channels=16, blocks=2, expansion=2)))
        )


@pytest.fixture(scope="module")
def graph(prepared: Networks) -> bytes:
    return export_stage(prepared, VOCODER)


def test_the_graph_computes_its_cosines(graph: bytes) -> None:
    assert len(graph) < 250_000  # the matrix alone would be 4 MB
    kinds = [node.op_type for node in onnx.load_from_string(graph).graph.node]
    assert kinds.count("Sin") == 2  # one for the phases, one for the matrix
    assert "ConvTranspose" not in kinds


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 2), (3, 7), (2, 130)])
def test_onnx_runtime_gives_what_torch_gives(prepared: Networks, graph: bytes, batch: int, frames: int) -> None:
    contract = stage_contract(VOCODER, dimensions(prepared))
    runner = OrtRunner(VOCODER, graph, contract.inputs, contract.outputs, 1)
    mel = np.random.default_rng(frames).normal(-4.0, 1.5, (batch, 80, frames)).astype(np.float32)
    given = runner.run({"mel": mel})["wav"]
    runner.close()
    with torch.no_grad():
        wanted = prepared.vocoder(torch.from_numpy(mel)).numpy()
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))
