"""Stages in buckets on one device: pads what comes in, computes, cuts what goes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.runtime.buckets import BATCH, FRAMES, Bucket, sizes_of
from emotirt.runtime.device import Device, view
from emotirt.runtime.layout import MEL_BY_CHANNEL, Launch, Layout, Placed, StageSpecs
from emotirt.runtime.runner import Array


@dataclass(frozen=True, slots=True)
class Begun:
    """A stage under way on a device.

    Attributes:
        stage: name.
        sizes: of every dynamic axis, without padding.
        launch: that computes it.
    """

    stage: str
    sizes: dict[str, int]
    launch: Launch


class BucketedStages:
    """All stages of a bundle on one device; one call at a time."""

    def __init__(self, device: Device, layout: Layout, stages: Mapping[str, StageSpecs]) -> None:
        """Use a device whose arena has this layout."""
        self.device = device
        self.stages = dict(stages)
        self._layout = layout
        self._launches: dict[Bucket, Launch] = {}

    def run(self, stage: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute a stage from and to host memory.

        Args:
            stage: one of ``stages``.
            feeds: every input, already checked.

        Returns: every output, without padding.
        Raises: OutOfProfile: no bucket holds the feeds. BackendError: the device failed.
        """
        return self.finish(self.begin(stage, feeds))

    def begin(self, stage: str, feeds: Mapping[str, Array]) -> Begun:
        """Do the first half of ``run``: what the device needs no host for; nothing else may run before ``finish``."""
        sizes = sizes_of(self.stages[stage].inputs, feeds)
        launch = self.launch_for(stage, sizes)
        self.write(launch.inputs, feeds)
        self.upload(self._layout.own_inputs(launch))
        self.upload(self._layout.shared_inputs(launch))
        self.device.launch(launch)
        return Begun(stage, sizes, launch)

    def finish(self, begun: Begun) -> dict[str, Array]:
        """Wait for what ``begin`` began and return every output, without padding; raises BackendError."""
        stage, sizes, launch = begun.stage, begun.sizes, begun.launch
        given = self.read([item for item in launch.outputs if item.name != MEL_BY_CHANNEL])
        specs = [spec for spec in self.stages[stage].outputs if spec.name in given]
        return {spec.name: _cut(given[spec.name], spec.shape, sizes) for spec in specs}

    def run_in_parts(self, stage: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Do as ``run``, in as few parts as the profiles allow where the batch is too large for them.

        Raises: OutOfProfile: a single row is too large.
        """
        sizes = sizes_of(self.stages[stage].inputs, feeds)
        if sizes[BATCH] == 1 or self.stages[stage].shapes.holds(sizes):
            return self.run(stage, feeds)
        half = sizes[BATCH] // 2
        first, second = (
            self.run_in_parts(stage, {name: array[rows] for name, array in feeds.items()})
            for rows in (slice(half), slice(half, None))
        )
        return {name: np.concatenate((first[name], second[name])) for name in first}

    def prepare(self, bucket: Bucket) -> None:
        """Compute a bucket once on nothing, so that the first call finds it set up."""
        launch = self._layout.launch(bucket)
        for item in launch.inputs:
            self.view(item)[...] = 1 if item.name in ("lengths", FRAMES) else 0
        self.upload(self._layout.own_inputs(launch))
        self.upload(self._layout.shared_inputs(launch))
        self.device.launch(launch)
        self.read(launch.outputs[:1])

    def launch_for(self, stage: str, sizes: Mapping[str, int], kept: Collection[str] = ()) -> Launch:
        """Return what computes these sizes, those of the axes ``kept`` without padding.

        Raises: OutOfProfile: no bucket holds them.
        """
        bucket = self.stages[stage].shapes.bucket(sizes, kept)
        launch = self._launches.get(bucket)
        if launch is None:
            launch = self._layout.launch(bucket)
            if bucket.recurs:
                self._launches[bucket] = launch
        return launch

    def write(self, placed: Sequence[Placed], feeds: Mapping[str, Array]) -> None:
        """Put feeds into the mirror: zeros behind what is shorter, the last row again where rows are missing.

        A repeated row is as sane as the row itself, and rows do not see each other.
        """
        for item in placed:
            feed = feeds[item.name]
            target = self.view(item)
            if feed.shape[1:] == target.shape[1:]:
                target[: len(feed)] = feed
            else:
                target[: len(feed)] = 0
                real = (slice(len(feed)), *(slice(size) for size in feed.shape[1:]))
                target[real] = feed
            target[len(feed) :] = target[len(feed) - 1]

    def upload(self, placed: Sequence[Placed]) -> None:
        """Copy tensors that lie in one piece to the device."""
        if placed:
            self.device.upload(placed[0].offset, placed[-1].stop)

    def read(self, placed: Sequence[Placed]) -> dict[str, Array]:
        """Copy tensors that lie in one piece from the device; the arrays are views that the next call overwrites."""
        self.device.download(placed[0].offset, placed[-1].stop)
        return {item.name: self.view(item) for item in placed}

    def view(self, item: Placed) -> Array:
        """Return a tensor's place in the mirror."""
        return view(self.device.host, item.offset, item.dtype, item.shape)

    def own_inputs(self, launch: Launch) -> tuple[Placed, ...]:
        """Return the inputs that no other stage writes."""
        return self._layout.own_inputs(launch)


def _cut(array: Array, shape: Sequence[int | str], sizes: Mapping[str, int]) -> Array:
    """Copy what is not padding; an axis that no input has is whole as it is."""
    real = (
        sizes.get(axis, found) if isinstance(axis, str) else axis
        for axis, found in zip(shape, array.shape, strict=True)
    )
    cut: Array = array[tuple(slice(size) for size in real)].copy()
    return cut
