"""What TensorRT measured of kernels, kept from build to build and shared by builds that run at the same time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from emotirt.bundle.plan_cache import PlanCache

logger = logging.getLogger(__name__)


class TimingFile:
    """A timing cache of TensorRT on the disk."""

    def __init__(self, cache: PlanCache, path: Path) -> None:
        """Keep it at ``path``, in the directory of ``cache``; there need not be one yet."""
        self._cache = cache
        self._path = path

    def begun(self, config: Any) -> Any:
        """Let a build know what is on the disk; what this TensorRT or GPU does not accept is begun anew.

        Args:
            config: TensorRT's, of the build.

        Returns: TensorRT's timing cache, which the build adds to.
        """
        times = config.create_timing_cache(self._content())
        if times is None or not config.set_timing_cache(times, False):
            logger.warning("the timing cache in the plan cache is not accepted; measuring every kernel anew")
            times = config.create_timing_cache(b"")
            config.set_timing_cache(times, False)
        return times

    def add(self, config: Any, times: Any) -> None:
        """Write what a build knows now together with what other builds have written meanwhile.

        Args:
            config: TensorRT's, of the build.
            times: what ``begun`` returned.

        Raises: OutputError: the directory cannot be written.
        """
        with self._cache.timing(self._path):
            content = self._content()
            others = config.create_timing_cache(content) if content else None
            if content and (others is None or not times.combine(others, False)):
                logger.warning("the timing cache in the plan cache is not accepted; replacing it")
            self._cache.store_timing(self._path, bytes(times.serialize()))

    def _content(self) -> bytes:
        return self._path.read_bytes() if self._path.is_file() else b""
