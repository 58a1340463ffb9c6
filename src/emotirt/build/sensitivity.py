"""What quantizing each layer alone costs, and which layers hence stay in float16."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from emotirt.build.fold import folded
from emotirt.build.gates import LIMITS, StageCloseness, compare_precision
from emotirt.build.int8 import quantizable, quantized
from emotirt.build.spoken import Spoken
from emotirt.bundle.manifest import Manifest
from emotirt.errors import ParityFailed
from emotirt.runtime.ort import OrtRunner
from emotirt.runtime.runner import Array, Runner
from emotirt.types import TensorSpec

logger = logging.getLogger(__name__)

MOST_COST = 0.36
"""Of a whole quantized vocoder: up to this sum of relative errors PESQ-WB against float32 was measured above 4.0."""


@dataclass(frozen=True, slots=True)
class LayerCost:
    """A graph in which nothing but one layer is quantized, against float32.

    Attributes:
        layer: name of its node.
        snr_db: in the median of the utterances.
        log_mel_l1: mean difference of log-mels, in nepers.
        mcd_db: mel cepstral distortion.
    """

    layer: str
    snr_db: float
    log_mel_l1: float
    mcd_db: float

    @property
    def cost(self) -> float:
        """Relative error of the samples plus relative error of the mel bands; the second counts what is quiet too."""
        return float(10.0 ** (-self.snr_db / 20.0)) + self.log_mel_l1

    def to_dict(self) -> dict[str, str | float]:
        """Return plain values, rounded for a table."""
        return {
            name: value if isinstance(value, str) else float(f"{value:.4g}")
            for name, value in {**asdict(self), "cost": self.cost}.items()
        }


class Quantizer:
    """Measures quantized versions of one bundle's stage on the same utterances."""

    def __init__(  # a graph, its ranges, and what they are measured with
        self,
        stage: str,
        graph: bytes,
        ranges: Mapping[str, float],
        spoken: Sequence[Spoken],
        manifest: Manifest,
        reference: Runner,
        residuals: bool,
        threads: int = 1,
    ) -> None:
        """Measure ``stage`` of the bundle of ``manifest``.

        Args:
            stage: a vocoder.
            graph: float32.
            ranges: from ``calibration.calibrate``.
            spoken: utterances to measure on, shortest first.
            manifest: of the bundle.
            reference: runs ``graph``.
            residuals: as for ``int8.to_int8``.
            threads: of ONNX Runtime.
        """
        self._model, self._ranges, self._residuals = folded(graph), ranges, residuals
        self.layers = list(quantizable(self._model))
        self._threads = threads
        self._stage, self._spoken, self._manifest, self._reference = stage, spoken, manifest, _Once(reference)

    def closeness(self, keep: Collection[str], pitch: bool = True) -> StageCloseness:
        """Compare a graph whose layers are all quantized but those of ``keep``."""
        graph = quantized(self._model, self._ranges, keep, self._residuals)
        runner = OrtRunner(self._stage, graph, self._reference.inputs, self._reference.outputs, self._threads)
        try:
            return compare_precision(
                self._stage, self._reference, runner, self._spoken, self._manifest, lambda mel: mel[0], pitch
            )
        finally:
            runner.close()

    def costs(self) -> list[LayerCost]:
        """Quantize one layer at a time; the costliest first."""
        found = []
        for index, layer in enumerate(self.layers):
            figures = self.closeness([name for name in self.layers if name != layer], pitch=False).figures()
            found.append(LayerCost(layer, figures["snr_db"], figures["log_mel_l1"], figures["mcd_db"]))
            logger.info(
                "%d of %d layers: %s quantized alone, cost %.4f", index + 1, len(self.layers), layer, found[-1].cost
            )
        return sorted(found, key=lambda item: -item.cost)

    def kept(self, costs: Sequence[LayerCost], most_cost: float = MOST_COST) -> list[str]:
        """Leave out the costliest layers, as few as will do.

        Raises: ParityFailed: even the cheapest layer alone is too much.
        """
        for count in range(len(costs)):
            keep = [item.layer for item in costs[:count]]
            closeness = self.closeness(keep)
            figures = closeness.figures()
            cost = LayerCost("", figures["snr_db"], figures["log_mel_l1"], figures["mcd_db"]).cost
            logger.info("%d of %d layers quantized: cost %.4f", len(costs) - count, len(costs), cost)
            if cost <= most_cost and not closeness.problems(LIMITS["int8"]):
                return keep
        raise ParityFailed(
            f"stage {self._stage}: no layer can be quantized within a cost of {most_cost:g}; use --precision fp16"
        )


class _Once:
    """A runner that keeps what it gave, since the same inputs come again for every layer."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._given: dict[int, dict[str, Array]] = {}

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._runner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._runner.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        key = id(feeds)  # the utterances outlive this object
        if key not in self._given:
            self._given[key] = self._runner.run(feeds)
        return self._given[key]

    def close(self) -> None:
        self._runner.close()
