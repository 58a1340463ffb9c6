"""CUDA's runtime and TensorRT as their Python packages offer them, on host memory, with ONNX Runtime as the kernels.

Only names, signatures and promises of the real packages that ``runtime.cuda`` and ``runtime.trt`` rely on. Graphs keep
addresses and shapes as they were when they were recorded, and recording computes nothing, as on a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

from emotirt.bundle.plans import Profile
from emotirt.runtime.runner import Runner
from emotirt.types import TensorSpec

Code = IntEnum(
    "Code",
    {
        "cudaSuccess": 0,
        "cudaErrorInvalidValue": 1,
        "cudaErrorMemoryAllocation": 2,
        "cudaErrorIllegalState": 401,
        "cudaErrorIllegalAddress": 700,
        "cudaErrorStreamCaptureInvalidated": 901,
    },
)
OK = Code(0)


class SimulatedCuda:
    """What ``cuda.bindings.runtime`` offers, as far as it is used."""

    cudaHostAllocDefault = 0  # noqa: N815  # CUDA's names
    cudaStreamNonBlocking = 1  # noqa: N815
    cudaMemcpyKind = SimpleNamespace(  # noqa: N815
        cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2, cudaMemcpyDeviceToDevice=3
    )
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

    def __init__(self) -> None:
        self.blocks: dict[int, Any] = {}
        self.allocations = 0
        self.room_bytes = 1 << 32
        self.recording: list[Callable[[], None]] | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.pending = OK
        self.launches = 0
        self.streams = 0
        self.spoils_recordings = False

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:  # noqa: N802
        self.allocations += 1
        if size > self.room_bytes:
            return Code.cudaErrorMemoryAllocation, None
        block = (ctypes.c_uint8 * (size + 256))()
        address = -(-ctypes.addressof(block) // 256) * 256
        self.blocks[address] = block
        return OK, address

    def cudaFree(self, address: int) -> tuple[Any, ...]:  # noqa: N802
        del self.blocks[address]
        return (OK,)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:  # noqa: N802
        return self.cudaMalloc(size)

    cudaFreeHost = cudaFree  # noqa: N815

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:  # noqa: N802
        self.streams += 1
        return OK, 77

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        self.streams -= 1
        return (OK,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        assert stream == 77
        return (self.pending,)

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: int, stream: int) -> tuple[Any, ...]:  # noqa: N802
        ctypes.memmove(target, source, size)
        return (OK,)

    def cudaMemcpy2DAsync(  # noqa: N802
        self,
        target: int,
        target_pitch: int,
        source: int,
        source_pitch: int,
        width: int,
        rows: int,
        kind: int,
        stream: int,
    ) -> tuple[Any, ...]:
        assert width <= min(target_pitch, source_pitch)
        for row in range(rows):
            ctypes.memmove(target + row * target_pitch, source + row * source_pitch, width)
        return (OK,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[Any, ...]:  # noqa: N802
        self.recording = []
        return (OK,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        recorded, self.recording = self.recording, None
        if recorded is None:
            return Code.cudaErrorIllegalState, None
        if self.spoils_recordings:
            return Code.cudaErrorStreamCaptureInvalidated, None
        self.graphs[len(self.graphs) + 1] = recorded
        return OK, len(self.graphs)

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[Any, ...]:  # noqa: N802
        return OK, graph

    def cudaGraphDestroy(self, graph: int) -> tuple[Any, ...]:  # noqa: N802
        return (OK,)

    cudaGraphExecDestroy = cudaGraphDestroy  # noqa: N815

    def cudaGraphGetNodes(self, graph: int, count: int = 0) -> tuple[Any, ...]:  # noqa: N802
        nodes = self.graphs[graph]
        return OK, nodes[:count], len(nodes)

    def cudaGraphNodeGetType(self, node: object) -> tuple[Any, ...]:  # noqa: N802
        return OK, SimpleNamespace(name="cudaGraphNodeTypeKernel")

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[Any, ...]:  # noqa: N802
        self.launches += 1
        for work in self.graphs[graph]:
            work()
        return (OK,)

    def cudaGetLastError(self) -> tuple[Any, ...]:  # noqa: N802
        return (OK,)  # TensorRT's errors are those of a runtime of its own

    def cudaMemGetInfo(self) -> tuple[Any, ...]:  # noqa: N802
        return self.pending, self.room_bytes, self.room_bytes

    def cudaGetErrorString(self, code: Code) -> tuple[Any, ...]:  # noqa: N802
        return OK, b"simulated"


class Mode(Enum):
    """Whether a tensor goes in or out."""

    INPUT = 1
    OUTPUT = 2


class ILogger:
    """Base of loggers."""

    Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])


class SimulatedEngine:
    """A deserialized plan."""

    def __init__(
        self,
        cuda: SimulatedCuda,
        runner: Runner,
        specs: tuple[list[TensorSpec], list[TensorSpec]],
        profiles: tuple[Profile, ...],
        extra: Mapping[str, Callable[[Mapping[str, Any]], Any]] | None = None,
    ) -> None:
        self.cuda, self.runner, self.profiles = cuda, runner, profiles
        self.inputs, self.outputs = specs
        self.extra = dict(extra or {})
        self.num_optimization_profiles = len(profiles)
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        self.device_memory_size = 4096
        self.contexts = 0
        self.refuses_recording = False
        self.fails = False
        self.shares = True

    def _specs(self) -> list[TensorSpec]:
        return [*self.outputs, *self.inputs]

    def get_tensor_name(self, index: int) -> str:
        return self._specs()[index].name

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name in {spec.name for spec in self.inputs} else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        spec = next(item for item in self._specs() if item.name == name)
        return SimpleNamespace(name={"float32": "FLOAT", "int64": "INT64", "int32": "INT32"}[spec.dtype])

    def is_shape_inference_io(self, name: str) -> bool:
        return False

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        box = self.profiles[index].ranges[name]
        return [box.min, box.opt, box.max]

    def create_execution_context_without_device_memory(self) -> SimulatedContext:
        self.contexts += 1
        return SimulatedContext(self)


class SimulatedContext:
    """An execution context."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self.engine = engine
        self.device_memory = 0
        self.active_optimization_profile = 0 if engine.shares or engine.contexts == 1 else -1
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        if index == 0 and not self.engine.shares and self.engine.contexts > 1:
            return False
        self.active_optimization_profile = index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self.active_optimization_profile >= 0
        self.shapes[name] = tuple(shape)
        return self.engine.profiles[self.active_optimization_profile].ranges[name].covers(tuple(shape))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address % 256 == 0

    def execute_async_v3(self, stream: int) -> bool:
        cuda = self.engine.cuda
        assert self.device_memory in cuda.blocks
        if self.engine.fails or (self.engine.refuses_recording and cuda.recording is not None):
            return False
        shapes, addresses = dict(self.shapes), dict(self.addresses)

        def work() -> None:
            self.engine_work(shapes, addresses)

        if cuda.recording is not None:
            cuda.recording.append(work)
        else:
            work()
        return True

    def engine_work(self, shapes: Mapping[str, tuple[int, ...]], addresses: Mapping[str, int]) -> None:
        engine = self.engine
        feeds = {}
        for spec, wanted in zip(engine.inputs, engine.runner.inputs, strict=True):
            array = _at(addresses[spec.name], spec.dtype, shapes[spec.name])
            feeds[spec.name] = array.astype(wanted.dtype)
        made = dict(engine.runner.run(feeds))
        made |= {name: make(made) for name, make in engine.extra.items()}
        for spec in engine.outputs:
            _at(addresses[spec.name], spec.dtype, made[spec.name].shape)[...] = made[spec.name]


def _at(address: int, dtype: str, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)


def simulated_tensorrt(engines: Mapping[bytes, SimulatedEngine]) -> Any:
    """Return a module whose runtime knows these plans."""

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> SimulatedEngine | None:
            if plan not in engines:
                self.logger.log(ILogger.Severity.ERROR, "magic tag  differs")
            return engines.get(plan)

    return SimpleNamespace(ILogger=ILogger, TensorIOMode=Mode, Runtime=Runtime)
