"""A vocoder by EmotiRT's own kernels, with the face of a TensorRT engine: ``runtime.trt`` runs both alike."""

from __future__ import annotations

import io
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np

from emotirt.errors import BackendError, PlanUnusable
from emotirt.runtime import cuda
from emotirt.runtime.kernels.driver import Module, PreparedLaunch
from emotirt.runtime.kernels.layers import (
    AVERAGE,
    SOUND,
    Branch,
    Layer,
    Network,
    json_from_network,
    network_from_json,
)

MOST_SHAPES = 64
"""Whose launches a context keeps."""
_BRANCHES = 3
_NONE = Branch("", "", 0, 0, "", 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """What is stored: a network, its weights and its compiled kernels."""

    network: Network
    weights: bytes
    cubin: bytes

    def to_bytes(self) -> bytes:
        """Pack it for the plan cache."""
        parts = {"network": json_from_network(self.network), "weights": self.weights, "cubin": self.cubin}
        buffer = io.BytesIO()
        np.savez(buffer, **{name: np.frombuffer(data, dtype=np.uint8) for name, data in parts.items()})  # type: ignore[arg-type]  # names are free
        return buffer.getvalue()


def plan_from_bytes(data: bytes) -> KernelPlan:
    """Unpack what ``KernelPlan.to_bytes`` made.

    Raises: PlanUnusable: it is something else.
    """
    try:
        with np.load(io.BytesIO(data)) as parts:
            network = network_from_json(parts["network"].tobytes())
            return KernelPlan(network, parts["weights"].tobytes(), parts["cubin"].tobytes())
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError) as exc:
        raise PlanUnusable(f"no plan of kernels ({type(exc).__name__}: {exc}); build it again", "foreign") from exc


class KernelEngine:
    """A plan of kernels on the GPU; for stage ``vocoder``: ``mel`` to ``wav``."""

    def __init__(self, plan: KernelPlan, most_shapes: tuple[tuple[int, int], ...]) -> None:
        """Load kernels and weights.

        Args:
            plan: unpacked.
            most_shapes: batches and frames of the largest calls.

        Raises: PlanUnusable: kernels of another GPU. DeviceOutOfMemory: no room.
        """
        self.network = plan.network
        self.module = Module(plan.cubin)
        self.weights = cuda.DeviceMemory(len(plan.weights))
        cuda.upload(self.weights.address, plan.weights)
        self.device_memory_size = max(self.network.activation_bytes(*shape) for shape in most_shapes)

    def create_execution_context_without_device_memory(self) -> KernelContext:
        """Return a context, as TensorRT does; it needs ``device_memory`` before it is used."""
        return KernelContext(self)

    def close(self) -> None:
        """Release kernels and weights; nothing may be under way."""
        self.module.close()
        self.weights.close()


