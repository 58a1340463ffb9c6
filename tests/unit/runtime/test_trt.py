"""Everything between buckets and the GPU's packages, on packages that are simulated in host memory."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.assets.simulated_gpu import CODE, Code, SimulatedCuda, SimulatedEngine, simulated_tensorrt
from tests.unit.runtime.test_bucketed import Parts, text_feeds

from emotirt.bundle.contract import DECODER, SPEAKING_STAGES, TEXT_ENCODER, VOCODER, stage_contract
from emotirt.bundle.manifest import Manifest
from emotirt.bundle.plan_cache import StoredPlan
from emotirt.bundle.plans import FP16, TENSORRT, TENSORRT_8, PlanKey, PlanPlace, PlanRecord
from emotirt.bundle.profiles import plan_keys
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError, DeviceFault, DeviceOutOfMemory, PlanUnusable
from emotirt.runtime import cuda, trt_api
from emotirt.runtime.fused import ACOUSTIC, SPEECH
from emotirt.runtime.layout import MEL_BY_CHANNEL, Layout
from emotirt.runtime.pool import SlotPool, runner_on, slot_on
from emotirt.runtime.tensorrt_library import Library
from emotirt.runtime.trt import PlanLoader, TrtDevice, joined_stage
from emotirt.runtime.trt_open import describe
from emotirt.types import TensorSpec


class Gpu:
    """A bundle's plans on a simulated GPU."""

    def __init__(self, parts: Parts, runtime: SimulatedCuda, adapter: str = TENSORRT) -> None:
        self.manifest = parts.bundle.manifest
        self.runtime = runtime
        self.plans = {stage: stored(self.manifest, stage) for stage in SPEAKING_STAGES}
        made = {
            plan.data: self._engine(parts, plan.record.key, adapter) for plans in self.plans.values() for plan in plans
        }
        self.engines = {stage: [made[plan.data] for plan in plans] for stage, plans in self.plans.items()}
        module = simulated_tensorrt(made)
        self.loader = PlanLoader(Library(adapter, "0", module))

    @property
    def contexts(self) -> int:
        """How many were made of all plans."""
        return sum(engine.contexts for engines in self.engines.values() for engine in engines)

    def _engine(self, parts: Parts, key: PlanKey, adapter: str) -> SimulatedEngine:
        stage = key.stage
        contract = stage_contract(stage, self.manifest.dimensions)
        whole = "int32" if adapter == TENSORRT_8 else "int64"
        inputs = [TensorSpec(s.name, whole if s.dtype == "int64" else s.dtype, s.shape) for s in contract.inputs]
        outputs, extra = list(contract.outputs), {}
        if stage == DECODER and adapter != TENSORRT_8:  # so that a plan without that output is seen too
            outputs.insert(0, TensorSpec(MEL_BY_CHANNEL, "float32", ("batch", self.manifest.mel.n_mels, "frames")))
            extra[MEL_BY_CHANNEL] = lambda made: made["mel"].transpose(0, 2, 1)
        return SimulatedEngine(self.runtime, parts.exact[stage], (inputs, outputs), key.profiles, extra)

    def pool(self, slots: int = 1, most_recorded: int = 50) -> SlotPool:
        loaded = {
            stage: joined_stage(
                [self.loader.load(plan, stage_contract(stage, self.manifest.dimensions)) for plan in plans]
            )
            for stage, plans in self.plans.items()
        }
        specs = {stage: item.specs for stage, item in loaded.items()}
        layout = Layout(specs, self.manifest.hop_samples)
        self.devices = [TrtDevice(self.loader, loaded, layout, most_recorded) for _ in range(slots)]
        ready = [slot_on(device, layout, specs, self.manifest) for device in self.devices]
        return SlotPool(ready, lambda: [device.close() for device in self.devices] and None)


