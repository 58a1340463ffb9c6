"""TensorRT plans as stages on a GPU: contexts, one arena of activations a slot, and a CUDA graph for every bucket.

A bucket that comes again has a context of its own, whose shapes are set once, and a graph recorded from it: replaying a
graph whose context has seen other shapes since is undefined. Other shapes run on one context a profile. All contexts of
a slot compute in one order and so share the memory of their activations. No module is imported that could be missing
before a plan is really opened.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from emotirt.bundle.contract import StageContract
from emotirt.bundle.plan_cache import StoredPlan
from emotirt.bundle.plans import TENSORRT_8
from emotirt.errors import BackendError, DeviceFault, PlanUnusable
from emotirt.runtime import cuda, trt_api
from emotirt.runtime.buckets import Bucket, StageShapes
from emotirt.runtime.device import Bytes, Move
from emotirt.runtime.kernels.engine import KernelEngine, plan_from_bytes
from emotirt.runtime.layout import ALIGNMENT_BYTES, MEL_BY_CHANNEL, Launch, Layout, StageSpecs
from emotirt.runtime.tensorrt_library import Library
from emotirt.types import TensorSpec

logger = logging.getLogger(__name__)

MOST_RECORDED = 256
"""Buckets of a slot that keep a context and a graph; the one used longest ago makes room."""


@dataclass(frozen=True, slots=True)
class LoadedStage:
    """The plans of a stage on the device; may be used by several slots.

    Attributes:
        stage: name.
        places: of every profile of ``specs``: the engine of TensorRT that has it, and its index there.
        specs: shapes and types as the plans have them.
        activation_bytes: that a context needs.
        shares_profiles: whether several contexts may use one profile at once, without which there is one slot and no
            context, and so no graph, for each bucket.
    """

    stage: str
    places: tuple[tuple[Any, int], ...]
    specs: StageSpecs
    activation_bytes: int
    shares_profiles: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """What a slot holds, in bytes.

    Attributes:
        arena: inputs and outputs.
        activations: shared by all contexts.
        pinned: of the host.
    """

    arena: int
    activations: int
    pinned: int


@dataclass(slots=True)
class _Recorded:
    """A bucket's context, and its graph unless recording failed."""

    context: Any
    graph: cuda.Graph | None


class PlanLoader:
    """Turns plans into stages; one for all plans of a process."""

    def __init__(self, library: Library) -> None:
        """Begin with a GPU that ``cuda.open_device`` opened: TensorRT 8.6 does not survive its absence.

        Raises: BackendUnavailable: TensorRT does not start.
        """
        self._library = library
        self.module = library.module
        self.log = trt_api.log_of(library.module)
        self._runtime = library.module.Runtime(self.log)
        self._trusting: Any = None  # lives as long as what it loaded, like the other

    def load(self, stored: StoredPlan, contract: StageContract) -> LoadedStage:
        """Deserialize a plan of the cache.

        A version-compatible plan carries a runtime of its own, which is code for this process. TensorRT runs it only
        if told to trust the plan, and is told so for no other plan than one whose record says that we built it so.

        Raises: PlanUnusable: TensorRT refuses it, or it is of another graph.
        """
        stage = stored.record.key.stage
        runtime = self._runtime_with_code() if stored.record.key.version_compatible else self._runtime
        engine = runtime.deserialize_cuda_engine(stored.data)
        if engine is None:
            raise PlanUnusable(
                f"TensorRT cannot load the plan of stage {stage}: {trt_api.said_by(self.log)}; build it again",
                "damaged",
            )
        shares = self._library.adapter != TENSORRT_8 or self._shares_profiles(engine)
        if not shares:
            logger.warning("the plan of stage %s was built without profile sharing and runs without CUDA graphs", stage)
        specs = specs_of(self.module, engine, stage, contract)
        places = tuple((engine, index) for index in range(len(specs.shapes.profiles)))
        return LoadedStage(stage, places, specs, trt_api.activation_bytes(engine), shares)

    def _runtime_with_code(self) -> Any:
        if self._trusting is None:
            self._trusting = self.module.Runtime(self.log)
            self._trusting.engine_host_code_allowed = True
        return self._trusting

    def _shares_profiles(self, engine: Any) -> bool:
        """Ask as ``trt_api.shares_profiles``; contexts have memory meanwhile, as those have that compute."""
        memory = cuda.DeviceMemory(max(trt_api.activation_bytes(engine), ALIGNMENT_BYTES))
        try:
            return trt_api.shares_profiles(self.module, engine, memory.address, memory.size_bytes)
        finally:
            memory.close()


def joined_stage(parts: Sequence[LoadedStage]) -> LoadedStage:
    """Make one stage of its plans, whose profiles follow each other.

    Raises: PlanUnusable: they take or give different types.
    """
    first = parts[0]
    if any((part.specs.inputs, part.specs.outputs) != (first.specs.inputs, first.specs.outputs) for part in parts):
        raise PlanUnusable(
            f"the plans of stage {first.stage} have tensors of different types; build them again", "foreign"
        )
    shapes = StageShapes.joined([part.specs.shapes for part in parts])
    return LoadedStage(
        first.stage,
        tuple(place for part in parts for place in part.places),
        replace(first.specs, shapes=shapes),
        max(part.activation_bytes for part in parts),
        all(part.shares_profiles for part in parts),
    )


