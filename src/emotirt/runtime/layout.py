"""Where tensors lie in the arena of a slot: offsets and sizes, no memory.

Every stage has two regions, one for what is written to it and one for what it gives, each large enough for its largest
bucket; within a region the tensors of a bucket follow each other. So a bucket's addresses never change, buckets share
memory, and what a stage takes or gives is copied in one piece. The decoder has no room of its own for what the text
encoder gives: it reads it where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.bundle.contract import DECODER, TEXT_ENCODER
from emotirt.runtime.buckets import FRAMES, SAMPLES, Bucket, StageShapes
from emotirt.types import TensorSpec

ALIGNMENT_BYTES = 256
"""As cudaMalloc aligns; what TensorRT's vectorized formats need at most."""
MEL_BY_CHANNEL = "mel_by_channel"
"""An output that plans of the decoder may have besides ``mel``: the same, [B, n_mels, F], as the vocoder takes it."""
SHARED = {DECODER: (TEXT_ENCODER, ("hidden", "durations"))}
"""Inputs that a stage reads where another one wrote them as outputs."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor of a bucket.

    Attributes:
        name: in the graph.
        dtype: as it lies in memory.
        shape: static.
        offset: in the arena, in bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    @property
    def stop(self) -> int:
        """The byte after its last."""
        return self.offset + self.size_bytes


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that computing one bucket takes; equal launches do the same work on the same addresses.

    Attributes:
        bucket: which.
        inputs: in the graph's order.
        outputs: in the graph's order.
    """

    bucket: Bucket
    inputs: tuple[Placed, ...]
    outputs: tuple[Placed, ...]

    def placed(self, name: str) -> Placed:
        """Return an input or output by name."""
        return next(item for item in (*self.inputs, *self.outputs) if item.name == name)


@dataclass(frozen=True, slots=True)
class StageSpecs:
    """A stage as its backend has it.

    Attributes:
        shapes: that it can take.
        inputs: with the types that they have in memory, which may be narrower than the contract's.
        outputs: likewise; may have more than the contract.
    """

    shapes: StageShapes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Layout:
    """The arena of a slot."""

    def __init__(self, stages: Mapping[str, StageSpecs], hop_samples: int) -> None:
        """Lay out regions for stages; ``hop_samples`` are the samples of a frame."""
        self._stages = stages
        self._hop_samples = hop_samples
        self._inputs: dict[str, int] = {}
        self._outputs: dict[str, int] = {}
        end = 0
        for stage, specs in stages.items():
            largest = specs.shapes.largest()
            self._inputs[stage] = end
            end += max(self._packed_bytes(self._own_inputs(stage), sizes) for sizes in largest)
            self._outputs[stage] = end
            end += max(self._given_bytes(stage, sizes) for sizes in largest)
        self.size_bytes = end

    def launch(self, bucket: Bucket) -> Launch:
        """Place the tensors of a bucket."""
        stage, sizes = bucket.stage, bucket.axes
        own = self._packed(self._own_inputs(stage), sizes, self._inputs[stage])
        placed = {item.name: item for item in (*own, *self._shared_inputs(stage, sizes))}
        return Launch(
            bucket,
            tuple(placed[spec.name] for spec in self._stages[stage].inputs),
            self._packed(self._stages[stage].outputs, sizes, self._outputs[stage]),
        )

    def own_inputs(self, launch: Launch) -> tuple[Placed, ...]:
        """Return the inputs that no other stage writes, in one piece of the arena."""
        names = {spec.name for spec in self._own_inputs(launch.bucket.stage)}
        return tuple(item for item in launch.inputs if item.name in names)

    def shared_inputs(self, launch: Launch) -> tuple[Placed, ...]:
        """Return the inputs that another stage may have written, in one piece of the arena."""
        own = self.own_inputs(launch)
        return tuple(item for item in launch.inputs if item not in own)

    def _giver(self, stage: str) -> tuple[str, tuple[str, ...]]:
        giver, names = SHARED.get(stage, ("", ()))
        return (giver, names) if giver in self._stages else ("", ())

    def _own_inputs(self, stage: str) -> tuple[TensorSpec, ...]:
        _, shared = self._giver(stage)
        return tuple(spec for spec in self._stages[stage].inputs if spec.name not in shared)

    def _shared_inputs(self, stage: str, sizes: Mapping[str, int]) -> tuple[Placed, ...]:
        giver, names = self._giver(stage)
        if not giver:
            return ()
        given = self._packed(self._stages[giver].outputs, sizes, self._outputs[giver])
        return tuple(item for item in given if item.name in names)

    def _given_bytes(self, stage: str, sizes: Mapping[str, int]) -> int:
        """Return what a stage gives, or what those who read there may want to be there."""
        needs = [self._packed_bytes(self._stages[stage].outputs, sizes)]
        for taker, (giver, _) in SHARED.items():
            if giver == stage and taker in self._stages:
                largest = self._stages[taker].shapes.largest()
                needs += [self._packed_bytes(self._stages[stage].outputs, taken) for taken in largest]
        return max(needs)

    def _packed_bytes(self, specs: Sequence[TensorSpec], sizes: Mapping[str, int]) -> int:
        placed = self._packed(specs, sizes, 0)
        return _aligned(placed[-1].stop) if placed else 0

    def _packed(self, specs: Sequence[TensorSpec], sizes: Mapping[str, int], start: int) -> tuple[Placed, ...]:
        placed: list[Placed] = []
        for spec in specs:
            shape = tuple(self._size(axis, sizes) for axis in spec.shape)
            placed.append(Placed(spec.name, spec.dtype, shape, start))
            start = _aligned(placed[-1].stop)
        return tuple(placed)

    def _size(self, axis: int | str, sizes: Mapping[str, int]) -> int:
        if isinstance(axis, int):
            return axis
        return sizes[FRAMES] * self._hop_samples if axis == SAMPLES else sizes[axis]


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
