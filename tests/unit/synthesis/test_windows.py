"""Windows cover an utterance, each kept frame with its context or flush with an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotirt.errors import InvalidRequest
from emotirt.synthesis.windows import Window, windows


@given(st.integers(1, 2000), st.integers(0, 40), st.integers(1, 200), st.integers(1, 200))
def test_every_frame_is_kept_once_with_its_context(frames: int, context: int, block: int, first: int) -> None:
    made = windows(frames, context, block, first)
    assert [frame for window in made for frame in range(window.keep_start, window.keep_stop)] == list(range(frames))
    for window in made:
        assert window.start == max(0, window.keep_start - context)
        assert window.stop == min(frames, window.keep_stop + context)
    sizes = [window.keep_stop - window.keep_start for window in made]
    assert all(size == block for size in sizes[1:-1])
    assert sizes[0] == first or len(made) == 1
    assert sizes[0] < 1.5 * first
    assert all(size < 1.5 * block for size in sizes[1:])


def test_a_short_rest_joins_the_block_before_it() -> None:
    assert windows(24, 13, 96, 24) == [Window(0, 24, 0, 24)]
    assert windows(24 + 11, 13, 96, 24) == [Window(0, 35, 0, 35)]
    assert windows(24 + 12, 13, 96, 24) == [Window(0, 36, 0, 24), Window(11, 36, 24, 36)]
    assert windows(120 + 47, 13, 96, 24) == [Window(0, 37, 0, 24), Window(11, 167, 24, 167)]
    assert windows(120 + 48, 13, 96, 24)[1:] == [Window(11, 133, 24, 120), Window(107, 168, 120, 168)]


@pytest.mark.parametrize(("block", "first"), [(0, 1), (1, 0), (-5, 10)])
def test_blocks_of_nothing_are_refused(block: int, first: int) -> None:
    with pytest.raises(InvalidRequest, match="at least 1"):
        windows(10, 13, block, first)
