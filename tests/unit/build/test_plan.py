"""Plans with TensorRT for RTX, which builds them without a GPU; small graphs here, the real ones in tests/parity."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emotirt.build.plan import PlanBuilder, PlanOutcome, build_plan
from emotirt.build.plan_adapter import PlanOptions, PlanOrder
from emotirt.build.plan_graph import plan_graph, summed_by_products
from emotirt.build.plan_network import Messages, PhaseTree, create_builder
from emotirt.build.tensorrt_rtx import TensorrtRtx
from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.plans import FLOAT32, FP16, INT8, TENSORRT, TENSORRT_8, Profile, ShapeRange
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendUnavailable, PlanFailed
from emotirt.runtime.gpu import find_gpu
from emotirt.runtime.layout import MEL_BY_CHANNEL
from emotirt.runtime.ort import OrtRunner
from emotirt.runtime.tensorrt_library import TARGET_RTX, Library, is_installed, load_library
from emotirt.types import TensorSpec

pytestmark = pytest.mark.skipif(not is_installed(TARGET_RTX), reason="TensorRT for RTX is not installed")
STAGE = "reference_encoder"
QUICK = (STAGE, "decoder")
"""Quick to build; all of them are built in tests/parity."""
MEL = Profile((("mel", ShapeRange((1, 80, 80), (1, 80, 80), (4, 80, 80))),))


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library(TARGET_RTX)


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


@pytest.fixture
def builder(library: Library, cache: PlanCache) -> PlanBuilder:
    return PlanBuilder(library, cache, PlanOptions(compute_capabilities=("8.9",)))


def one_node(kind: str, domain: str = "") -> bytes:
    node = helper.make_node(kind, ["mel"], ["wav"], name="/odd/node", domain=domain)
    graph = helper.make_graph(
        [node],
        "stage",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", 80, 80])],
        [helper.make_tensor_value_info("wav", TensorProto.FLOAT, None)],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    data: bytes = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return data


def order(graph: bytes, profile: Profile = MEL) -> PlanOrder:
    return PlanOrder("vocoder", FLOAT32, graph, (profile,), ("8.6",))


def made(builder: PlanBuilder, bundle: Bundle) -> PlanOutcome:
    """The only plan of the quick stage."""
    (outcome,) = builder.plans(bundle, FP16, (STAGE,))
    return outcome


def names(cache: PlanCache) -> set[str]:
    return {path.name for path in cache.directory.iterdir() if path.suffix != ".lock"}


def test_stages_of_a_small_bundle_become_plans(opened_bundle: Bundle, builder: PlanBuilder, cache: PlanCache) -> None:
    shown: dict[str, list[float]] = {}
    outcomes = list(builder.plans(opened_bundle, FP16, QUICK, lambda at, done: shown.setdefault(at, []).append(done)))
    assert [outcome.record.key.stage for outcome in outcomes] == list(QUICK)
    for outcome in outcomes:
        record = outcome.record
        assert outcome.built
        assert (record.key.precision, record.key.compute_capabilities) == (FP16, ("8.9",))
        assert record.key.graph_sha256 == opened_bundle.manifest.stages[record.key.stage].sha256
        (key,) = builder.keys(opened_bundle, record.key.stage, FP16)
        assert cache.load(key).record == record
        steps = shown[record.key.stage]
        assert steps == sorted(steps)
        assert steps[-1] == 1.0
    before = names(cache)
    assert not any(outcome.built for outcome in builder.plans(opened_bundle, FP16, QUICK))
    assert names(cache) == before


def test_a_plan_for_more_gpus_serves_fewer(opened_bundle: Bundle, library: Library, cache: PlanCache) -> None:
    wide = PlanBuilder(library, cache)
    assert wide.place.compute_capabilities == ("8.6", "8.9", "12.0")
    assert made(wide, opened_bundle).built
    narrow = PlanBuilder(library, cache, PlanOptions(compute_capabilities=("8.6",)))
    assert not made(narrow, opened_bundle).built
    other = PlanBuilder(library, cache, PlanOptions(compute_capabilities=("8.0",)))
    outcome = made(other, opened_bundle)
    assert outcome.built
    assert "compute capability 8.6, 8.9, 12.0, needed is 8.0" in outcome.note


def test_a_plan_cut_in_half_is_built_anew(
    opened_bundle: Bundle, builder: PlanBuilder, cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    first = made(builder, opened_bundle).record
    os.truncate(cache.plan_path(first.key), first.plan_bytes // 2)
    with caplog.at_level(logging.WARNING, "emotirt.build.plan"):
        outcome = made(builder, opened_bundle)
    assert outcome.built
    assert f"is truncated: it has {first.plan_bytes // 2} of {first.plan_bytes} bytes; building it anew" in caplog.text
    assert cache.load(first.key).record == outcome.record


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (one_node("Det"), r"refuses stage vocoder in float32: node '/odd/node' \(Det\): unsupported node, "),
        (one_node("Mystery", "own"), r"node '/odd/node' \(Mystery\): .*[Pp]lugin not found"),
        (b"no graph", "the graph: .*Failed to parse the ONNX model"),
    ],
)
def test_what_the_parser_refuses_is_named(library: Library, graph: bytes, words: str) -> None:
    with pytest.raises(PlanFailed, match=words):
        build_plan(library.module, TensorrtRtx(), order(graph))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (ShapeRange((4, 80, 80), (1, 80, 80), (2, 80, 80)), "takes profile 0 .* for contradictory"),
        (ShapeRange((1, 70, 80), (1, 70, 80), (2, 70, 80)), "cannot build .*profile has min=70"),
    ],
)
def test_what_the_builder_refuses_is_told(library: Library, shapes: ShapeRange, words: str) -> None:
    with pytest.raises(PlanFailed, match=words):
        build_plan(library.module, TensorrtRtx(), order(one_node("Relu"), Profile((("mel", shapes),))))


def test_an_interruption_ends_the_build(library: Library) -> None:
    def interrupt(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(library.module, TensorrtRtx(), order(one_node("Relu")), progress=interrupt)


def test_what_cannot_be_asked_for(opened_bundle: Bundle, builder: PlanBuilder, cache: PlanCache) -> None:
    with pytest.raises(PlanFailed, match=r"no compute capability '9\.0'; it knows 7\.5"):
        PlanBuilder(load_library(TARGET_RTX), cache, PlanOptions(compute_capabilities=("9.0",)))
    with pytest.raises(PlanFailed, match="hold no lean runtime"):
        PlanBuilder(load_library(TARGET_RTX), cache, PlanOptions(version_compatible=True))
    with pytest.raises(PlanFailed, match="has no stage 'vocodre'; it has"):
        list(builder.plans(opened_bundle, FP16, ["vocodre"]))
    with pytest.raises(PlanFailed, match="reference_encoder has no plan 2: it has 1, counted from 1"):
        list(builder.plans(opened_bundle, FP16, [STAGE], part=2))
    with pytest.raises(PlanFailed, match="decoder is not offered in int8"):
        plan_graph(opened_bundle.stage_bytes("decoder"), "decoder", INT8, None)
    assert not cache.directory.exists()


@pytest.mark.parametrize("adapter", [TENSORRT, TENSORRT_8])
def test_other_tensorrts_say_that_they_need_a_gpu(cache: PlanCache, adapter: str) -> None:
    try:
        find_gpu()
    except BackendUnavailable:
        with pytest.raises(BackendUnavailable, match=r"no NVIDIA GPU to use: .*driver"):
            PlanBuilder(Library(adapter, "10.9.0", None), cache)
        assert not cache.directory.exists()
    else:
        pytest.skip("there is a GPU here")


def test_a_tensorrt_that_does_not_start_says_why() -> None:
    def refused(logger: object) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    messages = Messages(warnings=["CUDA initialization failure with error: 35."])
    old = SimpleNamespace(Builder=refused, __version__="8.6.0")
    with pytest.raises(BackendUnavailable, match=r"8\.6\.0 does not start: CUDA .* error: 35\.; its driver may be"):
        create_builder(old, None, messages)


@pytest.mark.parametrize("stage", ["text_encoder", "decoder"])
def test_counting_in_integers_changes_no_number(opened_bundle: Bundle, stage: str) -> None:
    graph = opened_bundle.stage_bytes(stage)
    prepared = plan_graph(graph, stage, FLOAT32)
    model = onnx.load_from_string(prepared)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {info.name: info.type.tensor_type.elem_type for info in inferred.value_info}
    ranges = [node for node in model.graph.node if node.op_type == "Range"]
    assert ranges
    assert all(types[node.output[0]] == TensorProto.INT64 for node in ranges)
    entry = opened_bundle.manifest.stages[stage]
    inputs = tuple(TensorSpec(item.name, item.dtype, item.shape) for item in entry.inputs)
    outputs = tuple(TensorSpec(item.name, item.dtype, item.shape) for item in entry.outputs)
    rng = np.random.default_rng(0)
    sizes = {"batch": 2, "tokens": 7, "frames": 21}
    feeds = {}
    for spec in inputs:
        shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in spec.shape)
        whole = spec.dtype == "int64"
        feeds[spec.name] = np.full(shape, 3, np.int64) if whole else rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if "durations" in feeds:
        feeds["durations"] = np.full((2, 7), 3, np.float32)
    more = [TensorSpec(MEL_BY_CHANNEL, "float32", ("batch", 80, "frames"))] if stage == "decoder" else []
    before = OrtRunner(stage, graph, inputs, outputs, 1).run(feeds)
    after = OrtRunner(stage, prepared, inputs, (*outputs, *more), 1).run(feeds)
    if more:
        np.testing.assert_array_equal(after[MEL_BY_CHANNEL], after["mel"].transpose(0, 2, 1))
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", [FLOAT32, FP16])
@pytest.mark.parametrize("stage", ["text_encoder", "decoder", "vocoder", "reference_encoder"])
def test_no_graph_has_what_the_parser_of_86_trips_on(opened_bundle: Bundle, stage: str, precision: str) -> None:
    graph = onnx.load_from_string(plan_graph(opened_bundle.stage_bytes(stage), stage, precision)).graph
    read = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    for node in graph.node:
        assert node.op_type != "CumSum", "a loop, and none can be recorded in a CUDA graph"
        assert node.input[-1], f"{node.name} leaves its last input out"
        assert read & set(node.output), f"nobody reads {node.name}"


@pytest.mark.parametrize("size", [1, 2, 33])
def test_running_sums_as_products_change_no_whole_number(size: int) -> None:
    axis = numpy_helper.from_array(np.array(1, dtype=np.int32), "axis")
    graph = helper.make_graph(
        [helper.make_node("CumSum", ["frames", "axis"], ["ends"], name="/sum")],
        "stage",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["batch", "tokens"])],
        [helper.make_tensor_value_info("ends", TensorProto.FLOAT, ["batch", "tokens"])],
        [axis],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    summed_by_products(model)
    assert [node.op_type for node in model.graph.node].count("CumSum") == 0
    frames = np.random.default_rng(size).integers(0, 30, (3, size)).astype(np.float32)
    spec = [TensorSpec(name, "float32", ("batch", "tokens")) for name in ("frames", "ends")]
    made = OrtRunner("decoder", model.SerializeToString(), (spec[0],), (spec[1],), 1).run({"frames": frames})
    np.testing.assert_array_equal(made["ends"], np.cumsum(frames, axis=1))


def test_progress_grows_through_nested_phases() -> None:
    seen: list[float] = []
    tree = PhaseTree(seen.append)
    tree.start("all", 2)
    for _ in range(2):
        tree.start("part", 4)
        for _ in range(4):
            tree.step("part")
        tree.finish("part")
        tree.step("all")
    tree.step("unknown")
    tree.finish("unknown")
    tree.finish("all")
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert seen[:4] == [0.125, 0.25, 0.375, 0.5]
