"""Every graph of both bundle families becomes a plan of TensorRT for RTX, on a machine with no GPU.

The default bundle as it is shipped; the EmotiVoice family at its published sizes, with random weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emotirt.build.emotivoice_bundle import build_public_bundle, published_config, random_public_model
from emotirt.build.fold import folded
from emotirt.build.int8 import calibrated_tensors
from emotirt.build.parity import ShapeCase
from emotirt.build.plan import PlanBuilder, build_plan
from emotirt.build.plan_adapter import PlanOrder
from emotirt.build.plan_graph import plan_graph
from emotirt.build.precision import Quantization
from emotirt.build.tensorrt_rtx import TensorrtRtx
from emotirt.bundle.contract import VOCODER
from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.plans import FLOAT32, FP16, INT8
from emotirt.bundle.profiles import stage_profiles
from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.runtime.tensorrt_library import TARGET_RTX, is_installed, load_library

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(TARGET_RTX), reason="TensorRT for RTX is not installed"),
]
CAPABILITIES = ("8.6", "8.9", "12.0")
BERT_BLOCKS = 2
"""Of 12 equal ones, each of which costs the builder seconds; the whole encoder is in benchmarks/results."""


@pytest.fixture(scope="module")
def published_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    config = published_config()
    assert config.prompt is not None
    config = replace(config, prompt=replace(config.prompt, blocks=BERT_BLOCKS))
    model = random_public_model(config, speaker_count=3)
    case = (ShapeCase("min", 1, 1, 1),)
    return build_public_bundle(tmp_path_factory.mktemp("published") / "b", model, "published", cases=case).bundle


def assert_plans(bundle: Bundle, precision: str, directory: Path) -> None:
    cache = PlanCache(directory)
    builder = PlanBuilder(load_library(TARGET_RTX), cache)
    outcomes = list(builder.plans(bundle, precision))
    assert sorted(outcome.record.key.stage for outcome in outcomes) == sorted(bundle.manifest.stages)
    for outcome in outcomes:
        key = outcome.record.key
        assert outcome.built
        assert (key.precision, key.compute_capabilities) == (precision, CAPABILITIES)
        assert cache.load(key).record == outcome.record
        for capability in CAPABILITIES:
            assert cache.find(replace(key, compute_capabilities=(capability,))).record == outcome.record


@pytest.mark.parametrize("precision", [FLOAT32, FP16])
def test_the_default_bundle_becomes_plans(precision: str, tmp_path: Path) -> None:
    assert_plans(open_bundle(default_bundle_path()), precision, tmp_path)


@pytest.mark.parametrize("precision", [FLOAT32, FP16])
def test_the_emotivoice_family_becomes_plans(published_bundle: Bundle, precision: str, tmp_path: Path) -> None:
    assert_plans(published_bundle, precision, tmp_path)


@pytest.mark.parametrize(("family", "kept"), [("default", ("/MatMul_1",)), ("emotivoice", ())])
def test_a_quantized_vocoder_becomes_a_plan(family: str, kept: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """Every layer that can be quantized is, but the inverse transform, which measuring keeps in float32.

    The ranges, which no builder looks at, are made up.
    """
    published = family == "emotivoice"
    bundle = request.getfixturevalue("published_bundle") if published else open_bundle(default_bundle_path())
    graph = bundle.stage_bytes(VOCODER)
    quantization = Quantization(dict.fromkeys(calibrated_tensors(folded(graph)), 4.0), kept)
    order = PlanOrder(
        VOCODER,
        INT8,
        plan_graph(graph, VOCODER, INT8, quantization),
        stage_profiles(bundle.manifest, VOCODER, is_measured=False),
        CAPABILITIES,
    )
    assert len(build_plan(load_library(TARGET_RTX).module, TensorrtRtx(), order)) > 1_000_000