def stored(manifest: Manifest, stage: str, version_compatible: bool = False) -> list[StoredPlan]:
    """The plans of a stage as the cache gives them; the bytes of each are the stage's name and its number."""
    keys = plan_keys(manifest, stage, FP16, PlanPlace(TENSORRT, "0", "", ("9.0",)), version_compatible)
    return [with_data(PlanRecord(key, "", 0, "", 0.0), f"{stage} {index}".encode()) for index, key in enumerate(keys)]


def with_data(record: PlanRecord, data: bytes) -> StoredPlan:
    """A plan as the cache gives it."""
    return StoredPlan(replace(record, plan_sha256=hashlib.sha256(data).hexdigest(), plan_bytes=len(data)), data)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCuda]:
    """CUDA's package, simulated."""
    simulated = SimulatedCuda()
    bindings: Any = ModuleType("cuda.bindings")
    bindings.runtime = simulated
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    cuda._runtime.cache_clear()
    yield simulated
    cuda._runtime.cache_clear()


@pytest.fixture(scope="module")
def parts(opened_bundle: Bundle) -> Parts:
    return Parts(opened_bundle)


@pytest.mark.parametrize("adapter", [TENSORRT, TENSORRT_8])
def test_stages_and_chains_equal_those_without_a_gpu(parts: Parts, runtime: SimulatedCuda, adapter: str) -> None:
    pool = Gpu(parts, runtime, adapter).pool()
    for name, tolerance in ((ACOUSTIC, 1e-3), (SPEECH, 1e-3)):
        runner = runner_on(pool, name, parts.bundle.manifest)
        for lengths in ((17,), (9, 33, 21), (17,), (40, 3)):
            feeds = text_feeds(parts.bundle, lengths, seed=sum(lengths))
            found, expected = runner.run(feeds), parts.exact[name].run(feeds)
            np.testing.assert_array_equal(found["durations"], expected["durations"])
            made = next(key for key in found if key != "durations")
            frames = expected["durations"].sum(axis=1).astype(int)
            for row, count in enumerate(frames):
                end = count * (parts.bundle.manifest.hop_samples if name == SPEECH else 1)
                np.testing.assert_allclose(found[made][row, :end], expected[made][row, :end], atol=tolerance)
    assert runtime.launches > 4  # what came again came from a graph


def test_nothing_is_allocated_once_every_bucket_was_seen(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime)
    pool = gpu.pool()
    runner = runner_on(pool, SPEECH, parts.bundle.manifest)
    requests = [text_feeds(parts.bundle, (5 + 7 * index,)) for index in range(6)]
    for feeds in requests:
        runner.run(feeds)
    allocations, contexts = runtime.allocations, gpu.contexts
    for feeds in requests * 2:
        runner.run(feeds)
    assert runtime.allocations == allocations
    assert gpu.contexts == contexts
    (described,) = describe(pool)
    assert {graph["stage"] for graph in described["graphs"]} >= {TEXT_ENCODER, DECODER}  # type: ignore[attr-defined]
    runner.close()
    assert runtime.blocks == {}
    assert runtime.streams == 0
    with pytest.raises(BackendError, match="closed"):
        runner.run(requests[0])


def test_graphs_are_bounded_and_the_one_used_longest_ago_goes(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime)
    runner = runner_on(gpu.pool(most_recorded=3), TEXT_ENCODER, parts.bundle.manifest)
    for length in (10, 40, 100, 10, 150):
        runner.run(text_feeds(parts.bundle, (length,)))
    assert [bucket.axes["tokens"] for bucket in gpu.devices[0].recorded] == [128, 32, 192]


def test_a_bucket_that_cannot_be_recorded_is_computed_all_the_same(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime)
    for engine in gpu.engines[TEXT_ENCODER]:
        engine.refuses_recording = True
    runner = runner_on(gpu.pool(), TEXT_ENCODER, parts.bundle.manifest)
    feeds = text_feeds(parts.bundle, (12, 20))
    expected = parts.exact[TEXT_ENCODER].run(feeds)
    for _ in range(2):
        np.testing.assert_array_equal(runner.run(feeds)["durations"], expected["durations"])
    assert gpu.devices[0].recorded == {}
    assert gpu.contexts == 1


