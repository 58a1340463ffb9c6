"""Where the stages run: in this process, or in a worker process that is watched and stood in for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emotirt.bundle.contract import PROMPT_ENCODER, SPEAKING_STAGES, VOCODER
from emotirt.bundle.store import Bundle, open_bundle
from emotirt.engine.observe import Health, HealthState
from emotirt.engine.planner import Planner
from emotirt.engine.request import SpeechRequest
from emotirt.engine.settings import WORKER, EngineSettings
from emotirt.engine.stages import AcousticBatches, VocoderBatches
from emotirt.errors import BackendError, BackendUnavailable, BundleError, OutputPoisoned
from emotirt.runtime.fused import ACOUSTIC, FUSED, fused_contract
from emotirt.runtime.open import CPU_BACKEND, is_gpu_backend, open_runners
from emotirt.runtime.runner import Array, Runner
from emotirt.scheduling.guard import Guard, GuardedRunner, trouble_in
from emotirt.scheduling.policy import StageLimits
from emotirt.scheduling.supervisor import Call, Supervisor, Tell
from emotirt.scheduling.worker import WorkerSpec
from emotirt.types import FloatArray, TensorSpec

PROBE_TEXT = "Hello."
LOUDER = 4.0
"""A worker whose probe is so many times louder or softer than the CPU's is broken; rounding changes it by far less."""


def engine_stages(bundle: Bundle, backend: str) -> tuple[str, ...]:
    """Return the stages of a bundle that requests need; on a GPU those are fused that need nothing from the host."""
    if is_gpu_backend(backend):
        return gpu_stages(bundle)
    return tuple(stage for stage in (*SPEAKING_STAGES, PROMPT_ENCODER) if stage in bundle.manifest.stages)


def gpu_stages(bundle: Bundle) -> tuple[str, ...]:
    """Return the stages that requests need of a GPU."""
    return (ACOUSTIC, VOCODER, *((PROMPT_ENCODER,) if PROMPT_ENCODER in bundle.manifest.stages else ()))


class Backend(Protocol):
    """The stages of a bundle that requests need."""

    @property
    def runners(self) -> Mapping[str, Runner]:
        """By stage; may be used from several threads."""

    def health(self) -> Health:
        """Return its state."""

    def close(self) -> None:
        """Release everything."""


class InlineBackend:
    """Runners in this process."""

    def __init__(self, bundle: Bundle, backend: str, threads: int) -> None:
        """Load the stages; raises the errors of ``runtime.open.open_runner``."""
        self.runners: Mapping[str, Runner] = open_runners(bundle, engine_stages(bundle, backend), backend, threads)
        self._backend = backend

    def health(self) -> Health:
        """Return its state: as long as it is open, ready."""
        return Health(HealthState.READY, self._backend)

    def close(self) -> None:
        """Release the runners."""
        for runner in self.runners.values():
            runner.close()


class IsolatedBackend:
    """Runners in a worker process, and others on the CPU for the time it is away."""

    def __init__(
        self, bundle: Bundle, backend: str, threads: int, planner: Planner, settings: EngineSettings, tell: Tell
    ) -> None:
        """Start the worker and wait for it.

        Raises:
            BackendUnavailable: the first worker did not come up.
            BundleError: the worker's bundle is bad or speaks another language of symbols and sizes.
        """
        worker_bundle = _worker_bundle(bundle, settings)
        self._backend = backend
        stages = engine_stages(bundle, backend)
        self._meanwhile = open_runners(bundle, stages, CPU_BACKEND, threads) if settings.worker.speaks_meanwhile else {}
        probe = _Probe(bundle, stages, planner, self._meanwhile)
        spec = WorkerSpec(
            worker_bundle.path,
            worker_bundle.digest,
            backend,
            threads,
            stages,
            (),
            settings.worker.beat_s,
        )
        self._supervisor = Supervisor(spec, settings.worker, (settings.lanes or 1) + 1, probe.check, tell)
        if not self._supervisor.wait_first():
            error = self._supervisor.last_error
            self.close()
            raise BackendUnavailable(f"no worker process with backend {backend!r} came up: {error}")
        guard = Guard(self._supervisor, self._meanwhile, settings.worker, tell)
        self.runners: Mapping[str, Runner] = {
            stage: GuardedRunner(guard, stage, *_specs(bundle, stage)) for stage in stages
        }

    def health(self) -> Health:
        """Return its state: degraded while no worker is up."""
        pid = self._supervisor.pid
        if pid is not None:
            return Health(HealthState.READY, self._backend, worker_pid=pid)
        return Health(HealthState.DEGRADED, self._backend, f"no worker process: {self._supervisor.last_error}")

    def close(self) -> None:
        """End the worker, release the runners."""
        self._supervisor.close()
        for runner in self._meanwhile.values():
            runner.close()