def loaded_kernels(stored: StoredPlan, contract: StageContract) -> LoadedStage:
    """Load a plan of our own kernels, which is run as an engine of TensorRT is.

    Raises: PlanUnusable: it is for another GPU, or damaged. DeviceOutOfMemory: no room.
    """
    key = stored.record.key
    shapes = StageShapes(key.stage, contract.inputs, key.profiles)
    largest = tuple((sizes["batch"], sizes["frames"]) for sizes in shapes.largest())
    engine = KernelEngine(plan_from_bytes(stored.data), largest)
    places = ((engine, 0),) * len(key.profiles)
    return LoadedStage(
        key.stage, places, StageSpecs(shapes, contract.inputs, contract.outputs), engine.device_memory_size, True
    )


def specs_of(module: Any, engine: Any, stage: str, contract: StageContract) -> StageSpecs:
    """Describe a plan in the contract's order, with the plan's own types.

    Raises: PlanUnusable: it has other tensors than the contract, or wants one of them in host memory.
    """
    inputs, outputs = trt_api.tensor_names(module, engine)
    taken, given = ({spec.name: spec for spec in side} for side in (contract.inputs, contract.outputs))
    extra = set(outputs) - set(given)
    if set(inputs) != set(taken) or not set(given) <= set(outputs) or extra - {MEL_BY_CHANNEL}:
        raise PlanUnusable(
            f"the plan of stage {stage} takes {sorted(inputs)} and gives {sorted(outputs)}, "
            f"expected {sorted(taken)} and {sorted(given)}; build it again",
            "foreign",
        )
    on_host = [name for name in inputs if engine.is_shape_inference_io(name)]
    if on_host:
        raise PlanUnusable(f"the plan of stage {stage} computes shapes from {on_host}; build it again", "foreign")
    if extra:
        batch, frames, channels = given["mel"].shape
        given[MEL_BY_CHANNEL] = TensorSpec(MEL_BY_CHANNEL, "float32", (batch, channels, frames))

    def own(spec: TensorSpec) -> TensorSpec:
        return TensorSpec(spec.name, trt_api.dtype_of(engine, spec.name), spec.shape)

    profiles = trt_api.profiles_of(engine, [spec.name for spec in contract.inputs])
    return StageSpecs(
        StageShapes(stage, contract.inputs, profiles),
        tuple(own(spec) for spec in contract.inputs),
        tuple(own(spec) for spec in given.values()),
    )


