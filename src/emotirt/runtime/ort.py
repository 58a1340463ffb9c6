"""Runners on ONNX Runtime's CPU provider; the only module that imports onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from emotirt.errors import BackendError, BackendUnavailable
from emotirt.runtime.runner import Array, check_feeds
from emotirt.types import TensorSpec

if TYPE_CHECKING:
    import onnxruntime

LOG_FATAL_ONLY = 4
"""onnxruntime's severity scale: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal; errors come as exceptions too."""


class OrtRunner:
    """A stage in an ONNX Runtime session."""

    def __init__(
        self,
        stage: str,
        graph: bytes,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        threads: int,
    ) -> None:
        """Load a graph.

        Args:
            stage: name for errors.
            graph: serialized ONNX model.
            inputs: what the graph takes.
            outputs: what the graph gives.
            threads: threads within an operator.

        Raises: BackendUnavailable: onnxruntime is not installed. BackendError: the graph cannot be loaded or is
            another one.
        """
        self.inputs = inputs
        self.outputs = outputs
        self._stage = stage
        self._names = [spec.name for spec in outputs]
        session = _session(stage, graph, threads)
        taken, given = ([item.name for item in side] for side in (session.get_inputs(), session.get_outputs()))
        if (taken, given) != ([spec.name for spec in inputs], self._names):
            raise BackendError(
                f"graph of stage {stage} takes {taken} and gives {given}, "
                f"expected {[spec.name for spec in inputs]} and {self._names}; rebuild the bundle"
            )
        self._session: onnxruntime.InferenceSession | None = session

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage; see ``Runner.run``."""
        session = self._session
        if session is None:
            raise BackendError(f"stage {self._stage} was closed; open the bundle again")
        check_feeds(self._stage, self.inputs, feeds)
        with _mapped_errors(f"stage {self._stage} failed on shapes {[array.shape for array in feeds.values()]}"):
            values = session.run(self._names, dict(feeds))
        return dict(zip(self._names, values, strict=True))

    def close(self) -> None:
        """Release the session."""
        self._session = None


def _session(stage: str, graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as exc:
        raise BackendUnavailable(
            "backend 'onnxruntime' needs the onnxruntime package; pip install onnxruntime"
        ) from exc
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # shapes change from call to call, so a planned layout is never used again
    options.log_severity_level = LOG_FATAL_ONLY
    with _mapped_errors(f"stage {stage} cannot be loaded"):
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@contextmanager
def _mapped_errors(what: str) -> Iterator[None]:
    """Turn onnxruntime's exceptions, all of which derive from RuntimeError or ValueError, into BackendError."""
    try:
        yield
    except Exception as exc:
        detail = " ".join(str(exc).split())
        raise BackendError(f"{what} in onnxruntime: {type(exc).__name__}: {detail}") from exc