def opened_backend(
    bundle: Bundle, backend: str, threads: int, planner: Planner, settings: EngineSettings, tell: Tell
) -> Backend:
    """Open what the settings, which are resolved, ask for; raises the errors of both kinds."""
    if settings.isolation == WORKER:
        return IsolatedBackend(bundle, backend, threads, planner, settings, tell)
    return InlineBackend(bundle, backend, threads)


class _Called:
    """A stage of one certain worker as a runner."""

    def __init__(self, call: Call, stage: str, specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]) -> None:
        self.inputs, self.outputs = specs
        self._call = call
        self._stage = stage

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return self._call(self._stage, feeds)

    def close(self) -> None:
        """Nothing to release."""


@dataclass(slots=True)
class _Probe:
    """Lets a new worker say a word before it is trusted."""

    bundle: Bundle
    stages: tuple[str, ...]
    planner: Planner
    meanwhile: Mapping[str, Runner]

    def check(self, call: Call) -> None:
        """Raise BackendError if the word is not sound."""
        runners = {stage: _Called(call, stage, _specs(self.bundle, stage)) for stage in self.stages}
        said = self._said(runners)
        trouble = trouble_in({"wav": said[None]})
        expected = self._said(self.meanwhile) if self.meanwhile else said
        if trouble and not trouble_in({"wav": expected[None]}):
            raise OutputPoisoned(f"its first word is {trouble}")
        ratio = _level(said) / max(_level(expected), 1e-9)
        if not 1.0 / LOUDER <= ratio <= LOUDER:
            raise OutputPoisoned(f"its first word is {ratio:.3g} times as loud as on the CPU")

    def _said(self, runners: Mapping[str, Runner]) -> FloatArray:
        plan = self.planner.plan(SpeechRequest(PROBE_TEXT))
        manifest = self.bundle.manifest
        acoustic = AcousticBatches(self.bundle, runners, StageLimits(1, 1))
        vocoder = VocoderBatches(runners, manifest.hop_samples, manifest.vocoder_context_frames)
        made = acoustic.run([(plan.utterances[0], plan.condition)])[0]
        if isinstance(made, BackendError):
            raise made
        samples = vocoder.run([made.mel])[0]
        if isinstance(samples, BackendError):
            raise samples
        return samples


def _specs(bundle: Bundle, stage: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    if stage in FUSED:
        contract = fused_contract(stage, bundle.manifest.dimensions)
        return contract.inputs, contract.outputs
    entry = bundle.manifest.stages[stage]
    inputs = tuple(TensorSpec(item.name, item.dtype, item.shape) for item in entry.inputs)
    return inputs, tuple(TensorSpec(item.name, item.dtype, item.shape) for item in entry.outputs)


def _worker_bundle(bundle: Bundle, settings: EngineSettings) -> Bundle:
    if settings.worker.bundle_path is None:
        return bundle
    other = open_bundle(settings.worker.bundle_path)
    ours, theirs = (
        (item.symbols, item.manifest.dimensions, item.manifest.hop_samples, item.manifest.sample_rate_hz)
        for item in (bundle, other)
    )
    if ours != theirs:
        raise BundleError(
            f"the worker's bundle {other.path} has other symbols, sizes, hop or rate than {bundle.path}; "
            "give one that holds the same networks"
        )
    return other


def _level(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
