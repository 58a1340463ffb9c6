"""Which bucket a call runs in: decisions from shapes alone, no memory and no device.

A bucket is a static size of every dynamic axis. Where a stage has a mask, or rows that do not see each other, sizes are
rounded up to few; where it has none, they stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.plans import Profile
from emotirt.errors import OutOfProfile
from emotirt.runtime.runner import Array
from emotirt.types import TensorSpec

BATCH, TOKENS, FRAMES, SAMPLES = "batch", "tokens", "frames", "samples"
PADDED_AXES = {
    REFERENCE_ENCODER: (BATCH, FRAMES),
    PROMPT_ENCODER: (BATCH, TOKENS),
    TEXT_ENCODER: (BATCH, TOKENS),
    DECODER: (BATCH, TOKENS, FRAMES),
    VOCODER: (BATCH,),
}
"""Axes along which a stage may be padded: it is told the real length, or rows do not see each other."""
STEPS = {
    BATCH: (1, 2, 4, 8, 16, 32, 64),
    TOKENS: (16, 32, 48, 64, 96, 128, 160, 192, 256, 384, 512),
    FRAMES: (32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1536, 2048, 3072, 4096),
}
"""Sizes that are rounded up to: near enough that little is padded, few enough that each comes again."""
WIDE_STEPS = {
    BATCH: (4, 16, 32, 64),
    TOKENS: (64, 128, 256, 512),
    FRAMES: (256, 512, 1024, 2048, 4096),
}
"""The same where the profile is for batches: batch, tokens and frames together would make too many otherwise."""
MOST_REMEMBERED = 4096
"""Answers that are kept, since the question comes four times an utterance."""
WINDOW_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Windows that a vocoder takes at once: the one axis that it is padded along, and the dearest of all."""

Sizes = tuple[tuple[str, int], ...]
"""Axis and size, in the order of the axes."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A static shape of a stage.

    Attributes:
        stage: name.
        profile: index of the optimization profile that covers it.
        sizes: of every dynamic axis.
        recurs: whether the same shape comes again and again, so that recording its work pays.
    """

    stage: str
    profile: int
    sizes: Sizes
    recurs: bool

    @property
    def axes(self) -> dict[str, int]:
        """Sizes by axis."""
        return dict(self.sizes)


@dataclass(frozen=True, slots=True)
class AxisRange:
    """Sizes of one axis in one profile; ``best`` is the one that kernels were chosen for."""

    least: int
    best: int
    most: int

    def rounded(self, size: int, steps: Sequence[int]) -> int | None:
        """Return the smallest step, bound or best size that holds ``size``; None if it is too large."""
        fitting = [step for step in (*steps, self.least, self.best, self.most) if step >= size and self.holds(step)]
        return min(fitting, default=None)

    def holds(self, size: int) -> bool:
        """Say whether a size lies in the range."""
        return self.least <= size <= self.most


