"""Faults on purpose, inside the worker: what a fault campaign does to a stage that runs on real data.

Only a worker whose settings name a file does any of this, and only while the file says so: ``nan``, ``silence`` or
``clipping`` (what the vocoder gives), ``error`` (every call fails), ``slow 0.2`` (every call takes so many seconds
longer). An empty or missing file is no fault.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emotirt.errors import BackendError
from emotirt.runtime.runner import Array, Runner

AUDIO = "wav"
POISONS = {"nan": float("nan"), "silence": 0.0, "clipping": 1.0}
"""What every sample becomes."""


class SabotagedRunner:
    """A runner that fails as a file says."""

    def __init__(self, runner: Runner, order_path: Path) -> None:
        """Spoil ``runner``."""
        self.inputs = runner.inputs
        self.outputs = runner.outputs
        self._runner = runner
        self._order_path = order_path

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage, then do what is ordered."""
        outputs = self._runner.run(feeds)
        kind, _, amount = self._order().partition(" ")
        if kind == "slow":
            time.sleep(float(amount))
        if kind == "error":
            raise BackendError("the stage fails because it was told to")
        if kind in POISONS and AUDIO in outputs:
            return {**outputs, AUDIO: np.full_like(outputs[AUDIO], POISONS[kind])}
        return outputs

    def close(self) -> None:
        """Release the runner."""
        self._runner.close()

    def _order(self) -> str:
        try:
            return self._order_path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
