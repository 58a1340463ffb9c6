"""What an adapter is: the little in which TensorRT 8.6, TensorRT 10 and 11, and TensorRT for RTX differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from emotirt.bundle.plans import Profile


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How plans are built.

    Attributes:
        version_compatible: for later releases of the same major version too.
        optimization_level: 0 to 5, None for the adapter's default.
        compute_capabilities: to build for, empty for the adapter's default.
    """

    version_compatible: bool = False
    optimization_level: int | None = None
    compute_capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """One plan to build.

    Attributes:
        stage: name.
        precision: that the graph was rewritten to.
        graph: serialized ONNX as TensorRT gets it.
        profiles: optimization profiles.
        compute_capabilities: to build for.
        version_compatible: see ``PlanOptions``.
        optimization_level: see ``PlanOptions``.
        typed: the same graph with the types that its tensors shall have, where ``graph`` itself cannot say them.
    """

    stage: str
    precision: str
    graph: bytes
    profiles: tuple[Profile, ...]
    compute_capabilities: tuple[str, ...]
    version_compatible: bool = False
    optimization_level: int | None = None
    typed: bytes = b""

    @property
    def what(self) -> str:
        """The plan in words, for messages."""
        return f"stage {self.stage} in {self.precision}"


class Adapter(Protocol):
    """How one kind of TensorRT is told what to build."""

    needs_gpu: bool
    """Whether it measures kernels on the GPU that will run the plan."""

    takes_half: bool
    """Whether it takes graphs in float16, quantized ones too; else it gets float32 and is told the types beside it."""

    has_lean_runtime: bool
    """Whether its package holds the runtime that version-compatible plans carry along."""

    default_level: int | None
    """Optimization level where none is asked for."""

    def capabilities(self, asked: tuple[str, ...], here: str) -> tuple[str, ...]:
        """Return the compute capabilities to build for.

        Args:
            asked: by the user, empty for the default.
            here: of this machine's GPU, empty where none is needed.

        Raises: PlanFailed: not possible, with what is.
        """

    def network_flags(self, trt: Any) -> int:
        """Return the flags that a network is created with."""

    def configure(self, trt: Any, network: Any, config: Any, order: PlanOrder) -> None:
        """Set types, flags and targets of a parsed network."""

    def relax(self, trt: Any, config: Any) -> bool:
        """Ask for less after a build failed; returns whether there was something to let go, and so a second try."""