class StageShapes:
    """Shapes that one stage can take, from its profiles."""

    def __init__(self, stage: str, specs: Sequence[TensorSpec], profiles: Sequence[Profile]) -> None:
        """Read the ranges of every axis.

        Args:
            stage: name.
            specs: its inputs, whose strings name the axes.
            profiles: in order of preference.
        """
        self.stage = stage
        self.axes = tuple(dict.fromkeys(axis for spec in specs for axis in spec.shape if isinstance(axis, str)))
        self.profiles = tuple(_ranges(specs, profile) for profile in profiles)
        self._padded = PADDED_AXES[stage]
        self._found: dict[tuple[int | str, ...], Bucket] = {}

    @classmethod
    def joined(cls, parts: Sequence[StageShapes]) -> StageShapes:
        """Return what several plans of one stage can take, in their order."""
        made = copy(parts[0])
        made._found = {}
        made.profiles = tuple(ranges for part in parts for ranges in part.profiles)
        return made

    def bucket(self, sizes: Mapping[str, int], kept: Collection[str] = ()) -> Bucket:
        """Return the bucket of the first profile that holds these sizes, those of the axes ``kept`` as they are.

        Raises: OutOfProfile: none does.
        """
        asked: tuple[int | str, ...] = (*(sizes[axis] for axis in self.axes), *kept)
        found = self._found.get(asked)
        if found is not None:
            return found
        for index, ranges in enumerate(self.profiles):
            found = self._within(index, ranges, sizes, kept)
            if found is not None:
                if len(self._found) >= MOST_REMEMBERED:
                    self._found.clear()
                self._found[asked] = found
                return found
        wanted = ", ".join(f"{axis} {sizes[axis]}" for axis in self.axes)
        raise OutOfProfile(f"stage {self.stage} has no optimization profile for {wanted}; they cover {self._covered()}")

    def holds(self, sizes: Mapping[str, int], kept: Collection[str] = ()) -> bool:
        """Say whether some profile holds these sizes; see ``bucket``."""
        return any(self._within(index, ranges, sizes, kept) for index, ranges in enumerate(self.profiles))

    def most(self, axis: str, **fixed: int) -> int:
        """Return the largest size of an axis in the profiles that hold the ``fixed`` sizes; 0 where none does."""
        fitting = (
            ranges[axis].most
            for ranges in self.profiles
            if all(ranges[name].holds(size) for name, size in fixed.items())
        )
        return max(fitting, default=0)

    def largest(self) -> tuple[dict[str, int], ...]:
        """Return the largest sizes of every profile, for which buffers have to be large enough."""
        return tuple({axis: ranges[axis].most for axis in self.axes} for ranges in self.profiles)

    def _within(
        self, index: int, ranges: Mapping[str, AxisRange], sizes: Mapping[str, int], kept: Collection[str] = ()
    ) -> Bucket | None:
        rounded = {}
        steps = STEPS if ranges[BATCH].most == 1 else WIDE_STEPS
        for axis in self.axes:
            size = sizes[axis]
            if axis in self._padded and axis not in kept:
                step = ranges[axis].rounded(size, WINDOW_BATCHES if self.stage == VOCODER else steps[axis])
            else:
                step = size if ranges[axis].holds(size) else None
            if step is None:
                return None
            rounded[axis] = step
        recurs = all(axis in self._padded or ranges[axis].least == ranges[axis].most for axis in self.axes)
        return Bucket(self.stage, index, tuple(rounded.items()), recurs)

    def _covered(self) -> str:
        return "; ".join(
            ", ".join(f"{axis} {found.least} to {found.most}" for axis, found in ranges.items())
            for ranges in self.profiles
        )


USUAL_BATCHES = (1, 2, 4, 8, 16, 32)
USUAL_TOKENS = (32, 64, 128, 192, 256)
USUAL_FRAMES_PER_TOKEN = (3, 8)
"""A fast and a slow speaker; what lies outside is set up when it comes."""


def usual_buckets(shapes: StageShapes) -> list[Bucket]:
    """Return the buckets that most calls will run in: every one that comes again, with likely sizes."""
    kept = (TOKENS,) if shapes.stage == DECODER else ()
    """The decoder reads what the text encoder wrote, and so has its number of tokens."""
    found = dict.fromkeys(shapes.bucket(sizes, kept) for sizes in _usual_sizes(shapes) if shapes.holds(sizes, kept))
    return [bucket for bucket in found if bucket.recurs]


def _usual_sizes(shapes: StageShapes) -> Iterator[dict[str, int]]:
    if shapes.stage == VOCODER:
        widths = {ranges[FRAMES].most for ranges in shapes.profiles}
        yield from ({BATCH: batch, FRAMES: width} for batch in USUAL_BATCHES for width in sorted(widths))
    elif shapes.stage in (TEXT_ENCODER, PROMPT_ENCODER):
        yield from ({BATCH: batch, TOKENS: tokens} for batch in USUAL_BATCHES for tokens in USUAL_TOKENS)
    elif shapes.stage == DECODER:
        fast, slow = USUAL_FRAMES_PER_TOKEN
        for batch in USUAL_BATCHES:
            for tokens in USUAL_TOKENS if batch == 1 else WIDE_STEPS[TOKENS][:2]:
                likely = (frames for frames in STEPS[FRAMES] if fast * tokens <= frames <= slow * tokens)
                yield from ({BATCH: batch, TOKENS: tokens, FRAMES: frames} for frames in likely)


def sizes_of(specs: Sequence[TensorSpec], feeds: Mapping[str, Array]) -> dict[str, int]:
    """Return the size of every dynamic axis in feeds that fit the specs."""
    return {
        axis: size
        for spec in specs
        for axis, size in zip(spec.shape, feeds[spec.name].shape, strict=True)
        if isinstance(axis, str)
    }


def _ranges(specs: Sequence[TensorSpec], profile: Profile) -> dict[str, AxisRange]:
    """Intersect what a profile says of an axis in each input."""
    found: dict[str, AxisRange] = {}
    covered = profile.ranges
    for spec in specs:
        box = covered[spec.name]
        for place, axis in enumerate(spec.shape):
            if not isinstance(axis, str):
                continue
            mine = AxisRange(box.min[place], box.opt[place], box.max[place])
            before = found.setdefault(axis, mine)
            found[axis] = AxisRange(max(before.least, mine.least), before.best, min(before.most, mine.most))
    return found
