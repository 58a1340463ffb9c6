"""CUDA through cuda-python: memory, streams, events, graphs; the only module that imports it.

Every call is checked. An error that leaves the process able to go on is a ``BackendError``; a *sticky* one, after which
every later call of the process fails, is a ``DeviceFault``, and the process must be replaced.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotirt.errors import BackendError, BackendUnavailable, DeviceFault, DeviceOutOfMemory

STICKY = frozenset(
    f"cudaError{name}"
    for name in (
        "Assert", "Contained", "ContextIsDestroyed", "ECCUncorrectable", "ExternalDevice", "HardwareStackError",
        "IllegalAddress", "IllegalInstruction", "InvalidAddressSpace", "InvalidPc", "LaunchFailure", "LaunchTimeout",
        "MisalignedAddress", "MpsClientTerminated", "NvlinkUncorrectable", "TensorMemoryLeak", "Unknown",
    )
)  # fmt: skip
"""Errors that corrupt the context: the runtime's reference says of each that the process must be relaunched."""
ABSENT = {
    "cudaErrorNoDevice": "no NVIDIA GPU is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES",
    "cudaErrorInsufficientDriver": "the NVIDIA driver is missing or older than this CUDA needs; install a newer driver",
    "cudaErrorInitializationError": "the NVIDIA driver does not start; check nvidia-smi",
    "cudaErrorSystemDriverMismatch": "driver and kernel module differ; reboot, or install matching ones",
    "cudaErrorSystemNotReady": "the system's GPU services are not running; start nvidia-fabricmanager",
    "cudaErrorCompatNotSupportedOnDevice": "this GPU needs a newer driver rather than the compatibility package",
    "cudaErrorStubLibrary": "libcuda is a stub; put the driver's own libcuda first on the library path",
    "cudaErrorDevicesUnavailable": "every GPU is taken or in exclusive use; free one",
    "cudaErrorInvalidDevice": "there is no GPU of that number",
}
"""Errors that mean that no GPU can be used, and what to do."""
PACKAGE_HINT = "CUDA needs the package cuda-bindings; run: pip install 'emotirt[tensorrt]'"


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A GPU.

    Attributes:
        index: among those visible.
        name: as the driver calls it.
        capability: compute capability, like ``9.0``.
        total_bytes: of its memory.
        driver: newest CUDA that the driver supports, like ``13.0``.
        multiprocessors: how many.
    """

    index: int
    name: str
    capability: str
    total_bytes: int
    driver: str
    multiprocessors: int


def is_installed() -> bool:
    """Say whether cuda-python is there, without importing it."""
    return find_spec("cuda") is not None and find_spec("cuda.bindings") is not None


@lru_cache(maxsize=1)
def _runtime() -> Any:
    try:
        from cuda.bindings import runtime
    except ImportError as exc:
        raise BackendUnavailable(f"{PACKAGE_HINT} ({exc})") from exc
    return runtime


def compiler() -> Any:
    """Return the bindings of NVRTC, which compiles kernels.

    Raises: BackendUnavailable: they or NVRTC are not installed; says what to do.
    """
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError, OSError) as exc:
        detail = " ".join(str(exc).split())[:200]
        raise BackendUnavailable(
            f"compiling kernels needs NVRTC ({detail}); run: pip install 'emotirt[kernels]'"
        ) from exc
    return nvrtc


def checked(what: str, result: tuple[Any, ...]) -> Any:
    """Return the value of a call of the CUDA runtime.

    Args:
        what: was tried, for the message.
        result: the error code and the values.

    Raises:
        BackendUnavailable: there is no usable GPU.
        DeviceOutOfMemory: no room.
        DeviceFault: the error is sticky.
        BackendError: any other.
    """
    code, *values = result
    if code.value != 0:
        raise error_from_code(what, code.name, _text(code))
    return values[0] if len(values) == 1 else tuple(values)


def error_from_code(what: str, name: str, text: str) -> BackendError:
    """Turn an error of CUDA into ours.

    Args:
        what: was tried.
        name: like ``cudaErrorIllegalAddress``.
        text: CUDA's own explanation.
    """
    message = f"{what}: {name} ({text})"
    if name in ABSENT:
        return BackendUnavailable(f"{message}; {ABSENT[name]}")
    if name == "cudaErrorMemoryAllocation":
        return DeviceOutOfMemory(f"{message}; free GPU memory, or use fewer slots or smaller batches")
    if name in STICKY:
        return DeviceFault(f"{message}; nothing in this process can use the GPU any more, start another process")
    return BackendError(message)


def device_count() -> int:
    """Return how many GPUs are visible; raises BackendUnavailable without driver or package."""
    return int(checked("GPUs cannot be counted", _runtime().cudaGetDeviceCount()))


def open_device(index: int = 0) -> DeviceInfo:
    """Make a GPU this process's own and describe it.

    Raises: BackendUnavailable: no such GPU, no driver, no package.
    """
    runtime = _runtime()
    if not 0 <= index < device_count():
        raise BackendUnavailable(f"there is no GPU {index}; {device_count()} visible, give a number below that")
    checked(f"GPU {index} cannot be opened", runtime.cudaSetDevice(index))
    checked(f"GPU {index} cannot be opened", runtime.cudaFree(0))  # makes its context now and not in the first request
    properties = checked("GPU properties cannot be read", runtime.cudaGetDeviceProperties(index))
    driver = int(checked("the driver's version cannot be read", runtime.cudaDriverGetVersion()))
    return DeviceInfo(
        index,
        properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name),
        f"{properties.major}.{properties.minor}",
        int(properties.totalGlobalMem),
        f"{driver // 1000}.{driver % 1000 // 10}",
        int(properties.multiProcessorCount),
    )


def free_bytes() -> int:
    """Return the free memory of the GPU, by the driver's own counter."""
    free, _ = checked("free GPU memory cannot be read", _runtime().cudaMemGetInfo())
    return int(free)


