"""A plan of EmotiRT's own kernels: compile them for this GPU, and measure in which tiles each layer is fastest."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from emotirt.build.hifigan import hifigan_from_graph
from emotirt.build.kernel_compile import compiled
from emotirt.build.plan_network import Progress
from emotirt.bundle.contract import StageContract
from emotirt.errors import BackendError, PlanFailed
from emotirt.runtime import cuda
from emotirt.runtime.kernels.driver import PreparedLaunch
from emotirt.runtime.kernels.engine import KernelEngine, KernelPlan, prepared_launch
from emotirt.runtime.kernels.layers import Layer, kernels_of
from emotirt.runtime.open import default_threads
from emotirt.runtime.ort import OrtRunner
from emotirt.types import FloatArray, TensorSpec

logger = logging.getLogger(__name__)

TUNED_SHAPES = ((1, 37), (1, 122), (1, 312), (1, 937), (8, 122), (32, 122), (4, 490))
"""Batches and frames that tiles are measured for; others take those of the shape with the nearest number of frames."""
WARM_UP, REPEATS = 2, 8
CHECKED_SHAPES = ((1, 5), (2, 140))
LEAST_SNR_DB, FLOOR = 30.0, 1e-20
"""The gate of FP16, and the power below which a signal counts as none."""
_WAV = (TensorSpec("wav", "float32", ("batch", "samples")),)


def build_kernel_plan(graph: bytes, progress: Progress = lambda done: None) -> bytes:
    """Make a vocoder's plan for the GPU of this process.

    Args:
        graph: serialized ONNX of a HiFi-GAN generator.
        progress: takes the part that is done.

    Returns: a plan for ``runtime.kernels.engine.plan_from_bytes``.
    Raises: PlanFailed: another vocoder, or NVRTC refuses the kernels. BackendUnavailable: no GPU or no NVRTC.
    """
    network, weights = hifigan_from_graph(graph)
    device = cuda.open_device()
    plan = KernelPlan(network, weights, compiled(kernels_of(network.layers), device.capability))
    progress(0.5)
    engine = KernelEngine(plan, (*TUNED_SHAPES, *CHECKED_SHAPES))
    try:
        chosen = tuned(engine, lambda done: progress(0.5 + 0.4 * done))
        engine.network = replace(network, chosen=chosen)
        check_kernels(engine, graph)
    finally:
        engine.close()
    progress(1.0)
    return replace(plan, network=engine.network).to_bytes()


def check_kernels(engine: KernelEngine, graph: bytes) -> None:
    """Compare the kernels with ONNX Runtime in float32 on random mels.

    Raises: PlanFailed: they are further from it than the gate of FP16 allows.
    """
    contract = StageContract((TensorSpec("mel", "float32", ("batch", engine.network.n_mels, "frames")),), _WAV)
    runner = OrtRunner("vocoder", graph, contract.inputs, contract.outputs, default_threads())
    for batch, frames in CHECKED_SHAPES:
        mel = np.random.default_rng(frames).normal(-4.0, 2.0, (batch, engine.network.n_mels, frames)).astype(np.float32)
        wanted = runner.run({"mel": mel})["wav"]
        noise = float(np.mean(np.square(computed(engine, mel) - wanted, dtype=np.float64)))
        power = float(np.mean(np.square(wanted, dtype=np.float64)))
        snr_db = 10.0 * math.log10(max(power, FLOOR) / max(noise, FLOOR))
        logger.info("kernels against float32 at %dx%d: %.1f dB", batch, frames, snr_db)
        if not snr_db >= LEAST_SNR_DB:
            raise PlanFailed(
                f"the kernels are {snr_db:.1f} dB from float32 at {batch} x {frames} frames, the gate is "
                f"{LEAST_SNR_DB:g} dB; take --precision fp16"
            )


def computed(engine: KernelEngine, mel: FloatArray) -> FloatArray:
    """Return float32 [B, samples] of a mel, float32 [B, n_mels, F]; raises BackendError where the GPU fails."""
    batch, _, frames = mel.shape
    context, stream = engine.create_execution_context_without_device_memory(), cuda.Stream()
    with CallMemory(engine, batch, frames) as addresses:
        context.device_memory = addresses["base"]
        context.set_input_shape("mel", mel.shape)
        for name in ("mel", "wav"):
            context.set_tensor_address(name, addresses[name])
        pinned = cuda.PinnedMemory(4 * batch * frames * engine.network.hop_samples)
        cuda.upload(addresses["mel"], np.ascontiguousarray(mel).tobytes())
        context.execute_async_v3(stream.handle)
        stream.copy_to_host(pinned.address, addresses["wav"], len(pinned.array))
        stream.wait()
        found: FloatArray = pinned.array.view(np.float32).reshape(batch, -1).copy()
        pinned.close()
    stream.close()
    return found


def tuned(engine: KernelEngine, progress: Progress = lambda done: None) -> dict[str, list[list[int]]]:
    """Measure every layer in every tile for ``TUNED_SHAPES``; returns what ``Network.chosen`` holds.

    Raises: BackendError: the GPU failed.
    """
    chosen: dict[str, list[list[int]]] = {layer.name: [] for layer in engine.network.layers}
    stream = cuda.Stream()
    try:
        for index, (batch, frames) in enumerate(TUNED_SHAPES):
            with CallMemory(engine, batch, frames) as addresses:
                for layer in engine.network.layers:
                    times = _times_us(engine, layer, (batch, frames), addresses, stream)
                    best = min(times, key=lambda choice: times[choice])
                    chosen[layer.name].append([batch * frames, best])
                    logger.debug("%s at %dx%d: %s", layer.name, batch, frames, times)
            progress((index + 1) / len(TUNED_SHAPES))
    finally:
        stream.close()
    return chosen


class CallMemory:
    """Memory for all buffers, the mel and the waveform of a call; gives their addresses."""

    def __init__(self, engine: KernelEngine, batch: int, frames: int) -> None:
        network = engine.network
        self._buffers = network.buffers(batch, frames)
        self._pieces = [
            cuda.DeviceMemory(network.activation_bytes(batch, frames)),
            cuda.DeviceMemory(4 * batch * frames * network.n_mels),
            cuda.DeviceMemory(4 * batch * frames * network.hop_samples),
        ]

    def __enter__(self) -> dict[str, int]:
        base, mel, wav = (piece.address for piece in self._pieces)
        places = {name: base + place for name, (place, _) in self._buffers.items()}
        return places | {"base": base, "mel": mel, "wav": wav}

    def __exit__(self, *_: object) -> None:
        for piece in self._pieces:
            piece.close()


def _times_us(
    engine: KernelEngine, layer: Layer, shape: tuple[int, int], addresses: dict[str, int], stream: cuda.Stream
) -> dict[int, float]:
    """Time a layer in every tile that this GPU has the shared memory for."""
    times: dict[int, float] = {}
    for choice in range(len(layer.tiles())):
        try:
            launch = prepared_launch(engine, layer, shape, addresses, choice)
        except BackendError as exc:  # too little shared memory; a fault would show in the timing
            logger.debug("%s in tile %d: %s", layer.name, choice, exc)
            continue
        times[choice] = min(launch_times_us(launch, stream, WARM_UP, REPEATS))
    return times


def launch_times_us(launch: PreparedLaunch, stream: cuda.Stream, warm_up: int, repeats: int) -> Sequence[float]:
    """Return how long the GPU took for each of several launches."""
    return times_us(lambda: launch.launch(stream.handle), stream, warm_up, repeats)


def times_us(call: Callable[[], object], stream: cuda.Stream, warm_up: int, repeats: int) -> list[float]:
    """Return how long the GPU took for each of several calls that put work on a stream."""
    for _ in range(warm_up):
        call()
    moments = [cuda.Event() for _ in range(repeats + 1)]
    try:
        moments[0].record(stream)
        for moment in moments[1:]:
            call()
            moment.record(stream)
        return [1000.0 * later.ms_since(earlier) for earlier, later in pairwise(moments)]
    finally:
        for moment in moments:
            moment.close()
