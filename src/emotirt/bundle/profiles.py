"""Which shapes the plans of a stage are built for: the bucket tables that build and serving share.

A profile is a box of shapes that kernels are chosen for; the first one in the list that covers a shape is the one to
use. Text encoder and decoder have masks, so anything may be padded into a bucket. The vocoder has none: its windows
have exact widths, of which there are few, because a width for which kernels were chosen is faster than a range and,
on TensorRT 8.6, much sooner built. A window may always be widened within its utterance; it then sees more context than
it needs. A manifest can name profiles of its own for any stage.

Where TensorRT measures kernels, which keeps one CPU core busy for a minute a profile, every profile is a plan of its
own, so that they can be built at once. Plans do not share weights, so a stage with large ones has two plans, or one.
TensorRT for RTX chooses kernels where a plan runs, for whatever shapes come, and gets ranges and few of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from emotirt.bundle.contract import PROMPT_ENCODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER, stage_contract
from emotirt.bundle.manifest import Manifest
from emotirt.bundle.plans import FP16, KERNELS, TENSORRT_RTX, PlanKey, PlanPlace, Profile, Shape, ShapeRange
from emotirt.types import TensorSpec

AxisRange = tuple[int, int, int]
"""Smallest, best and largest size of a dynamic axis."""
Axes = Mapping[str, AxisRange]

FIRST_BLOCK_FRAMES, BLOCK_FRAMES, LONG_BLOCK_FRAMES = 24, 96, 464
"""What a vocoder window keeps: the first of a stream, the others, and where nobody listens yet.

Two long windows of a HiFi-GAN, whose context is 13 frames, hold 15 s at 62.5 frames a second, and three at 93.75.
"""
HALF_BLOCK_FRAMES = 224
"""What one keeps where a whole utterance is longer than a few blocks and much shorter than two long ones."""
STATIC_TOKENS = (32, 64, 128, 192)
"""Sizes of a single text that have plans of their own."""
STATIC_TOKEN_S = 0.08
"""How long a token may be for its mel to fit: that of ordinary speech is a little shorter."""
KERNEL_MIDDLE_BATCH, KERNEL_LONG_BATCH, KERNEL_WHOLE_FRAMES = 16, 4, 1920
"""What our own kernels take at once: windows of two kinds, or a whole utterance; each keeps a GPU of 132
multiprocessors busy, and more would only take more memory."""
LARGE_STAGE_BYTES, HUGE_STAGE_BYTES = 60_000_000, 150_000_000
"""A stage whose graph is larger has two plans, for single shapes and for ranges of them; or only one."""
MOST_TOKENS = 256
"""A little more than the front end lets into an utterance."""
MOST_BATCH = 32
DYNAMIC_VOCODER_BATCH = 8
LONGEST_PROMPT = 128
"""Tokens of a batch of prompts or contents; a single one may have as many as the encoder takes."""
_ONE: AxisRange = (1, 1, 1)
_MANY: AxisRange = (1, 8, MOST_BATCH)


def first_window_frames(context_frames: int) -> int:
    """Return the width of a stream's first window: it lies flush with the start, so it has context on one side."""
    return FIRST_BLOCK_FRAMES + context_frames


def window_widths_frames(context_frames: int) -> tuple[int, int, int]:
    """Return the widths that have plans of their own: first window, window of a stream, long window."""
    both = 2 * context_frames
    return first_window_frames(context_frames), BLOCK_FRAMES + both, LONG_BLOCK_FRAMES + both


def stage_profiles(manifest: Manifest, stage: str, is_measured: bool = True) -> tuple[Profile, ...]:
    """Return the profiles of a stage in order of preference: the manifest's own, else the defaults.

    Args:
        manifest: of the bundle.
        stage: one that it may have.
        is_measured: whether TensorRT measures kernels on a GPU while it builds.
    """
    specs = stage_contract(stage, manifest.dimensions).inputs
    defaults = _default_axes if is_measured else _wide_axes
    own = manifest.profiles.get(stage)
    tables: Sequence[Axes] = defaults(stage, manifest) if own is None else own
    return tuple(profile_from_axes(axes, specs) for axes in tables)


