"""TensorRT for RTX: strongly typed networks for named compute capabilities, built on any machine.

Kernels are compiled where the plan runs, so nothing is measured here: no GPU is needed and there is no timing cache.
"""

from __future__ import annotations

from typing import Any

from emotirt.build.plan_adapter import PlanOrder
from emotirt.errors import PlanFailed

DEFAULT_CAPABILITIES = ("8.6", "8.9", "12.0")
"""GeForce RTX 30, 40 and 50."""
SUPPORTED_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")


class TensorrtRtx:
    """Adapter of TensorRT for RTX."""

    needs_gpu = False
    takes_half = True
    has_lean_runtime = False
    default_level: int | None = None

    def capabilities(self, asked: tuple[str, ...], here: str) -> tuple[str, ...]:
        """Return those asked for, ascending, else the default ones; see ``Adapter``."""
        for capability in asked:
            if capability not in SUPPORTED_CAPABILITIES:
                raise PlanFailed(
                    f"TensorRT for RTX knows no compute capability {capability!r}; it knows "
                    f"{', '.join(SUPPORTED_CAPABILITIES)}; for other GPUs take --target tensorrt"
                )
        return tuple(item for item in SUPPORTED_CAPABILITIES if item in (asked or DEFAULT_CAPABILITIES))

    def network_flags(self, trt: Any) -> int:
        """Ask for strong types."""
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    def configure(self, trt: Any, network: Any, config: Any, order: PlanOrder) -> None:
        """Let float32 be float32, and name the GPUs to build for."""
        config.clear_flag(trt.BuilderFlag.TF32)
        config.num_compute_capabilities = len(order.compute_capabilities)
        for index, capability in enumerate(order.compute_capabilities):
            member = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}")
            config.set_compute_capability(member, index)

    def relax(self, trt: Any, config: Any) -> bool:
        """Types are the network's own here: there is nothing to let go."""
        return False