def test_a_recording_that_turns_out_spoiled_at_its_end_is_done_without(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime)
    runtime.spoils_recordings = True
    runner = runner_on(gpu.pool(), TEXT_ENCODER, parts.bundle.manifest)
    feeds = text_feeds(parts.bundle, (12, 20))
    expected = parts.exact[TEXT_ENCODER].run(feeds)
    for _ in range(2):
        np.testing.assert_array_equal(runner.run(feeds)["durations"], expected["durations"])
    assert gpu.devices[0].recorded == {}
    assert runtime.recording is None


def test_a_plan_that_does_not_share_its_profiles_runs_without_graphs(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime, TENSORRT_8)
    for engine in gpu.engines[TEXT_ENCODER]:
        engine.shares = False
    pool = gpu.pool()
    for engine in gpu.engines[TEXT_ENCODER]:
        engine.contexts = 0  # those of the question are gone
    runner = runner_on(pool, TEXT_ENCODER, parts.bundle.manifest)
    for length in (12, 20, 50):
        feeds = text_feeds(parts.bundle, (length,))
        np.testing.assert_array_equal(runner.run(feeds)["durations"], parts.exact[TEXT_ENCODER].run(feeds)["durations"])
    assert gpu.devices[0].recorded == {}


def test_usual_buckets_are_set_up_before_the_first_call(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime)
    pool = gpu.pool(most_recorded=200)
    count = pool.prepare()
    assert count == sum(len(device.recorded) for device in gpu.devices)
    contexts = gpu.contexts
    runner_on(pool, SPEECH, parts.bundle.manifest).run(text_feeds(parts.bundle, (60,)))
    assert gpu.contexts <= contexts + 2  # a decoder's length, a window's


def test_slots_compute_side_by_side_without_mixing(parts: Parts, runtime: SimulatedCuda) -> None:
    runner = runner_on(Gpu(parts, runtime).pool(slots=1), ACOUSTIC, parts.bundle.manifest)
    requests = [text_feeds(parts.bundle, (8 + index,), seed=index) for index in range(8)]
    expected = [parts.exact[ACOUSTIC].run(feeds) for feeds in requests]
    with ThreadPoolExecutor(3) as lanes:
        for found, wanted in zip(lanes.map(runner.run, requests), expected, strict=True):
            np.testing.assert_array_equal(found["durations"], wanted["durations"])
            np.testing.assert_allclose(found["mel"], wanted["mel"], atol=1e-3)


def test_what_tensorrt_refuses_is_said_in_its_words(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime)
    contract = stage_contract(VOCODER, parts.bundle.manifest.dimensions)
    plan = gpu.plans[VOCODER][0]
    with pytest.raises(PlanUnusable, match=r"vocoder: magic tag differs; build it again"):
        gpu.loader.load(with_data(plan.record, b"cut"), contract)
    with pytest.raises(PlanUnusable, match=r"plan of stage vocoder takes \['durations'"):
        gpu.loader.load(with_data(plan.record, gpu.plans[DECODER][0].data), contract)
    runner = runner_on(gpu.pool(), VOCODER, parts.bundle.manifest)
    for engine in gpu.engines[VOCODER]:
        engine.fails = True
    feeds = {"mel": np.zeros((1, 80, 40), dtype=np.float32)}
    with pytest.raises(BackendError, match=r"vocoder failed on .*'frames': 40") as caught:
        runner.run(feeds)
    assert not isinstance(caught.value, DeviceFault)
    runtime.pending = Code.cudaErrorIllegalAddress
    with pytest.raises(DeviceFault, match="cudaErrorIllegalAddress"):
        runner.run(feeds)
    runner.close()  # of a faulted device: a warning, no error


