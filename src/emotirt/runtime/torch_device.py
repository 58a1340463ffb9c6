"""PyTorch on a chosen device, as people run it and as fast as it goes: eager, FP16, CUDA graph, ``torch.compile``.

What EmotiRT is compared with; not on the serving path.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emotirt.bundle.contract import stage_contract
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError, BackendUnavailable
from emotirt.models.spectral import SpectralGenerator
from emotirt.runtime.eager import module_from_bundle
from emotirt.runtime.runner import Array, check_feeds
from emotirt.runtime.torch_probe import CPU, device_times_ms, launched, memory_bytes
from emotirt.types import TensorSpec

EAGER, GRAPH, COMPILED = "eager", "graph", "compile"
MODES = (EAGER, GRAPH, COMPILED)
CUDA = "cuda"
MOST_GRAPHS = 64
"""Captured shapes kept at once; each holds its own activations."""
_CAPTURE_WARM_UP = 3
"""Calls before a capture, so that libraries have chosen their kernels; as PyTorch's documentation advises."""

Step = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class TorchSettings:
    """How PyTorch runs a stage.

    Attributes:
        device: ``cuda`` or ``cpu``.
        half: convolutions and linear layers in float16, with float16 weights; else everything in float32, with
            PyTorch's own defaults for TF32.
        mode: ``eager``; ``graph`` for one CUDA graph a shape; ``compile`` for ``torch.compile`` of each shape.
    """

    device: str = CUDA
    half: bool = False
    mode: str = EAGER

    def check(self) -> None:
        """Check that this machine can do it.

        Raises: BackendUnavailable: unknown mode, no such device, or no CUDA graph without CUDA.
        """
        if self.mode not in MODES or self.device not in (CPU, CUDA):
            raise BackendUnavailable(f"{self}: mode is one of {', '.join(MODES)}, device cpu or cuda")
        if self.device == CUDA and not torch.cuda.is_available():
            raise BackendUnavailable(f"PyTorch {torch.__version__} finds no CUDA device; use device 'cpu'")
        if self.mode == GRAPH and self.device != CUDA:
            raise BackendUnavailable("CUDA graphs need a CUDA device; use mode 'eager' or 'compile' on the CPU")


@dataclass(slots=True)
class _Captured:
    graph: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class TorchStage:
    """A module on a device: tensors there in, tensors there out."""

    def __init__(self, module: nn.Module, settings: TorchSettings) -> None:
        """Move ``module`` to the device; raises as ``TorchSettings.check``."""
        settings.check()
        self.module = prepared_module(module, settings)
        self._settings = settings
        self._step: Step = self._forward
        self._graphs: OrderedDict[tuple[tuple[int, ...], ...], _Captured] = OrderedDict()
        if settings.mode == COMPILED:
            self._step = torch.compile(self._forward, dynamic=False)

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Compute; what a graph returns is overwritten by the next call of the same shapes.

        Raises: BackendError: PyTorch failed.
        """
        try:
            with torch.inference_mode():
                return self._replayed(tensors) if self._settings.mode == GRAPH else self._step(*tensors)
        except (RuntimeError, IndexError) as exc:
            detail = " ".join(str(exc).split())[:500]
            raise BackendError(f"{type(self.module).__name__} failed in torch: {type(exc).__name__}: {detail}") from exc

    def _forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        device, half = self._settings.device, self._settings.half
        with torch.autocast(device, torch.float16) if half else nullcontext():
            values = self.module(*tensors)
        values = values if isinstance(values, tuple) else (values,)
        return tuple(value.float() for value in values)

    def _replayed(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        key = tuple(tuple(tensor.shape) for tensor in tensors)
        captured = self._graphs.get(key)
        if captured is None:
            captured = self._graphs[key] = self._capture(tensors)
            if len(self._graphs) > MOST_GRAPHS:
                self._graphs.popitem(last=False)
        for own, given in zip(captured.inputs, tensors, strict=True):
            own.copy_(given, non_blocking=True)
        captured.graph.replay()
        return captured.outputs

    def _capture(self, tensors: Sequence[Tensor]) -> _Captured:
        inputs = tuple(tensor.clone() for tensor in tensors)
        stream: Any = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_CAPTURE_WARM_UP):
                self._forward(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._forward(*inputs)
        return _Captured(graph, inputs, outputs)


class TorchRunner:
    """A stage as a runner: arrays in host memory in and out, with both copies."""

    def __init__(
        self, stage: str, compute: TorchStage, specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]], device: str
    ) -> None:
        """Wrap ``compute``, whose inputs and outputs are ``specs`` in order."""
        self.inputs, self.outputs = specs
        self.compute = compute
        self._stage = stage
        self._device = device

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage; see ``Runner.run``."""
        check_feeds(self._stage, self.inputs, feeds)
        tensors = self.compute(*self.on_device(feeds))
        return {spec.name: tensor.cpu().numpy() for spec, tensor in zip(self.outputs, tensors, strict=True)}

    def on_device(self, feeds: Mapping[str, Array]) -> tuple[Tensor, ...]:
        """Copy arrays to the device, in the order of the inputs."""
        return tuple(torch.from_numpy(feeds[spec.name]).to(self._device) for spec in self.inputs)

    def device_times_ms(self, feeds: Mapping[str, Array], count: int) -> list[float]:
        """Time the work on the device alone, copies to and from it left out."""
        tensors = self.on_device(feeds)
        return device_times_ms(lambda: self.compute(*tensors), self._device, count)

    def launched(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Count what one call launches; see ``torch_probe.launched``."""
        tensors = self.on_device(feeds)
        return launched(lambda: self.compute(*tensors), self._device)

    def memory_bytes(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Measure the memory of weights and of one call; see ``torch_probe.memory_bytes``."""
        tensors = self.on_device(feeds)
        return memory_bytes(lambda: self.compute(*tensors), [self.compute.module], self._device)

    def close(self) -> None:
        """Nothing to release."""


def open_torch_stage(bundle: Bundle, stage: str, settings: TorchSettings) -> TorchStage:
    """Rebuild a stage of a bundle on a device; raises as ``TorchSettings.check`` and ``eager.module_from_bundle``."""
    settings.check()
    return TorchStage(module_from_bundle(bundle, stage), settings)


def open_torch_runner(bundle: Bundle, stage: str, settings: TorchSettings) -> TorchRunner:
    """Open a stage of a bundle as a runner; raises as ``open_torch_stage``."""
    contract = stage_contract(stage, bundle.manifest.dimensions)
    compute = open_torch_stage(bundle, stage, settings)
    return TorchRunner(stage, compute, (contract.inputs, contract.outputs), settings.device)


def limit_threads(threads: int | None) -> None:
    """Set how many CPU threads PyTorch uses in this process; None leaves it as it is."""
    if threads is not None:
        torch.set_num_threads(threads)


def prepared_module(module: nn.Module, settings: TorchSettings) -> nn.Module:
    """Move a module to its device, with half weights where autocast would convert them in every call."""
    module = module.eval().requires_grad_(False).to(settings.device)
    if settings.half:
        full = [module.head] if isinstance(module, SpectralGenerator) else []  # that one leaves autocast on purpose
        for part in module.modules():
            if isinstance(part, (nn.Conv1d, nn.ConvTranspose1d, nn.Linear)) and part not in full:
                part.half()
    return module