def plan_profiles(
    manifest: Manifest, stage: str, is_measured: bool, precision: str = FP16
) -> tuple[tuple[Profile, ...], ...]:
    """Return the profiles of each plan of a stage, in their order all of ``stage_profiles``.

    Args:
        manifest: of the bundle.
        stage: one that the bundle has.
        is_measured: whether this TensorRT measures kernels on a GPU while it builds.
        precision: of the stage; our own kernels take any shape, and so have profiles of their own, in one plan.
    """
    if precision == KERNELS:
        specs = stage_contract(stage, manifest.dimensions).inputs
        return (tuple(profile_from_axes(axes, specs) for axes in _kernel_axes(manifest.vocoder_context_frames)),)
    profiles = stage_profiles(manifest, stage, is_measured)
    size_bytes = manifest.stages[stage].bytes
    if not is_measured or size_bytes > HUGE_STAGE_BYTES:
        return (profiles,)
    if size_bytes <= LARGE_STAGE_BYTES:
        return tuple((profile,) for profile in profiles)
    groups = (tuple(profile for profile in profiles if profile.is_static is kind) for kind in (True, False))
    return tuple(group for group in groups if group)


def plan_keys(
    manifest: Manifest,
    stage: str,
    precision: str,
    place: PlanPlace,
    version_compatible: bool = False,
    optimization_level: int | None = None,
) -> tuple[PlanKey, ...]:
    """Name the plans of a stage for a place: what build makes and what serving looks for.

    Args:
        manifest: of the bundle.
        stage: one that the bundle has.
        precision: of this stage, see ``plans.stage_precision``.
        place: where they are to load.
        version_compatible: load in later releases too; serving takes either.
        optimization_level: of the builder; serving takes any.
    """
    return tuple(
        PlanKey(
            stage,
            precision,
            manifest.stages[stage].sha256,
            place.adapter,
            place.tensorrt_version,
            place.gpu_name,
            place.compute_capabilities,
            profiles,
            version_compatible,
            optimization_level,
        )
        for profiles in plan_profiles(manifest, stage, place.adapter != TENSORRT_RTX, precision)
    )


def profile_from_axes(axes: Axes, specs: Sequence[TensorSpec]) -> Profile:
    """Give every input the range that its dynamic axes have.

    Args:
        axes: a range for every dynamic axis of the inputs.
        specs: the stage's inputs.

    Raises: KeyError: an axis is missing.
    """

    def shape(spec: TensorSpec, end: int) -> Shape:
        return tuple(axes[axis][end] if isinstance(axis, str) else axis for axis in spec.shape)

    return Profile(tuple((spec.name, ShapeRange(*(shape(spec, end) for end in range(3)))) for spec in specs))


def covering_profile(profiles: Sequence[Profile], shapes: Mapping[str, Shape]) -> int | None:
    """Return the index of the first profile that covers the shapes of all inputs, None where none does."""
    return next((index for index, profile in enumerate(profiles) if profile.covers(shapes)), None)


