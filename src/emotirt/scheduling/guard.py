"""A backend that is watched: what it gives is checked, and the CPU computes what it cannot or got wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

import numpy as np

from emotirt.errors import BackendError, BackendUnavailable, OutOfProfile, OutputPoisoned, WorkerLost
from emotirt.runtime.runner import Array, Runner
from emotirt.scheduling.supervisor import Supervisor, Tell, WorkerSettings
from emotirt.types import TensorSpec

logger = logging.getLogger(__name__)

AUDIO = "wav"
"""The one output that is heard, so that it can be silent or clipped."""
SILENT_PEAK = 1e-5
"""-100 dB of full scale, below the last bit of 16; a vocoder's noise floor lies well above."""
CLIPPED_LEVEL = 0.999
CLIPPED_PART = 0.05
"""A tenth of this part is heard as distortion in speech; tanh gets there only far past full scale."""
TRIALS = 5
"""Without a CPU in its place, so many workers in a row are given a call; one that ends them all is not given more."""


class Breaker:
    """Counts failures; any thread."""

    def __init__(self, failures: int) -> None:
        """Trip after so many in a row."""
        self._failures = failures
        self._in_a_row = 0
        self._lock = threading.Lock()

    def succeeded(self) -> None:
        """Note a call that went well."""
        self._in_a_row = 0

    def failed(self) -> bool:
        """Note a call that failed; whether that is once too often, which begins the count anew."""
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row < self._failures:
                return False
            self._in_a_row = 0
            return True


class Guard:
    """The worker, what speaks in its place, and the decision between them."""

    def __init__(
        self, supervisor: Supervisor, meanwhile: Mapping[str, Runner], settings: WorkerSettings, tell: Tell
    ) -> None:
        """Watch a supervisor's worker.

        Args:
            supervisor: of the worker.
            meanwhile: runners that speak in its place, by stage; may be empty.
            settings: of the worker.
            tell: told what happens.
        """
        self._supervisor = supervisor
        self._meanwhile = meanwhile
        self._settings = settings
        self._tell = tell
        self._breaker = Breaker(settings.failures)

    def run(self, stage: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute a stage wherever it can be computed.

        Raises: BackendError: nowhere.
        """
        try:
            outputs = self._supervisor.call(stage, feeds)
        except (WorkerLost, OutOfProfile) as exc:
            return self._computed_elsewhere(stage, feeds, exc)
        except BackendError as exc:
            self._note_failure(stage, exc)
            return self._computed_elsewhere(stage, feeds, exc)
        trouble = trouble_in(outputs)
        if not trouble:
            self._breaker.succeeded()
            return outputs
        return self._compared(stage, feeds, outputs, trouble)

    def _note_failure(self, stage: str, error: BackendError) -> None:
        self._tell("failed", f"stage {stage}")
        logger.warning("the worker failed in stage %s: %s", stage, type(error).__name__)
        if self._breaker.failed():
            self._supervisor.discard(f"{self._settings.failures} calls failed in a row, the last in stage {stage}")

    def _computed_elsewhere(self, stage: str, feeds: Mapping[str, Array], error: BackendError) -> dict[str, Array]:
        runner = self._meanwhile.get(stage)
        if runner is not None:
            self._tell("fallback", stage)
            return runner.run(feeds)
        if not isinstance(error, WorkerLost):
            raise error
        for _ in range(TRIALS - 1):
            if not self._supervisor.wait_up(self._settings.return_s):
                break
            try:
                return self._supervisor.call(stage, feeds)
            except WorkerLost as exc:
                error = exc
        raise BackendUnavailable(f"nothing can speak at the moment: {error}") from error

    def _compared(
        self, stage: str, feeds: Mapping[str, Array], outputs: dict[str, Array], trouble: str
    ) -> dict[str, Array]:
        """Decide whether odd output is the worker's fault or the input's: the CPU gives the same or it does not."""
        runner = self._meanwhile.get(stage)
        if runner is not None:
            expected = runner.run(feeds)
            if trouble_in(expected):
                return outputs
        self._tell("poisoned", f"stage {stage} gave {trouble}")
        self._supervisor.discard(f"stage {stage} gave {trouble}")
        if runner is None:
            raise OutputPoisoned(f"stage {stage} gave {trouble}")
        self._tell("fallback", stage)
        return expected


class GuardedRunner:
    """A stage behind a guard, as a runner like any other; ``close`` leaves the guard to its owner."""

    def __init__(
        self, guard: Guard, stage: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        """Stand for one stage."""
        self.inputs = inputs
        self.outputs = outputs
        self._guard = guard
        self._stage = stage

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage; see ``Runner.run``."""
        return self._guard.run(self._stage, feeds)

    def close(self) -> None:
        """Nothing to release."""


def trouble_in(outputs: Mapping[str, Array]) -> str:
    """Say what speech never has: values that are not finite, a silent or a clipped row of audio; empty if nothing."""
    for name, array in outputs.items():
        if not np.isfinite(array).all():
            return f"values that are not finite in {name!r}"
    audio = outputs.get(AUDIO)
    if audio is None:
        return ""
    level = np.abs(audio)
    if bool((level.max(axis=1) < SILENT_PEAK).any()):
        return "silence"
    if bool(((level >= CLIPPED_LEVEL).mean(axis=1) > CLIPPED_PART).any()):
        return "clipping"
    return ""
