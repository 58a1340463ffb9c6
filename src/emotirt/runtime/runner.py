"""What a runner is, and the checks that every backend shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emotirt.errors import BackendError
from emotirt.types import TensorSpec

Array = NDArray[Any]


class Runner(Protocol):
    """One stage loaded on one backend; ``run`` may be called from several threads at once."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs in the graph's order."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs in the graph's order."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from every input; arrays fit the specs.

        Raises: BackendError: feeds that do not fit, or the backend failed.
        """

    def close(self) -> None:
        """Release what the backend holds; the runner is unusable afterwards."""


def check_feeds(stage: str, specs: tuple[TensorSpec, ...], feeds: Mapping[str, Array]) -> None:
    """Check names, types, fixed sizes, and that a dynamic axis has one size wherever it appears.

    Raises: BackendError: names the stage and the tensor.
    """
    names = [spec.name for spec in specs]
    if set(feeds) != set(names):
        raise BackendError(f"stage {stage} takes {names}, got {sorted(feeds)}")
    sizes: dict[str, int] = {}
    for spec in specs:
        array = feeds[spec.name]
        if array.dtype != np.dtype(spec.dtype) or array.ndim != len(spec.shape):
            raise BackendError(
                f"input {spec.name!r} of stage {stage} is {array.dtype} {array.shape}, "
                f"expected {spec.dtype} {spec.shape}"
            )
        for axis, found in zip(spec.shape, array.shape, strict=True):
            expected = sizes.setdefault(axis, found) if isinstance(axis, str) else axis
            if found != expected or found < 1:
                raise BackendError(
                    f"input {spec.name!r} of stage {stage} has shape {array.shape}, "
                    f"expected {spec.shape} with axis {axis!r} = {max(expected, 1)}"
                )
