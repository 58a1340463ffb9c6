"""Alignment finds the phones of made-up speech, and silence where only hum is."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.training.conftest import Spoken

from emotirt.text.symbols import DEFAULT_TABLE
from emotirt.training.align import AlignConfig, AlignmentTrainer, levels_db, quiet_stretches, token_means
from emotirt.training.features import DeviceData

HOP = 256


@pytest.fixture(scope="module")
def durations(spoken_data: DeviceData) -> np.ndarray:
    config = AlignConfig(channels=32, layers=1, steps=60, rounds=2)
    trainer = AlignmentTrainer(spoken_data, DEFAULT_TABLE, config)
    trainer.train(lambda step, loss: None)
    return trainer.durations()


def test_phones_are_found_within_a_few_frames(
    spoken_data: DeviceData, durations: np.ndarray, recordings: list[Spoken]
) -> None:
    errors = []
    for start, clip, one in zip(spoken_data.layout.token_starts, spoken_data.clips, recordings, strict=True):
        ends = np.cumsum(durations[start : start + len(one.symbols)])
        assert ends[-1] == clip.sample_count // HOP
        for place, (begin, end) in one.spans.items():
            errors += [ends[place] - end / HOP, ends[place - 1] - begin / HOP]
    assert np.median(np.abs(errors)) < 2.0  # the analysis window reaches 1.5 frames past each edge
    assert np.mean(np.abs(errors) < 3.0) > 0.95


def test_hum_at_the_edges_is_quiet_and_speech_is_not(spoken_data: DeviceData, recordings: list[Spoken]) -> None:
    quiet = quiet_stretches(spoken_data, levels_db(spoken_data)).numpy()
    layout = spoken_data.layout
    for first, count, one in zip(layout.frame_starts, layout.frame_counts, recordings, strict=True):
        frames = quiet[first : first + count]
        begin, end = one.spans[1][0] // HOP, -(-one.spans[len(one.spans)][1] // HOP)
        assert frames[2 : begin - 2].all()
        assert frames[end + 3 : -2].all()
        assert not frames[begin + 2 : end - 2].any()


def test_token_means_average_over_each_token(spoken_data: DeviceData, durations: np.ndarray) -> None:
    means = token_means(spoken_data, spoken_data.energy, durations)
    position = int(np.flatnonzero(durations[: spoken_data.layout.token_counts[0]] > 3)[-1])
    begin = int(durations[:position].sum())
    wanted = spoken_data.energy[begin : begin + int(durations[position])].mean()
    assert means[position] == pytest.approx(float(wanted), rel=1e-4)
    assert np.isfinite(means).all()