def dynamic_axes(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    """Return the names of the dynamic axes of a stage's inputs, each once, in order."""
    return tuple(dict.fromkeys(axis for spec in specs for axis in spec.shape if isinstance(axis, str)))


def _default_axes(stage: str, manifest: Manifest) -> tuple[Axes, ...]:
    if stage == VOCODER:
        return _vocoder_axes(manifest.vocoder_context_frames)
    if stage == REFERENCE_ENCODER:
        return ({"batch": (1, 1, 4), "frames": (1, 512, 2048)},)
    if stage == PROMPT_ENCODER:
        most_pieces = manifest.prompt.max_tokens if manifest.prompt is not None else LONGEST_PROMPT
        few = tuple(size for size in STATIC_TOKENS[:2] if size < most_pieces)
        return (
            *({"batch": _ONE, "tokens": (size, size, size)} for size in few),
            {"batch": _ONE, "tokens": (1, min(LONGEST_PROMPT, most_pieces), most_pieces)},
            {"batch": _MANY, "tokens": (1, min(32, most_pieces), min(LONGEST_PROMPT, most_pieces))},
        )
    if stage == TEXT_ENCODER:
        return (
            *({"batch": _ONE, "tokens": (size, size, size)} for size in STATIC_TOKENS),
            {"batch": _ONE, "tokens": (1, MOST_TOKENS, MOST_TOKENS)},
            {"batch": _MANY, "tokens": (1, 64, MOST_TOKENS)},
        )
    # the memory of attention grows with batch times frames squared: a batch is wide or long, never both
    return (
        *(
            {"batch": _ONE, "tokens": (tokens, tokens, tokens), "frames": (frames, frames, frames)}
            for tokens, frames in zip(STATIC_TOKENS, _static_frames(manifest), strict=True)
        ),
        {"batch": _ONE, "tokens": (1, MOST_TOKENS, MOST_TOKENS), "frames": (1, 1024, 2048)},
        {"batch": _MANY, "tokens": (1, 64, MOST_TOKENS), "frames": (1, 256, 512)},
        {"batch": (1, 4, 8), "tokens": (1, 192, MOST_TOKENS), "frames": (1, 937, 1024)},
    )


def _wide_axes(stage: str, manifest: Manifest) -> tuple[Axes, ...]:
    """Return the defaults without what only measuring makes worth while: profiles of a single shape."""
    axes = _default_axes(stage, manifest)
    return tuple(item for item in axes if any(least < most for least, _, most in item.values()))


def _static_frames(manifest: Manifest) -> tuple[int, ...]:
    rate = manifest.sample_rate_hz / manifest.hop_samples
    return tuple(math.ceil(tokens * STATIC_TOKEN_S * rate) for tokens in STATIC_TOKENS)


def _vocoder_axes(context_frames: int) -> tuple[Axes, ...]:
    first, middle, long = window_widths_frames(context_frames)
    half = HALF_BLOCK_FRAMES + 2 * context_frames
    most = middle + BLOCK_FRAMES // 2
    """The last window of a stream takes a rest of less than half a block with it."""
    return (
        {"batch": _ONE, "frames": (first, first, first)},
        {"batch": _MANY, "frames": (first, first, first)},
        {"batch": _ONE, "frames": (middle, middle, middle)},
        {"batch": (1, 16, MOST_BATCH), "frames": (middle, middle, middle)},
        {"batch": (1, 2, DYNAMIC_VOCODER_BATCH), "frames": (half, half, half)},
        {"batch": (2, 2, 2), "frames": (long, long, long)},
        {"batch": (1, 4, DYNAMIC_VOCODER_BATCH), "frames": (long, long, long)},
        {"batch": (1, 1, DYNAMIC_VOCODER_BATCH), "frames": (1, middle, most)},
    )


def _kernel_axes(context_frames: int) -> tuple[Axes, ...]:
    """Return the shapes that our own kernels are asked for: no width is faster than another, so memory alone limits.

    What comes again and again in a stream has exact widths, so that it is recorded.
    """
    first, middle, long = window_widths_frames(context_frames)
    return (
        {"batch": _MANY, "frames": (first, first, first)},
        {"batch": (1, 8, KERNEL_MIDDLE_BATCH), "frames": (middle, middle, middle)},
        {"batch": (1, 2, KERNEL_LONG_BATCH), "frames": (long, long, long)},
        {"batch": _ONE, "frames": (1, long, KERNEL_WHOLE_FRAMES)},
        {"batch": (1, 1, DYNAMIC_VOCODER_BATCH), "frames": (1, middle, middle + BLOCK_FRAMES // 2)},
    )
