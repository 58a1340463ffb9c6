"""Several slots of one device as runners: each computes one call at a time, copies of one overlap work of another."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from emotirt.bundle.contract import StageContract, stage_contract
from emotirt.bundle.manifest import Manifest
from emotirt.errors import BackendError, OutOfProfile
from emotirt.runtime.bucketed import Begun, BucketedStages
from emotirt.runtime.buckets import usual_buckets
from emotirt.runtime.chain import Chain, Voicing
from emotirt.runtime.device import Device
from emotirt.runtime.fused import ACOUSTIC, FUSED, SPEECH, fused_contract
from emotirt.runtime.layout import Layout, StageSpecs
from emotirt.runtime.runner import Array, Runner, check_feeds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Slot:
    """What computes one call at a time."""

    stages: BucketedStages
    chain: Chain

    def run(self, stage: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute a stage or a fused one; errors of both."""
        if stage == ACOUSTIC:
            return self.chain.acoustic(feeds)
        if stage == SPEECH:
            return self.chain.speech(feeds)
        return self.stages.run_in_parts(stage, feeds)


class SlotPool:
    """Slots that calls take turns with."""

    def __init__(self, slots: Sequence[Slot], release: Callable[[], None] = lambda: None) -> None:
        """Use slots, at least one; ``release`` gives back what they stand on."""
        self.slots = tuple(slots)
        self._release = release
        self._free: queue.LifoQueue[Slot | None] = queue.LifoQueue()  # a lone caller stays on one slot, which is warm
        for slot in self.slots:
            self._free.put(slot)
        self._users = 0
        self._is_closed = False
        self._sparing = threading.Lock()

    def prepare(self) -> int:
        """Set up the buckets that most calls will need in every slot, before the first call; returns how many."""
        count = 0
        for slot in self.slots:
            for specs in slot.stages.stages.values():
                for bucket in usual_buckets(specs.shapes):
                    slot.stages.prepare(bucket)
                    count += 1
        return count

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """Wait for a free slot and hold it; raises BackendError once the pool is closed."""
        slot = self._free.get()
        if slot is None:
            self._free.put(None)
            raise BackendError("the device was closed; open the bundle again")
        try:
            yield slot
        finally:
            self._free.put(slot)

    def spare_slot(self) -> Slot | None:
        """Take a slot if another one stays free, None otherwise; give it back with ``give_back``."""
        with self._sparing:
            if self._free.qsize() < 2:
                return None
            try:
                slot = self._free.get_nowait()
            except queue.Empty:
                return None
        if slot is None:
            self._free.put(None)
        return slot

    def give_back(self, slot: Slot) -> None:
        """Return a slot that ``spare_slot`` gave."""
        self._free.put(slot)

    def join(self) -> None:
        """Count a user."""
        self._users += 1

    def leave(self) -> None:
        """Count a user less; after the last one the device is released."""
        self._users -= 1
        if self._users == 0:
            self.close()

    def close(self) -> None:
        """Release the device once no call is under way; runners that are still open fail from then on."""
        if self._is_closed:
            return
        self._is_closed = True
        for _ in self.slots:
            self._free.get()
        self._free.put(None)
        self._release()


class SlotRunner:
    """A stage, or a fused one, on a pool of slots."""

    def __init__(self, pool: SlotPool, stage: str, contract: StageContract) -> None:
        """Run ``stage``; the pool is released when its last runner is closed."""
        self.inputs, self.outputs = contract.inputs, contract.outputs
        self._pool = pool
        self._stage = stage
        self._is_open = True
        pool.join()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage; see ``Runner.run``.

        Raises: OutOfProfile: no bucket holds the feeds.
        """
        if not self._is_open:
            raise BackendError(f"stage {self._stage} was closed; open the bundle again")
        check_feeds(self._stage, self.inputs, feeds)
        with self._pool.slot() as slot:
            return slot.run(self._stage, feeds)

    def begin(self, feeds: Mapping[str, Array]) -> Callable[[], dict[str, Array]] | None:
        """Let the device begin while the caller does something else.

        Args: feeds: as for ``run``.
        Returns: what waits and gives the outputs, to be called once and soon, since it holds a slot until then; None
            where no slot can be spared, or no bucket holds the feeds.
        Raises: BackendError: the device failed.
        """
        check_feeds(self._stage, self.inputs, feeds)
        if not self._is_open or self._stage in FUSED:
            return None
        slot = self._pool.spare_slot()
        if slot is None:
            return None
        try:
            begun = slot.stages.begin(self._stage, feeds)
        except OutOfProfile:
            self._pool.give_back(slot)
            return None
        except BackendError:
            self._pool.give_back(slot)
            raise
        return lambda: self._finished(slot, begun)

    def _finished(self, slot: Slot, begun: Begun) -> dict[str, Array]:
        try:
            return slot.stages.finish(begun)
        finally:
            self._pool.give_back(slot)

    def close(self) -> None:
        """Release the runner, and with the last one the device."""
        if self._is_open:
            self._is_open = False
            self._pool.leave()


class WithFallback:
    """A runner whose shapes are limited, and another one for the rest."""

    def __init__(self, runner: Runner, other: Callable[[], Runner]) -> None:
        """Use ``runner`` first; ``other`` opens the next one when it is first needed."""
        self.inputs, self.outputs = runner.inputs, runner.outputs
        self._runner = runner
        self._open_other = other
        self._other: Runner | None = None
        self._opening = threading.Lock()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage on the first that can; see ``Runner.run``."""
        try:
            return self._runner.run(feeds)
        except OutOfProfile as exc:
            reason = exc
        with self._opening:
            if self._other is None:
                logger.info("%s; the next backend takes it", reason)
                self._other = self._open_other()
        return self._other.run(feeds)

    def begin(self, feeds: Mapping[str, Array]) -> Callable[[], dict[str, Array]] | None:
        """Let the first runner begin, where it can; see ``SlotRunner.begin``."""
        return self._runner.begin(feeds) if isinstance(self._runner, SlotRunner) else None

    def close(self) -> None:
        """Release both."""
        self._runner.close()
        if self._other is not None:
            self._other.close()


def slot_on(device: Device, layout: Layout, stages: Mapping[str, StageSpecs], manifest: Manifest) -> Slot:
    """Put the stages of a bundle on a device whose arena has this layout."""
    bucketed = BucketedStages(device, layout, stages)
    return Slot(bucketed, Chain(bucketed, Voicing(manifest.hop_samples, manifest.vocoder_context_frames)))


def runner_on(pool: SlotPool, stage: str, manifest: Manifest) -> SlotRunner:
    """Return a stage, or a fused one, as a runner on a pool."""
    make = fused_contract if stage in FUSED else stage_contract
    return SlotRunner(pool, stage, make(stage, manifest.dimensions))
