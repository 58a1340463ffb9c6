"""What a load generator asks for and when: seeded schedules, and one listener's view of the audio that comes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from emotirt.errors import InvalidRequest


def poisson_times_s(rate_per_s: float, seconds: float, seed: int) -> list[float]:
    """Return the times of independent arrivals, ascending, from 0 to ``seconds``.

    They are settled before anything is sent, so that a slow answer holds no later request back.

    Raises: InvalidRequest: rate or time is not above 0.
    """
    if not (rate_per_s > 0.0 and seconds > 0.0):
        raise InvalidRequest(f"a load of {rate_per_s:g} requests/s for {seconds:g} s is none; both must be above 0")
    generator = random.Random(f"poisson:{seed}")  # not for secrets
    times: list[float] = []
    now_s = generator.expovariate(rate_per_s)
    while now_s < seconds:
        times.append(now_s)
        now_s += generator.expovariate(rate_per_s)
    return times


def staggered_starts_s(count: int, within_s: float, seed: int) -> list[float]:
    """Return when each of ``count`` listeners begins: anywhere from 0 to ``within_s``, so that they are out of step."""
    generator = random.Random(f"starts:{seed}")  # not for secrets
    return [generator.uniform(0.0, within_s) for _ in range(count)]


@dataclass(slots=True)
class Playback:
    """A listener who plays audio from its first chunk on, in real time, and waits where it is not there yet.

    Attributes:
        first_s: when the first chunk came, None before.
        heard_until_s: when all that came will have been heard.
        underrun_s: silence between the first chunk and the last that should not have been.
        audio_s: length of all that came.
        gaps_s: times between one chunk and the next.
    """

    first_s: float | None = None
    heard_until_s: float = 0.0
    underrun_s: float = 0.0
    audio_s: float = 0.0
    gaps_s: list[float] = field(default_factory=list)
    _last_s: float = 0.0

    def hear(self, now_s: float, audio_s: float) -> None:
        """Take a chunk of ``audio_s`` that came at ``now_s``."""
        if self.first_s is None:
            self.first_s = self.heard_until_s = now_s
        else:
            self.gaps_s.append(now_s - self._last_s)
            missing_s = now_s - self.heard_until_s
            if missing_s > 0.0:
                self.underrun_s += missing_s
                self.heard_until_s = now_s
        self._last_s = now_s
        self.heard_until_s += audio_s
        self.audio_s += audio_s