class DeviceMemory:
    """A piece of GPU memory; ``close`` frees it."""

    def __init__(self, size_bytes: int) -> None:
        """Allocate; raises DeviceOutOfMemory."""
        self.size_bytes = size_bytes
        self.address = 0
        if size_bytes:
            what = f"{size_bytes / 1e6:.1f} MB of GPU memory cannot be allocated"
            self.address = int(checked(what, _runtime().cudaMalloc(size_bytes)))

    def close(self) -> None:
        """Free it."""
        address, self.address = self.address, 0
        if address:
            checked("GPU memory cannot be freed", _runtime().cudaFree(address))


def upload(address: int, data: bytes) -> None:
    """Copy bytes to the GPU and wait."""
    kind = _runtime().cudaMemcpyKind.cudaMemcpyHostToDevice
    source = np.frombuffer(data, dtype=np.uint8)
    checked("a copy to the GPU failed", _runtime().cudaMemcpy(address, source.ctypes.data, len(data), kind))


class PinnedMemory:
    """A piece of host memory that the GPU copies to and from by itself; ``close`` frees it and ends ``array``."""

    def __init__(self, size_bytes: int) -> None:
        """Allocate; raises DeviceOutOfMemory."""
        runtime = _runtime()
        what = f"{size_bytes / 1e6:.1f} MB of pinned host memory cannot be allocated"
        self.address = int(checked(what, runtime.cudaHostAlloc(max(1, size_bytes), runtime.cudaHostAllocDefault)))
        pointer = ctypes.cast(self.address, ctypes.POINTER(ctypes.c_uint8))
        self.array: NDArray[np.uint8] = np.ctypeslib.as_array(pointer, (size_bytes,))

    def close(self) -> None:
        """Free it; nothing may use ``array`` any more."""
        address, self.address = self.address, 0
        if address:
            checked("pinned host memory cannot be freed", _runtime().cudaFreeHost(address))


class Graph:
    """Work recorded from a stream, ready to be done again in one launch."""

    def __init__(self, graph: Any) -> None:
        """Instantiate what ``Stream.end_capture`` recorded; takes it over."""
        runtime = _runtime()
        try:
            self.nodes = _node_counts(graph)
            self._exec = checked("a CUDA graph cannot be instantiated", runtime.cudaGraphInstantiate(graph, 0))
        finally:
            runtime.cudaGraphDestroy(graph)

    @property
    def kernel_count(self) -> int:
        """Kernels that one launch runs."""
        return self.nodes.get("Kernel", 0)

    def launch(self, stream: Stream) -> None:
        """Do the work again, in order with the rest of ``stream``."""
        checked("a CUDA graph cannot be launched", _runtime().cudaGraphLaunch(self._exec, stream.handle))

    def close(self) -> None:
        """Release it; nothing of it may be under way."""
        executable, self._exec = self._exec, None
        if executable is not None:
            checked("a CUDA graph cannot be released", _runtime().cudaGraphExecDestroy(executable))


