"""API keys: which are accepted, and how many requests each has running."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence

from emotirt.errors import Overloaded

RETRY_KEY_S = 1.0


class Keys:
    """The accepted API keys, and how many requests each has running."""

    def __init__(self, keys: Sequence[str], most_running: int) -> None:
        """Remember digests only; ``most_running`` requests a key at once, 0 for no limit."""
        self._digests = tuple(_digest(key) for key in keys)
        self._most = most_running
        self._running: Counter[bytes] = Counter()

    def entered(self, authorization: str) -> bytes | None:
        """Take on a request; give what is returned to ``left``.

        Args: authorization: value of that header.
        Returns: the key's digest, empty where no keys are needed; None for a key that is not accepted.
        Raises: Overloaded: the key has enough requests running.
        """
        if not self._digests:
            return b""
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip())
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            return None
        if self._most and self._running[given] >= self._most:
            raise Overloaded(f"this key has {self._most} requests running, its limit; wait for one to end", RETRY_KEY_S)
        self._running[given] += 1
        return given

    def left(self, digest: bytes) -> None:
        """Note that a request has ended."""
        if digest:
            self._running[digest] -= 1


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