class TrtDevice:
    """One slot of a GPU; see ``runtime.device.Device``."""

    def __init__(
        self, loader: PlanLoader, stages: Mapping[str, LoadedStage], layout: Layout, most_recorded: int = MOST_RECORDED
    ) -> None:
        """Allocate everything that a call needs.

        Raises: DeviceOutOfMemory: no room. BackendError: TensorRT refuses.
        """
        self._loader = loader
        self._stages = dict(stages)
        self._most_recorded = most_recorded
        self._plain: dict[tuple[str, int], Any] = {}
        self._recorded: OrderedDict[Bucket, _Recorded] = OrderedDict()
        self._closers: list[Any] = []
        try:
            self._stream = self._owned(cuda.Stream())
            self._arena = self._owned(cuda.DeviceMemory(layout.size_bytes))
            most_bytes = max(stage.activation_bytes for stage in stages.values())
            self._activations = self._owned(cuda.DeviceMemory(max(most_bytes, ALIGNMENT_BYTES)))
            self._pinned = self._owned(cuda.PinnedMemory(layout.size_bytes))
        except BackendError:
            self.close()
            raise
        self.host: Bytes = self._pinned.array

    @property
    def memory(self) -> Memory:
        """What this slot holds."""
        return Memory(self._arena.size_bytes, self._activations.size_bytes, len(self.host))

    @property
    def recorded(self) -> dict[Bucket, dict[str, int]]:
        """Nodes of every recorded graph by kind, of the bucket used longest ago first."""
        return {bucket: item.graph.nodes for bucket, item in self._recorded.items() if item.graph is not None}

    def upload(self, start: int, stop: int) -> None:
        """Copy bytes of the mirror to the arena."""
        self._stream.copy_to_device(self._arena.address + start, self._pinned.address + start, stop - start)

    def download(self, start: int, stop: int) -> None:
        """Copy bytes of the arena to the mirror and wait."""
        self._stream.copy_to_host(self._pinned.address + start, self._arena.address + start, stop - start)
        self._stream.wait()

    def move(self, moves: Sequence[Move]) -> None:
        """Copy within the arena."""
        base = self._arena.address
        for item in moves:
            target = (base + item.target, item.target_pitch)
            self._stream.copy_rectangle(target, (base + item.source, item.source_pitch), item.width, item.rows)

    def launch(self, launch: Launch) -> None:
        """Compute a bucket: from its graph, recording that first if the bucket comes again, else directly."""
        recorded = self._recorded.get(launch.bucket)
        if recorded is None:
            if launch.bucket.recurs and self._stages[launch.bucket.stage].shares_profiles:
                self._record(launch)  # which computes it on the way
                return
            context = self._plain_context(launch)
            self._bind(context, launch)
            self._execute(context, launch)
            return
        self._recorded.move_to_end(launch.bucket)
        if recorded.graph is None:
            self._execute(recorded.context, launch)
        else:
            recorded.graph.launch(self._stream)

    def times_ms(self, launch: Launch, count: int) -> list[float]:
        """Compute a bucket ``count`` times, as ``launch`` does, and return how long the GPU took for each."""
        self.launch(launch)  # records it, if it is to be recorded
        moments = [cuda.Event() for _ in range(count + 1)]
        try:
            moments[0].record(self._stream)
            for moment in moments[1:]:
                self.launch(launch)
                moment.record(self._stream)
            return [later.ms_since(earlier) for earlier, later in pairwise(moments)]
        finally:
            for moment in moments:
                moment.close()

    def layer_times_ms(self, launch: Launch, count: int) -> list[tuple[str, list[float]]]:
        """Return the layers of a bucket in their order and how long each took, layer by layer and without a graph.

        Raises: BackendError: TensorRT makes no context, or refuses.
        """
        context = self._context(launch.bucket)
        if context is None:
            raise BackendError(f"TensorRT makes no context to look into stage {launch.bucket.stage}: {self._said()}")
        self._bind(context, launch)
        self._execute(context, launch)  # the first time sets things up
        self._stream.wait()
        context.profiler = noted = trt_api.layer_clock(self._loader.module)
        for _ in range(count):
            self._execute(context, launch)
            self._stream.wait()
        return list(noted.times_ms.items())

    def close(self) -> None:
        """Release everything; what a fault left behind goes with the process."""
        try:
            for item in self._recorded.values():
                if item.graph is not None:
                    item.graph.close()
            self._recorded.clear()
            self._plain.clear()
            self._stages.clear()
            while self._closers:
                self._closers.pop().close()
        except DeviceFault:
            logger.warning("the GPU faulted before it was released; its memory is free once this process ends")

    def _owned(self, part: Any) -> Any:
        self._closers.append(part)
        return part

    def _record(self, launch: Launch) -> None:
        """Compute a bucket on a context of its own and record that."""
        while len(self._recorded) >= self._most_recorded:
            self._forget_oldest()
        context = self._context(launch.bucket)
        self._bind(context, launch)
        self._execute(context, launch)  # the first time sets up what must not happen while recording
        self._stream.wait()
        recorded = self._recorded[launch.bucket] = _Recorded(context, None)
        self._stream.begin_capture()
        try:
            self._execute(context, launch)
            recorded.graph = self._stream.end_capture()
        except DeviceFault:
            raise
        except BackendError as exc:  # the work itself, or only its recording, which may show at its end
            self._stream.drop_capture()
            logger.warning("bucket %s cannot be recorded and is launched kernel by kernel: %s", launch.bucket, exc)

    def _forget_oldest(self) -> None:
        self._stream.wait()
        _, oldest = self._recorded.popitem(last=False)
        if oldest.graph is not None:
            oldest.graph.close()

    def _plain_context(self, launch: Launch) -> Any:
        place = (launch.bucket.stage, launch.bucket.profile)
        if place not in self._plain:
            self._plain[place] = self._context(launch.bucket)
        return self._plain[place]

    def _context(self, bucket: Bucket) -> Any:
        """Return a new context on a bucket's profile."""
        engine, index = self._stages[bucket.stage].places[bucket.profile]
        context = trt_api.context_without_memory(self._loader.module, engine)
        if context is not None:
            trt_api.give_memory(context, self._activations.address, self._activations.size_bytes)
        if context is None or not trt_api.select_profile(context, index, self._stream.handle):
            cuda.raise_pending(f"stage {bucket.stage} cannot be prepared")
            raise BackendError(f"no context for stage {bucket.stage}, profile {bucket.profile}: {self._said()}")
        self._stream.wait()
        return context

    def _bind(self, context: Any, launch: Launch) -> None:
        base = self._arena.address
        shapes = {item.name: item.shape for item in launch.inputs}
        addresses = {item.name: base + item.offset for item in (*launch.inputs, *launch.outputs)}
        refused = trt_api.bind(context, shapes, addresses)
        if refused:
            raise BackendError(
                f"stage {launch.bucket.stage} refuses {refused!r} of {launch.placed(refused).shape}: {self._said()}"
            )

    def _execute(self, context: Any, launch: Launch) -> None:
        if not context.execute_async_v3(self._stream.handle):
            what = f"stage {launch.bucket.stage} failed on {launch.bucket.axes}"
            cuda.raise_pending(what)
            raise BackendError(f"{what}: {self._said()}")

    def _said(self) -> str:
        return trt_api.said_by(self._loader.log)