def test_only_plans_that_we_built_so_bring_code_along(parts: Parts, runtime: SimulatedCuda) -> None:
    gpu = Gpu(parts, runtime)
    contract = stage_contract(VOCODER, parts.bundle.manifest.dimensions)
    plan = gpu.plans[VOCODER][0]
    carrying = CODE + plan.data
    ours = with_data(stored(gpu.manifest, VOCODER, version_compatible=True)[0].record, carrying)
    assert gpu.loader.load(ours, contract).stage == VOCODER
    with pytest.raises(PlanUnusable, match="host code is not allowed"):
        gpu.loader.load(with_data(plan.record, carrying), contract)
    assert gpu.loader.load(plan, contract).stage == VOCODER


def test_plans_of_one_stage_agree_about_types(parts: Parts, runtime: SimulatedCuda) -> None:
    contract = stage_contract(TEXT_ENCODER, parts.bundle.manifest.dimensions)
    wide, narrow = Gpu(parts, runtime), Gpu(parts, runtime, TENSORRT_8)
    one = wide.loader.load(wide.plans[TEXT_ENCODER][0], contract)
    joined = joined_stage([wide.loader.load(plan, contract) for plan in wide.plans[TEXT_ENCODER]])
    assert len(joined.places) == len(joined.specs.shapes.profiles) == len(wide.plans[TEXT_ENCODER])
    with pytest.raises(PlanUnusable, match="text_encoder have tensors of different types"):
        joined_stage([one, narrow.loader.load(narrow.plans[TEXT_ENCODER][1], contract)])


def test_this_tensorrt_has_the_switch_for_code() -> None:
    bindings = pytest.importorskip("tensorrt_rtx_bindings")
    assert isinstance(bindings.Runtime.engine_host_code_allowed, property)


def test_no_room_on_the_device_leaves_nothing_behind(parts: Parts, runtime: SimulatedCuda) -> None:
    runtime.room_bytes = 10_000
    with pytest.raises(DeviceOutOfMemory, match="MB of GPU memory"):
        Gpu(parts, runtime).pool()
    assert runtime.blocks == {}
    assert runtime.streams == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cudaErrorMemoryAllocation", "DeviceOutOfMemory"),
        ("cudaErrorIllegalAddress", "DeviceFault"),
        ("cudaErrorLaunchFailure", "DeviceFault"),
        ("cudaErrorInsufficientDriver", "BackendUnavailable"),
        ("cudaErrorNoDevice", "BackendUnavailable"),
        ("cudaErrorInvalidValue", "BackendError"),
    ],
)
def test_errors_of_cuda_are_told_apart(name: str, kind: str) -> None:
    error = cuda.error_from_code("it broke", name, "because")
    assert type(error).__name__ == kind
    assert str(error).startswith(f"it broke: {name} (because)")


def test_the_packages_really_have_the_names_that_are_used() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    for name in [name for name in vars(SimulatedCuda) if name.startswith("cuda")]:
        assert hasattr(runtime, name), name
    for name in (*cuda.STICKY, *cuda.ABSENT):
        assert hasattr(runtime.cudaError_t, name), name
    trt = pytest.importorskip("tensorrt_rtx_bindings")
    for name in ("get_tensor_name", "get_tensor_mode", "get_tensor_dtype", "is_shape_inference_io", "num_io_tensors",
                 "get_tensor_profile_shape", "num_optimization_profiles"):  # fmt: skip
        assert hasattr(trt.ICudaEngine, name), name
    for name in ("set_input_shape", "set_tensor_address", "execute_async_v3", "set_optimization_profile_async",
                 "active_optimization_profile"):  # fmt: skip
        assert hasattr(trt.IExecutionContext, name), name
    assert hasattr(trt.ICudaEngine, "get_device_memory_size_for_profile_v2")
    assert {"FLOAT", "HALF", "INT32", "INT64", "INT8", "BOOL"} <= set(trt.DataType.__members__)
    log = trt_api.log_of(trt)
    log.log(trt.ILogger.Severity.ERROR, "no  luck")
    assert trt_api.said_by(log) == "no luck"
    assert trt_api.said_by(log) == "it gave no reason"
