"""Which TensorRT is installed; the one place that imports it, and only when asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from emotirt.bundle.plans import TENSORRT, TENSORRT_8, TENSORRT_RTX
from emotirt.errors import BackendUnavailable

TARGET_TENSORRT, TARGET_RTX = "tensorrt", "tensorrt-rtx"
TARGETS = (TARGET_TENSORRT, TARGET_RTX)
_MODULES: Mapping[str, tuple[str, ...]] = {
    TARGET_TENSORRT: ("tensorrt",),
    TARGET_RTX: ("tensorrt_rtx_bindings", "tensorrt_rtx"),
}
"""Where a target's module may be: the wheels of TensorRT for RTX hold it under the first name, its archive under the
second."""
REMEDIES: Mapping[str, str] = {
    TARGET_TENSORRT: "pip install 'emotirt[tensorrt]' (on Python 3.10 also tensorrt==8.6.0)",
    TARGET_RTX: "pip install 'emotirt[tensorrt-rtx]'",
}
_ADAPTERS = {"8": TENSORRT_8, "10": TENSORRT, "11": TENSORRT}
"""Major version to adapter; 9 was only for Windows and language models."""


@dataclass(frozen=True, slots=True)
class Library:
    """A TensorRT that was imported.

    Attributes:
        adapter: one of ``bundle.plans.ADAPTERS``.
        version: in full.
        module: the Python module itself.
    """

    adapter: str
    version: str
    module: Any


def is_installed(target: str) -> bool:
    """Say whether a target's package is there, without importing it."""
    return any(find_spec(name) is not None for name in _MODULES[target])


def load_library(target: str) -> Library:
    """Import the TensorRT of a target.

    Args: target: one of ``TARGETS``.
    Raises: BackendUnavailable: not installed, or it cannot be loaded; names the package and the remedy.
    """
    module = _imported(target)
    version = str(getattr(module, "__version__", "0"))
    adapter = TENSORRT_RTX if target == TARGET_RTX else _ADAPTERS.get(version.partition(".")[0])
    if adapter is None:
        raise BackendUnavailable(f"TensorRT {version} is not supported; supported: 8.6, 10 and 11; {REMEDIES[target]}")
    return Library(adapter, version, module)


def _imported(target: str) -> ModuleType:
    if not is_installed(target):
        raise BackendUnavailable(f"target {target} needs the package {_MODULES[target][0]}: {REMEDIES[target]}")
    try:
        return _import_rtx() if target == TARGET_RTX else _import_tensorrt()
    except (ImportError, OSError) as exc:
        raise BackendUnavailable(
            f"the package of target {target} is installed but cannot be loaded: {exc}; reinstall it: {REMEDIES[target]}"
        ) from exc


def _import_tensorrt() -> ModuleType:
    import tensorrt

    module: ModuleType = tensorrt
    return module


def _import_rtx() -> ModuleType:
    module: ModuleType
    if find_spec(_MODULES[TARGET_RTX][0]) is not None:
        import tensorrt_rtx_bindings

        module = tensorrt_rtx_bindings
    else:
        import tensorrt_rtx

        module = tensorrt_rtx
    return module
