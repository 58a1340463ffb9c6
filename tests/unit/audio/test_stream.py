"""Fades and joining."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from emotirt.audio.stream import fade_in, fade_out, faded_edges, joined, silence
from emotirt.types import Chunk


def ones(count: int, is_last: bool = False, index: int = 0) -> Chunk:
    return Chunk(np.ones(count, dtype=np.float32), 16_000, index, is_last)


def test_fades_start_and_end_at_zero() -> None:
    samples = np.ones(100, dtype=np.float32)
    assert fade_in(samples, 32)[0] == fade_out(samples, 32)[-1] == 0.0
    assert_array_equal(fade_in(samples, 32)[32:], samples[32:])
    assert (np.diff(fade_in(samples, 32)[:33]) > 0).all()
    assert_array_equal(samples, 1.0)


def test_fades_fit_short_audio() -> None:
    assert fade_in(np.ones(5, dtype=np.float32), 32)[0] == 0.0
    assert len(fade_out(np.zeros(0, dtype=np.float32), 32)) == 0


def test_only_the_outer_edges_of_a_stream_fade() -> None:
    chunks = list(faded_edges([ones(100), ones(100, index=1), ones(100, True, 1)]))
    whole = joined(chunks, 16_000).samples
    assert whole[0] == whole[-1] == 0.0
    assert_array_equal(whole[32:268], 1.0)
    assert [chunk.is_last for chunk in chunks] == [False, False, True]


def test_single_chunk_fades_on_both_sides() -> None:
    (chunk,) = faded_edges([ones(100, True)])
    assert chunk.samples[0] == chunk.samples[-1] == 0.0
    assert chunk.samples[50] == 1.0


def test_silence_and_nothing() -> None:
    assert len(silence(0.5, 16_000)) == 8000
    assert len(silence(-1.0, 16_000)) == 0
    assert joined([], 16_000).duration_s == 0.0
