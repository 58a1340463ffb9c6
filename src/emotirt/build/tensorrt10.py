"""TensorRT 10 and 11: strongly typed networks, tuned on the GPU that will run them."""

from __future__ import annotations

from typing import Any

from emotirt.build.plan_adapter import PlanOrder
from emotirt.build.tensorrt8 import own_capability


class Tensorrt10:
    """Adapter of TensorRT 10 and 11."""

    needs_gpu = True
    takes_half = True
    has_lean_runtime = True
    default_level: int | None = None

    def capabilities(self, asked: tuple[str, ...], here: str) -> tuple[str, ...]:
        """Return the GPU's own; see ``Adapter``."""
        return own_capability(asked, here)

    def network_flags(self, trt: Any) -> int:
        """Ask for strong types; 11 has no others and takes no notice."""
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    def configure(self, trt: Any, network: Any, config: Any, order: PlanOrder) -> None:
        """Let float32 be float32: TF32 keeps only ten bits of a factor."""
        config.clear_flag(trt.BuilderFlag.TF32)

    def relax(self, trt: Any, config: Any) -> bool:
        """Types are the network's own here: there is nothing to let go."""
        return False