class KernelContext:
    """One shape and its launches, as a TensorRT context has them."""

    active_optimization_profile = 0

    def __init__(self, engine: KernelEngine) -> None:
        """Begin with no shape."""
        self.device_memory = 0
        self.profiler: Any = None
        self._engine = engine
        self._shape = (0, 0)
        self._addresses: dict[str, int] = {}
        self._made: OrderedDict[tuple[int, ...], list[PreparedLaunch]] = OrderedDict()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Take the shape of the mel; False for anything else."""
        if name != "mel" or len(shape) != 3 or shape[1] != self._engine.network.n_mels or min(shape) < 1:
            return False
        self._shape = (shape[0], shape[2])
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Take where the mel or the waveform lies; False for other names."""
        if name not in ("mel", "wav"):
            return False
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        """Launch everything on a stream, by its address.

        Raises: BackendError, DeviceFault: as ``driver.PreparedLaunch.launch``.
        """
        launches = self.launches()
        if self.profiler is not None:
            self._profile(launches, stream)
            return True
        for launch in launches:
            launch.launch(stream)
        return True

    def launches(self) -> list[PreparedLaunch]:
        """Return a launch for every layer; those of the shapes seen last are kept.

        Raises: BackendError: shape, addresses or memory were not given.
        """
        if min(self._shape) < 1 or len(self._addresses) < 2 or not self.device_memory:
            raise BackendError("kernels were launched before shape, addresses and memory were given")
        what = (*self._shape, self.device_memory, self._addresses["mel"], self._addresses["wav"])
        found = self._made.get(what)
        if found is None:
            network = self._engine.network
            buffers = network.buffers(*self._shape).items()
            places = {name: self.device_memory + place for name, (place, _) in buffers} | self._addresses
            found = [prepared_launch(self._engine, layer, self._shape, places) for layer in network.layers]
            self._made[what] = found
            if len(self._made) > MOST_SHAPES:
                self._made.popitem(last=False)
        return found

    def _profile(self, launches: Sequence[PreparedLaunch], stream: int) -> None:
        """Launch one after the other and report how long each took, as TensorRT does."""
        moments = [cuda.Event() for _ in range(len(launches) + 1)]
        try:
            moments[0].record_on(stream)
            for launch, moment in zip(launches, moments[1:], strict=True):
                launch.launch(stream)
                moment.record_on(stream)
            for layer, earlier, later in zip(self._engine.network.layers, moments, moments[1:], strict=False):
                self.profiler.report_layer_time(layer.name, later.ms_since(earlier))
        finally:
            for moment in moments:
                moment.close()


def prepared_launch(
    engine: KernelEngine, layer: Layer, shape: tuple[int, int], addresses: Mapping[str, int], choice: int | None = None
) -> PreparedLaunch:
    """Return the launch of a layer.

    Args:
        engine: that it belongs to.
        layer: of its network.
        shape: batch and frames.
        addresses: of every buffer, the mel and the waveform.
        choice: index of the tile, None for what the network chooses.

    Raises: BackendError: the GPU has too little shared memory for the tile.
    """
    batch, frames = shape
    rows = frames * layer.rows_a_frame
    tile = engine.network.tile(layer, batch * frames) if choice is None else layer.tiles()[choice]
    grid, shared_bytes = tile.grid(layer, batch, rows), tile.shared_bytes(layer)
    pack = _last_arguments if layer.source == SOUND else _arguments
    kernel = engine.module.kernel(tile.name, shared_bytes)
    tiles = batch if layer.source == AVERAGE else grid[0] // batch
    return kernel.prepared(
        grid, tile.threads, shared_bytes, pack(layer, rows, tiles, addresses, engine.weights.address)
    )


def _arguments(layer: Layer, rows: int, tiles: int, addresses: Mapping[str, int], weights: int) -> bytes:
    """Pack ``Args`` of ``hifigan.cu``."""
    packed = b""
    for index in range(_BRANCHES):
        branch = layer.branches[index] if index < len(layer.branches) else _NONE
        reads, residual, writes = (
            addresses[name] if name else 0 for name in (branch.reads, branch.residual, branch.writes)
        )
        places = (branch.weight, branch.bias, branch.second_weight, branch.second_bias)
        packed += struct.pack(
            "<7Q4i", reads, *(weights + place for place in places), residual, writes,
            branch.taps, branch.dilation, branch.first, branch.second,
        )  # fmt: skip
    return packed + struct.pack(
        "<4i2f", rows, layer.columns, tiles, len(layer.branches), layer.slope, layer.residual_slope
    )


def _last_arguments(layer: Layer, rows: int, tiles: int, addresses: Mapping[str, int], weights: int) -> bytes:
    """Pack ``LastArgs`` of ``hifigan.cu``."""
    (branch,) = layer.branches
    places = (weights + branch.weight, weights + branch.bias)
    return struct.pack("<4Q3i4x", addresses[branch.reads], *places, addresses[branch.writes], rows, tiles, branch.taps)