class Stream:
    """An order of work on the GPU, independent of other streams."""

    def __init__(self) -> None:
        """Make one."""
        runtime = _runtime()
        self._handle = checked(
            "a CUDA stream cannot be made", runtime.cudaStreamCreateWithFlags(runtime.cudaStreamNonBlocking)
        )
        self.handle = int(self._handle)
        kinds = runtime.cudaMemcpyKind
        self._to_device, self._to_host = kinds.cudaMemcpyHostToDevice, kinds.cudaMemcpyDeviceToHost
        self._within = kinds.cudaMemcpyDeviceToDevice

    def copy_to_device(self, target: int, source: int, size_bytes: int) -> None:
        """Copy from pinned host memory."""
        self._copy("a copy to the GPU failed", target, source, size_bytes, self._to_device)

    def copy_to_host(self, target: int, source: int, size_bytes: int) -> None:
        """Copy to pinned host memory; it is there once ``wait`` has returned."""
        self._copy("a copy from the GPU failed", target, source, size_bytes, self._to_host)

    def copy_rectangle(self, target: tuple[int, int], source: tuple[int, int], width_bytes: int, rows: int) -> None:
        """Copy rows within the GPU; ``target`` and ``source`` are an address and the bytes from row to row."""
        result = _runtime().cudaMemcpy2DAsync(*target, *source, width_bytes, rows, self._within, self.handle)
        checked("a copy within the GPU failed", result)

    def wait(self) -> None:
        """Wait until everything asked for is done; errors of the work show here."""
        checked("work on the GPU failed", _runtime().cudaStreamSynchronize(self.handle))

    def begin_capture(self) -> None:
        """Record from now on instead of doing; other threads may go on using the GPU."""
        runtime = _runtime()
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        checked("recording a CUDA graph failed", runtime.cudaStreamBeginCapture(self.handle, mode))

    def end_capture(self) -> Graph:
        """Return what was recorded."""
        return Graph(checked("recording a CUDA graph failed", _runtime().cudaStreamEndCapture(self.handle)))

    def drop_capture(self) -> None:
        """Record no more and forget it, after something failed meanwhile."""
        runtime = _runtime()
        code, graph = runtime.cudaStreamEndCapture(self.handle)
        if code.value == 0 and graph is not None:
            runtime.cudaGraphDestroy(graph)
        runtime.cudaGetLastError()

    def close(self) -> None:
        """Release it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            checked("a CUDA stream cannot be released", _runtime().cudaStreamDestroy(handle))

    def _copy(self, what: str, target: int, source: int, size_bytes: int, kind: Any) -> None:
        checked(what, _runtime().cudaMemcpyAsync(target, source, size_bytes, kind, self.handle))


class Event:
    """A moment in a stream, for timing."""

    def __init__(self) -> None:
        """Make one."""
        self._handle = checked("a CUDA event cannot be made", _runtime().cudaEventCreate())

    def record(self, stream: Stream) -> None:
        """Mark this moment of ``stream``."""
        self.record_on(stream.handle)

    def record_on(self, stream: int) -> None:
        """Mark this moment of a stream given by its address."""
        checked("a CUDA event cannot be recorded", _runtime().cudaEventRecord(self._handle, stream))

    def ms_since(self, earlier: Event) -> float:
        """Return the milliseconds between two moments, waiting for the later one."""
        checked("work on the GPU failed", _runtime().cudaEventSynchronize(self._handle))
        elapsed = _runtime().cudaEventElapsedTime(earlier._handle, self._handle)
        return float(checked("CUDA events cannot be compared", elapsed))

    def close(self) -> None:
        """Release it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            checked("a CUDA event cannot be released", _runtime().cudaEventDestroy(handle))


def raise_pending(what: str) -> None:
    """Raise the error that an earlier asynchronous call of this thread left behind, if there is one.

    TensorRT brings a CUDA runtime of its own: what failed in there shows here only where it poisoned the device, and
    then in any call that asks the driver.
    """
    checked(what, _runtime().cudaGetLastError())
    checked(what, _runtime().cudaMemGetInfo())


def _node_counts(graph: Any) -> dict[str, int]:
    """Count the nodes of a graph by kind, those of graphs inside it as well."""
    runtime = _runtime()
    what = "the nodes of a CUDA graph cannot be listed"
    _, count = _first_two(checked(what, runtime.cudaGraphGetNodes(graph)))
    nodes, _ = _first_two(checked(what, runtime.cudaGraphGetNodes(graph, count)))
    counts: Counter[str] = Counter()
    for node in list(nodes)[:count]:
        kind = checked(what, runtime.cudaGraphNodeGetType(node)).name.removeprefix("cudaGraphNodeType")
        if kind == "Graph":
            counts.update(_node_counts(checked(what, runtime.cudaGraphChildGraphNodeGetGraph(node))))
        else:
            counts[kind] += 1
    return dict(counts)


def _first_two(values: Any) -> tuple[Any, int]:
    nodes, count = values
    return nodes, int(count)


def _text(code: Any) -> str:
    _, text = _runtime().cudaGetErrorString(code)
    return text.decode() if isinstance(text, bytes) else str(text)
