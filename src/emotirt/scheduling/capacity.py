"""Whether one more listener can be fed: what computing costs, measured, against what those there will need, and when.

A listener hears audio from its first chunk on, in real time, so that each running request tells when its next chunk is
due. All of them together can be fed if, for every time ahead, what is due by then can be computed by then: the test of
earliest-deadline scheduling, which is the order in which later chunks are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MEMORY_S = 4.0
"""Effort over which costs are averaged, so that a change of backend shows within seconds."""
LEAST_EFFORT_S = 0.5
"""Before so much was measured nothing is known."""
HORIZONS_S = np.array([0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
FIRST_DUE_S = 0.3
"""First audio is computed within so long; of the usual deadline of 0.5 s the rest is for what is not computing."""
UTTERANCE_S = 5.0
"""What a first utterance, whose whole mel comes before its first audio, is taken to last at most."""


@dataclass(frozen=True, slots=True)
class CapacityRules:
    """What is known beforehand.

    Attributes:
        headroom: part of the measured capacity that is promised.
        first_s: audio of a first chunk.
        chunk_s: audio of later chunks, each due as a whole.
        bulk_part: of the capacity, which bulk requests get when there are any.
    """

    headroom: float = 0.75
    first_s: float = 0.4
    chunk_s: float = 1.5
    bulk_part: float = 0.25


@dataclass(slots=True)
class Listener:
    """A running live request; written by its request, read by everybody.

    Attributes:
        tokens: of its text.
        planned_tokens: of them, those whose audio has a known length.
        planned_s: that length.
        made_s: audio that was handed over.
        started_s: when the first of it was, by the clock; None before.
    """

    tokens: float = 0.0
    planned_tokens: float = 0.0
    planned_s: float = 0.0
    made_s: float = 0.0
    started_s: float | None = None

    def lead_s(self, now_s: float) -> float:
        """How long it can hear what it has; who waits already hears on when the next chunk comes."""
        return 0.0 if self.started_s is None else max(0.0, self.started_s + self.made_s - now_s)

    def rest_s(self, audio_per_token_s: float) -> float:
        """Audio that is still to be made."""
        unplanned = max(0.0, self.tokens - self.planned_tokens)
        return max(0.0, self.planned_s - self.made_s + unplanned * audio_per_token_s)


class _Average:
    """A ratio of two amounts, recent ones only."""

    def __init__(self) -> None:
        self.over = self._under = 0.0

    @property
    def ratio(self) -> float:
        return self.over / self._under if self._under > 0.0 else 0.0

    def add(self, over: float, under: float) -> None:
        total = self.over + over
        keep = min(1.0, MEMORY_S / total) if total > 0.0 else 1.0
        self.over, self._under = total * keep, (self._under + under) * keep


class Capacity:
    """Measured costs; its owner lets one thread in at a time.

    Effort is time with every lane busy: half of the lanes busy for a second are half a second of it.
    """

    def __init__(self, rules: CapacityRules) -> None:
        """Know nothing yet."""
        self._rules = rules
        self._token_effort = _Average()
        self._audio_effort = _Average()
        self._planned_s = self._planned_tokens = 0.0
        self._usual_tokens = 0.0

    @property
    def effort_per_audio_s(self) -> float:
        """Effort of a second of audio through all stages, 0 before enough was measured."""
        is_known = self._token_effort.over + self._audio_effort.over >= LEAST_EFFORT_S and self._planned_s > 0.0
        return self._token_effort.ratio / self._audio_per_token_s + self._audio_effort.ratio if is_known else 0.0

    @property
    def usual_tokens(self) -> float:
        """Of a live request, on average."""
        return self._usual_tokens

    def note_tokens(self, tokens: float, effort_s: float) -> None:
        """Note a batch of the stage that takes tokens."""
        self._token_effort.add(effort_s, tokens)

    def note_audio(self, audio_s: float, effort_s: float) -> None:
        """Note audio, or the effort that it took; the two may come apart."""
        self._audio_effort.add(effort_s, audio_s)

    def note_length(self, tokens: float, audio_s: float) -> None:
        """Note that so many tokens became so much audio."""
        keep = 0.5 if self._planned_tokens > 10_000 else 1.0
        self._planned_s = keep * self._planned_s + audio_s
        self._planned_tokens = keep * self._planned_tokens + tokens

    def note_request(self, tokens: float) -> None:
        """Note a live request that was taken on."""
        self._usual_tokens += (tokens - self._usual_tokens) * (0.05 if self._usual_tokens else 1.0)

    def missing_s(self, listeners: Sequence[Listener], now_s: float, has_bulk: bool) -> float:
        """Return by how much audio would come too late, at worst, if all of these were fed; at most 0 if none would."""
        per_audio_s = self.effort_per_audio_s
        if per_audio_s <= 0.0:
            return 0.0
        audio_s = self._audio_per_token_s
        leads = np.array([item.lead_s(now_s) for item in listeners])
        rests = np.array([item.rest_s(audio_s) for item in listeners])
        is_new = np.array([item.started_s is None for item in listeners])
        mel_part = self._token_effort.ratio / audio_s / per_audio_s
        at_once = np.where(is_new, self._rules.first_s + mel_part * np.minimum(rests, UTTERANCE_S), self._rules.chunk_s)
        ahead = HORIZONS_S[:, None] - np.where(is_new, FIRST_DUE_S, leads)
        due = np.where(ahead >= 0.0, np.minimum(ahead + at_once, rests), 0.0).sum(axis=1)
        promised = self._rules.headroom * (1.0 - self._rules.bulk_part * has_bulk)
        is_asked = (HORIZONS_S >= FIRST_DUE_S) | ((ahead >= 0.0) & ~is_new).any(axis=1)
        return float((due * per_audio_s / promised - HORIZONS_S)[is_asked].max())

    @property
    def _audio_per_token_s(self) -> float:
        return self._planned_s / self._planned_tokens if self._planned_tokens else 0.0
