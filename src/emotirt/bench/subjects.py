"""What is compared: a bundle's stages on a backend, in a way of running it, under a label.

=====================  ===================================================================================
``onnxruntime``        ONNX Runtime on the CPU
``torch``              PyTorch eager, float32 with its own defaults for TF32
``torch-fp16``         the same with half convolutions and linear layers
``torch-graph``        PyTorch in one CUDA graph a shape
``torch-graph-fp16``   the same in half precision: the best that plain PyTorch does
``torch-compile``      ``torch.compile`` of each shape
``torch-compile-fp16`` the same in half precision
``torch-shipped``      as EmotiVoice ships it: eager, its BERT on the CPU, prompt and sentence encoded each time
``tensorrt-fp32``      TensorRT plans in float32
``tensorrt-fp16``      TensorRT plans in float16 with float32 islands
``tensorrt-int8``      the same with an INT8 vocoder
``kernels-fp16``       TensorRT in float16, the vocoder by EmotiRT's own kernels
=====================  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from emotirt.bundle.store import Bundle, default_bundle_path, open_bundle
from emotirt.errors import BackendUnavailable, InvalidRequest
from emotirt.runtime.open import is_gpu_backend, open_runner
from emotirt.runtime.runner import Array, Runner

if TYPE_CHECKING:
    from emotirt.runtime.torch_device import TorchSettings

TORCH_WAYS = {
    "torch": ("eager", False),
    "torch-fp16": ("eager", True),
    "torch-graph": ("graph", False),
    "torch-graph-fp16": ("graph", True),
    "torch-compile": ("compile", False),
    "torch-compile-fp16": ("compile", True),
    "torch-shipped": ("eager", False),
}
SHIPPED = "torch-shipped"
BACKENDS = {
    "onnxruntime": "onnxruntime",
    "tensorrt-fp32": "tensorrt@float32",
    "tensorrt-fp16": "tensorrt@fp16",
    "tensorrt-int8": "tensorrt@int8",
    "kernels-fp16": "tensorrt@kernels",
}
"""Ways that serving has too, and what it calls them."""


@runtime_checkable
class Probed(Protocol):
    """A runner that tells what happens on its device."""

    def device_times_ms(self, feeds: Mapping[str, Array], count: int) -> list[float]:
        """Time the work on the device alone, copies to and from it left out."""

    def launched(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Count what one call launches."""

    def memory_bytes(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Return bytes by kind, such as ``weights`` and ``activations``."""


@runtime_checkable
class PlanProbed(Protocol):
    """A runner of a plan."""

    def plan_facts(self) -> dict[str, str | float]:
        """Say which plan it is."""

    def layer_times(self, feeds: Mapping[str, Array]) -> list[dict[str, str | float]]:
        """Return for every layer of the plan ``name`` and ``medianMs``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that is compared.

    Attributes:
        label: in tables and files.
        way: a name of the table above.
        bundle: opened.
        device: of PyTorch, ``cuda`` or ``cpu``.
        threads: of CPU backends, None for one a core; PyTorch has one number for the whole process.
    """

    label: str
    way: str
    bundle: Bundle
    device: str = "cpu"
    threads: int | None = None

    def open_stage(self, stage: str) -> Runner:
        """Load a stage.

        Raises: BackendUnavailable, BackendError, BundleError: it cannot be loaded here.
        """
        if self.way in TORCH_WAYS:
            return self._open_torch(stage)
        backend = BACKENDS[self.way]
        if not is_gpu_backend(backend):
            return open_runner(self.bundle, stage, backend, self.threads)
        from emotirt.runtime.trt_probe import TrtProbe

        return TrtProbe(self.bundle, stage, backend)

    def torch_settings(self, device: str | None = None) -> TorchSettings:
        """Return how PyTorch runs it, on another device if one is named.

        Raises: BackendUnavailable: PyTorch or onnx, which reads the weights, is not installed.
        """
        try:
            from emotirt.runtime.torch_device import TorchSettings
        except ImportError as exc:
            raise BackendUnavailable(
                f"{self.way!r} needs torch and onnx ({exc}); pip install 'emotirt[train]'"
            ) from exc
        mode, half = TORCH_WAYS[self.way]
        return TorchSettings(device or self.device, half, mode)

    def _open_torch(self, stage: str) -> Runner:
        settings = self.torch_settings()
        from emotirt.runtime.torch_device import limit_threads, open_torch_runner

        limit_threads(self.threads)
        return open_torch_runner(self.bundle, stage, settings)


def subject_from_text(text: str, bundle: Path | None, device: str, threads: int | None) -> Subject:
    """Read ``WAY``, ``LABEL=WAY`` or ``LABEL=WAY:DIR``.

    Args:
        text: as above; DIR is a bundle of its own for this subject.
        bundle: directory of the bundle of those that name none, None for the default bundle.
        device: of PyTorch.
        threads: of CPU backends.

    Raises: InvalidRequest: no such way. BundleError: a bundle cannot be opened.
    """
    label, has_label, rest = text.partition("=")
    way, _, directory = (rest if has_label else text).partition(":")
    known = (*BACKENDS, *TORCH_WAYS)
    if way not in known or not label:
        raise InvalidRequest(
            f"subject {text!r} is not known; write WAY, LABEL=WAY or LABEL=WAY:BUNDLE; ways are {', '.join(known)}"
        )
    place = Path(directory) if directory else bundle or default_bundle_path()
    return Subject(label if has_label else way, way, open_bundle(place), device, threads)
