"""A stage's plan looked into: time on the GPU alone, graph nodes, memory, times of its layers. For benchmarks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emotirt.bundle.plan_cache import PlanCache
from emotirt.bundle.plans import PlanRecord, stage_precision
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError
from emotirt.runtime.buckets import sizes_of
from emotirt.runtime.layout import Launch
from emotirt.runtime.pool import Slot, runner_on
from emotirt.runtime.runner import Array
from emotirt.runtime.trt import TrtDevice
from emotirt.runtime.trt_open import open_pool, parsed_name

_LAYER_REPEATS = 50


class TrtProbe:
    """One stage on one slot; a ``Runner`` that tells more."""

    def __init__(self, bundle: Bundle, stage: str, backend: str, cache: PlanCache | None = None) -> None:
        """Load the stage's plan; errors of ``trt_open.open_pool``."""
        self._pool = open_pool(bundle, (stage,), backend, 1, cache)
        self._runner = runner_on(self._pool, stage, bundle.manifest)
        self._stage = stage
        self._records = _records(bundle, stage, parsed_name(backend)[1], cache or PlanCache())
        self.inputs, self.outputs = self._runner.inputs, self._runner.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage; see ``Runner.run``. Raises OutOfProfile: no bucket holds the feeds."""
        return self._runner.run(feeds)

    def device_times_ms(self, feeds: Mapping[str, Array], count: int) -> list[float]:
        """Time the GPU alone by its own events; copies to and from it are left out.

        Raises: OutOfProfile: no single bucket holds the feeds, as where a batch is computed in parts.
        """
        with self._pool.slot() as slot:
            return _device(slot).times_ms(self._placed(slot, feeds), count)

    def launched(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Return the nodes of the bucket's graph: ``kernels``, and others by the name that CUDA gives them.

        Empty where the bucket has no graph. Raises: OutOfProfile: as ``device_times_ms``.
        """
        with self._pool.slot() as slot:
            launch = self._placed(slot, feeds)
            _device(slot).launch(launch)
            nodes = _device(slot).recorded.get(launch.bucket, {})
        return {"kernels" if kind == "Kernel" else kind.lower(): count for kind, count in nodes.items()}

    def memory_bytes(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Return ``weights``, taken as the size of the plans' files, ``activations``, and inputs and outputs."""
        with self._pool.slot() as slot:
            memory = _device(slot).memory
        found = {"activations": memory.activations, "inputs_and_outputs": memory.arena}
        weights = sum(record.plan_bytes for record in self._records)
        return {"weights": weights, **found} if self._records else found

    def plan_facts(self) -> dict[str, str | float]:
        """Say which plans these are: hashes of their files and of the graph they were built from, and how long it took.

        Several hashes have spaces between them, and seconds are those of all plans together.
        """
        if not self._records:
            return {}
        return {
            "plan_sha256": " ".join(record.plan_sha256 for record in self._records),
            "built_graph_sha256": " ".join(sorted({record.built_graph_sha256 for record in self._records})),
            "build_s": round(sum(record.build_s for record in self._records), 1),
        }

    def layer_times(self, feeds: Mapping[str, Array]) -> list[dict[str, str | float]]:
        """Return for every layer of the plan ``name`` and ``medianMs``, in order.

        Raises: OutOfProfile: as ``device_times_ms``. BackendError: TensorRT refuses.
        """
        with self._pool.slot() as slot:
            times = _device(slot).layer_times_ms(self._placed(slot, feeds), _LAYER_REPEATS)
        return [{"name": name, "medianMs": float(np.median(values))} for name, values in times]

    def close(self) -> None:
        """Release the GPU."""
        self._runner.close()

    def _placed(self, slot: Slot, feeds: Mapping[str, Array]) -> Launch:
        """Compute the stage once, so that its inputs lie on the device, and return what computes it again."""
        slot.stages.run(self._stage, feeds)
        return slot.stages.launch_for(self._stage, sizes_of(self.inputs, feeds))


def _device(slot: Slot) -> TrtDevice:
    device = slot.stages.device
    if not isinstance(device, TrtDevice):
        raise BackendError(f"a {type(device).__name__} cannot be looked into; only plans of TensorRT can")
    return device


def _records(bundle: Bundle, stage: str, precision: str, cache: PlanCache) -> list[PlanRecord]:
    """Return the records of the stage's plans in the cache, by file name."""
    wanted = (stage, bundle.manifest.stages[stage].sha256, stage_precision(stage, precision))
    return [
        record
        for record in cache.records()
        if (record.key.stage, record.key.graph_sha256, record.key.precision) == wanted
    ]
