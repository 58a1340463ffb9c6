"""The arena in the process's own memory, with any runners as what computes: buckets without a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emotirt.bundle.contract import DECODER, stage_contract
from emotirt.bundle.manifest import Manifest
from emotirt.bundle.profiles import stage_profiles
from emotirt.runtime.buckets import StageShapes
from emotirt.runtime.device import Bytes, Move, view
from emotirt.runtime.layout import MEL_BY_CHANNEL, Launch, Layout, Placed, StageSpecs
from emotirt.runtime.pool import SlotPool, slot_on
from emotirt.runtime.runner import Array, Runner
from emotirt.types import TensorSpec


class HostDevice:
    """Buckets on runners of the CPU; what is not copied between arena and mirror is not there, as on a GPU."""

    def __init__(self, layout: Layout, runners: Mapping[str, Runner]) -> None:
        """Use runners by stage; they stay their owner's."""
        self.host: Bytes = np.zeros(layout.size_bytes, dtype=np.uint8)
        self._arena: Bytes = np.zeros(layout.size_bytes, dtype=np.uint8)
        self._runners = dict(runners)

    def upload(self, start: int, stop: int) -> None:
        """Copy bytes of the mirror to the arena."""
        self._arena[start:stop] = self.host[start:stop]

    def launch(self, launch: Launch) -> None:
        """Compute a bucket; raises BackendError where the runner does."""
        given = self._runners[launch.bucket.stage].run({item.name: self._array(item) for item in launch.inputs})
        for item in launch.outputs:
            value = given["mel"].transpose(0, 2, 1) if item.name == MEL_BY_CHANNEL else given[item.name]
            self._array(item)[...] = value

    def move(self, moves: Sequence[Move]) -> None:
        """Copy within the arena."""
        for move in moves:
            for row in range(move.rows):
                source, target = move.source + row * move.source_pitch, move.target + row * move.target_pitch
                self._arena[target : target + move.width] = self._arena[source : source + move.width]

    def download(self, start: int, stop: int) -> None:
        """Copy bytes of the arena to the mirror."""
        self.host[start:stop] = self._arena[start:stop]

    def _array(self, item: Placed) -> Array:
        return view(self._arena, item.offset, item.dtype, item.shape)


def host_pool(manifest: Manifest, runners: Mapping[str, Runner], slots: int = 1) -> SlotPool:
    """Make slots in host memory that pad, chain and cut as those on a GPU do.

    Args:
        manifest: of the bundle.
        runners: by stage; may be used by several slots at once, and stay their owner's.
        slots: calls computed at once.
    """
    stages = {stage: host_specs(manifest, stage) for stage in runners}
    layout = Layout(stages, manifest.hop_samples)
    return SlotPool([slot_on(HostDevice(layout, runners), layout, stages, manifest) for _ in range(slots)])


def host_specs(manifest: Manifest, stage: str) -> StageSpecs:
    """Return a stage as its plans would have it, from the manifest alone."""
    contract = stage_contract(stage, manifest.dimensions)
    shapes = StageShapes(stage, contract.inputs, stage_profiles(manifest, stage))
    extra = (mel_by_channel(manifest.dimensions.n_mels),) if stage == DECODER else ()
    return StageSpecs(shapes, contract.inputs, (*contract.outputs, *extra))


def mel_by_channel(n_mels: int) -> TensorSpec:
    """Describe the output that plans of the decoder may have besides those of the contract."""
    return TensorSpec(MEL_BY_CHANNEL, "float32", ("batch", n_mels, "frames"))
