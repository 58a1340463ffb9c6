"""Buckets, their place in memory, and windows: arithmetic alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.bundle.contract import DECODER, SPEAKING_STAGES, TEXT_ENCODER, VOCODER, Dimensions, stage_contract
from emotirt.bundle.plans import Profile
from emotirt.bundle.profiles import Axes, profile_from_axes, window_widths_frames
from emotirt.errors import OutOfProfile
from emotirt.runtime.buckets import StageShapes, usual_buckets
from emotirt.runtime.cover import covering_windows, windows_of_width
from emotirt.runtime.fused import fitted_rows, frame_mask, marked_rows, padded_rows
from emotirt.runtime.layout import ALIGNMENT_BYTES, Layout, StageSpecs
from emotirt.synthesis.windows import even_windows
from emotirt.types import Window

DIMENSIONS = Dimensions(80, 32, 8, 8)
HOP, CONTEXT = 256, 13
TABLES: dict[str, tuple[Axes, ...]] = {
    TEXT_ENCODER: ({"batch": (1, 1, 1), "tokens": (1, 96, 256)}, {"batch": (1, 8, 32), "tokens": (1, 64, 200)}),
    DECODER: (
        {"batch": (1, 1, 1), "tokens": (1, 96, 256), "frames": (1, 512, 2048)},
        {"batch": (1, 8, 32), "tokens": (1, 64, 200), "frames": (1, 256, 512)},
        {"batch": (1, 4, 8), "tokens": (1, 192, 256), "frames": (1, 937, 1024)},
    ),
    VOCODER: (
        {"batch": (1, 1, 1), "frames": (37, 37, 37)},
        {"batch": (1, 16, 32), "frames": (122, 122, 122)},
        {"batch": (1, 2, 8), "frames": (538, 538, 538)},
        {"batch": (1, 1, 8), "frames": (1, 122, 170)},
    ),
}


def shapes(stage: str) -> StageShapes:
    specs = stage_contract(stage, DIMENSIONS).inputs
    profiles: list[Profile] = [profile_from_axes(axes, specs) for axes in TABLES[stage]]
    return StageShapes(stage, specs, profiles)


@pytest.mark.parametrize(
    ("stage", "sizes", "profile", "expected", "recurs"),
    [
        (TEXT_ENCODER, {"batch": 1, "tokens": 187}, 0, {"batch": 1, "tokens": 192}, True),
        (TEXT_ENCODER, {"batch": 3, "tokens": 100}, 1, {"batch": 4, "tokens": 128}, True),
        (TEXT_ENCODER, {"batch": 3, "tokens": 193}, 1, {"batch": 4, "tokens": 200}, True),
        (DECODER, {"batch": 1, "tokens": 192, "frames": 937}, 0, {"batch": 1, "tokens": 192, "frames": 1024}, True),
        (DECODER, {"batch": 5, "tokens": 192, "frames": 930}, 2, {"batch": 8, "tokens": 192, "frames": 937}, True),
        (VOCODER, {"batch": 5, "frames": 122}, 1, {"batch": 6, "frames": 122}, True),
        (VOCODER, {"batch": 5, "frames": 121}, 3, {"batch": 6, "frames": 121}, False),
    ],
)
def test_the_first_profile_that_holds_a_shape_gives_its_bucket(
    stage: str, sizes: dict[str, int], profile: int, expected: dict[str, int], recurs: bool
) -> None:
    bucket = shapes(stage).bucket(sizes)
    assert (bucket.profile, bucket.axes, bucket.recurs) == (profile, expected, recurs)


def test_an_axis_that_is_kept_has_no_padding() -> None:
    sizes = {"batch": 1, "tokens": 187, "frames": 900}
    assert shapes(DECODER).bucket(sizes, ("tokens",)).axes == {"batch": 1, "tokens": 187, "frames": 1024}
    assert shapes(DECODER).bucket(sizes).axes["tokens"] == 192


def test_shapes_of_several_plans_are_those_of_one() -> None:
    specs = stage_contract(VOCODER, DIMENSIONS).inputs
    whole = shapes(VOCODER)
    parts = [StageShapes(VOCODER, specs, [profile_from_axes(axes, specs)]) for axes in TABLES[VOCODER]]
    joined = StageShapes.joined(parts)
    assert joined.profiles == whole.profiles
    assert len(parts[0].profiles) == 1
    sizes = {"batch": 2, "frames": 122}
    assert joined.bucket(sizes) == whole.bucket(sizes)


@pytest.mark.parametrize(
    ("stage", "sizes"),
    [
        (TEXT_ENCODER, {"batch": 1, "tokens": 257}),
        (TEXT_ENCODER, {"batch": 33, "tokens": 10}),
        (DECODER, {"batch": 9, "tokens": 10, "frames": 600}),
        (VOCODER, {"batch": 1, "frames": 200}),
        (VOCODER, {"batch": 9, "frames": 100}),
    ],
)
def test_what_no_profile_holds_is_said_with_what_they_hold(stage: str, sizes: dict[str, int]) -> None:
    assert not shapes(stage).holds(sizes)
    with pytest.raises(
        OutOfProfile, match=rf"stage {stage} has no optimization profile for batch .*; they cover batch"
    ):
        shapes(stage).bucket(sizes)


@given(st.sampled_from(SPEAKING_STAGES), st.integers(1, 40), st.integers(1, 260), st.integers(1, 2100))
def test_a_bucket_is_never_smaller_than_its_call_nor_larger_than_its_profile(
    stage: str, batch: int, tokens: int, frames: int
) -> None:
    sizes = {"batch": batch, "tokens": tokens, "frames": frames}
    if not shapes(stage).holds(sizes):
        return
    bucket = shapes(stage).bucket(sizes)
    ranges = shapes(stage).profiles[bucket.profile]
    for axis, size in bucket.sizes:
        assert sizes[axis] <= size <= ranges[axis].most
        assert size >= ranges[axis].least
    if stage == VOCODER:
        assert bucket.axes["frames"] == frames
    assert shapes(stage).bucket(bucket.axes).axes == bucket.axes  # a bucket is its own bucket


def layout(stages: tuple[str, ...] = SPEAKING_STAGES) -> Layout:
    specs = {}
    for stage in stages:
        contract = stage_contract(stage, DIMENSIONS)
        specs[stage] = StageSpecs(shapes(stage), contract.inputs, contract.outputs)
    return Layout(specs, HOP)


@given(st.integers(1, 32), st.integers(1, 200), st.integers(1, 512))
def test_tensors_of_a_bucket_lie_apart_and_within_the_arena(batch: int, tokens: int, frames: int) -> None:
    made = layout()
    sizes = {"batch": batch, "tokens": tokens, "frames": frames}
    for stage in (TEXT_ENCODER, DECODER):
        launch = made.launch(shapes(stage).bucket(sizes))
        placed = sorted((*launch.inputs, *launch.outputs), key=lambda item: item.offset)
        assert all(item.offset % ALIGNMENT_BYTES == 0 for item in placed)
        assert all(one.stop <= other.offset for one, other in itertools.pairwise(placed))
        assert placed[-1].stop <= made.size_bytes


def test_the_decoder_reads_where_the_text_encoder_wrote() -> None:
    made = layout()
    text = made.launch(shapes(TEXT_ENCODER).bucket({"batch": 3, "tokens": 60}))
    decoder = made.launch(shapes(DECODER).bucket({**text.bucket.axes, "frames": 300}))
    for name in ("hidden", "durations"):
        assert decoder.placed(name) == text.placed(name)
    assert [item.name for item in made.own_inputs(decoder)] == ["lengths", "frame_mask"]
    assert [item.name for item in made.shared_inputs(decoder)] == ["hidden", "durations"]
    alone = layout((DECODER,))
    assert alone.shared_inputs(alone.launch(decoder.bucket)) == ()


def test_buckets_share_memory_and_stages_do_not() -> None:
    made = layout()
    small, large = (
        made.launch(shapes(VOCODER).bucket({"batch": batch, "frames": width})) for batch, width in ((1, 37), (8, 538))
    )
    assert small.placed("mel").offset == large.placed("mel").offset
    assert large.placed("wav").shape == (8, 538 * HOP)
    assert small.placed("wav").stop <= made.size_bytes
    text = made.launch(shapes(TEXT_ENCODER).bucket({"batch": 32, "tokens": 200}))
    assert text.outputs[-1].stop <= large.placed("mel").offset


def test_usual_buckets_are_buckets_that_come_again() -> None:
    for stage in SPEAKING_STAGES:
        found = usual_buckets(shapes(stage))
        assert len(found) == len(set(found))
        assert 10 <= len(found) <= 80
        assert all(bucket.recurs and shapes(stage).bucket(bucket.axes) == bucket for bucket in found)


@given(st.integers(1, 3000), st.sampled_from([37, 122, 538]))
def test_windows_of_one_width_cover_with_context(frames: int, width: int) -> None:
    made = windows_of_width(frames, CONTEXT, width)
    if width > frames:
        assert made == []
        return
    check_windows(made, frames)
    assert {item.stop - item.start for item in made} == {width}


@given(st.integers(1, 3000))
def test_an_utterance_is_covered_with_the_least_work(frames: int) -> None:
    made = covering_windows(frames, CONTEXT, shapes(VOCODER))
    check_windows(made, frames)
    work = len(made) * (made[0].stop - made[0].start)
    assert work <= 2.5 * frames + 122
    if frames <= 170:
        assert made == [Window(0, frames, 0, frames)]


def test_what_no_width_covers_is_said() -> None:
    specs = stage_contract(VOCODER, DIMENSIONS).inputs
    only = StageShapes(VOCODER, specs, [profile_from_axes({"batch": (1, 1, 1), "frames": (37, 37, 37)}, specs)])
    with pytest.raises(OutOfProfile, match="20 frames"):
        covering_windows(20, CONTEXT, only)


@given(st.integers(1, 3000), st.sampled_from([13, 29]))
def test_even_windows_have_two_widths(frames: int, context: int) -> None:
    made = even_windows(frames, context, 96, 24)
    check_windows(made, frames, context)
    first, middle, _ = window_widths_frames(context)
    widths = [item.stop - item.start for item in made]
    if frames >= middle:
        assert widths == [first, *[middle] * (len(widths) - 1)]
    assert max(widths) <= middle


def check_windows(made: list[Window], frames: int, context: int = CONTEXT) -> None:
    assert made[0].keep_start == 0
    assert made[-1].keep_stop == frames
    assert all(one.keep_stop == other.keep_start for one, other in itertools.pairwise(made))
    for item in made:
        assert 0 <= item.start <= item.keep_start < item.keep_stop <= item.stop <= frames
        assert item.start == 0 or item.keep_start - item.start >= context
        assert item.stop == frames or item.stop - item.keep_stop >= context


def test_rows_of_durations_are_fitted_and_bad_ones_marked() -> None:
    given_ = np.array([[2.0, 3.0, 9.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 1.0], [4000.0, 4000.0, 0.0]], dtype=np.float32)
    fitted = fitted_rows(given_, np.array([2, 3, 3, 2]))
    np.testing.assert_array_equal(fitted[:3], [[2, 3, 0], [1, 0, 0], [1, 0, 0]])
    assert fitted[3].sum() == 4096
    marked = marked_rows(fitted, given_)
    assert np.isnan(marked[2]).all()
    np.testing.assert_array_equal(marked[[0, 1, 3]], fitted[[0, 1, 3]])
    np.testing.assert_array_equal(frame_mask([1, 3], 4), [[1, 0, 0, 0], [1, 1, 1, 0]])
    np.testing.assert_array_equal(padded_rows([np.ones(1, np.float32), np.ones(2, np.float32)]), [[1, 0], [1, 1]])
