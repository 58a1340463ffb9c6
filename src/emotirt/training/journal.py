"""What a training run leaves behind: a line of JSON a report, TensorBoard scalars if it is installed, checkpoints."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from emotirt.errors import TrainingError
from emotirt.whole_file import replaced

logger = logging.getLogger(__name__)


class Journal:
    """Records figures of one run under one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.started_s = time.perf_counter()
        self._stream = (folder / f"{name}.jsonl").open("a", encoding="utf-8")
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard" / name))
        except ImportError:
            logger.info("TensorBoard is not installed; figures go to %s.jsonl only", name)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.started_s

    def record(self, step: int, figures: Mapping[str, float]) -> None:
        """Write figures of a step.

        Raises: TrainingError: a figure is not finite, so that a diverged run stops instead of saving rubbish.
        """
        line = {
            "step": step,
            "elapsed_s": round(self.elapsed_s, 1),
            **{k: round(float(v), 5) for k, v in figures.items()},
        }
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()
        logger.info("%s %s", self.name, " ".join(f"{key} {value}" for key, value in line.items()))
        if self._board is not None:
            for key, value in figures.items():
                self._board.add_scalar(f"{self.name}/{key}", float(value), step)
        bad = sorted(key for key, value in figures.items() if not math.isfinite(float(value)))
        if bad:
            raise TrainingError(
                f"{self.name} diverged at step {step}: {bad} not finite; lower the learning rate and resume"
            )

    def close(self) -> None:
        """Close the files."""
        self._stream.close()
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> Journal:
        """Return the journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self.close()


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint so that a crash leaves the previous one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as sink:
        torch.save(dict(content), sink)


def run_share(spent_s: float, max_seconds: float, step: int, max_steps: int) -> float:
    """Return how much of a run is over, 0 to 1: by time or by steps, whichever ends it first."""
    return min(1.0, max(spent_s / max_seconds, step / max_steps))


def cosine_rate(fraction: float, warmup: float = 0.02, floor: float = 0.05) -> float:
    """Learning-rate factor at a fraction of the run: linear warm-up, then cosine down to ``floor``."""
    if fraction < warmup:
        return max(fraction / warmup, 1e-2)
    progress = min(1.0, (fraction - warmup) / (1.0 - warmup))
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


class Average:
    """Exponential moving average of a module's parameters."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = [value for value in module.state_dict().values() if value.is_floating_point()]
        self._names = [key for key, value in module.state_dict().items() if value.is_floating_point()]
        self._mean = [value.detach().clone() for value in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Fold the current weights in."""
        torch._foreach_lerp_(self._mean, self._live, 1.0 - self.decay)

    def half_state(self) -> dict[str, torch.Tensor]:
        """Return the averaged weights in float16 on the CPU."""
        return {name: value.half().cpu() for name, value in zip(self._names, self._mean, strict=True)}
