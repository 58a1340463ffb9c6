"""How close a precision is to its own float32, for a place beside every speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotirt.bench.report.archive import Archive, Result
from emotirt.bench.report.figures import file_of
from emotirt.bench.report.parts import NOT_MEASURED, NOTHING, Both, Table, Words

PRECISIONS = ("fp16", "int8")
DEFAULT = "default"
REFERENCE = Both("is the reference", "即参照")
_EMULATED_BODY = {"fp16": "path", "int8": "own_mels"}


class Quality:
    """The newest figures of each precision: of real plans where there are any, else emulated on a CPU."""

    def __init__(self, archive: Archive) -> None:
        """Look for results of the default bundle."""
        self.real = archive.newest("plan_quality", lambda item: item.bundle.get("name") == DEFAULT)
        self.emulated = archive.newest("precision", lambda item: item.bundle.get("name") == DEFAULT)

    def source(self, precision: str) -> Result | None:
        """Return the result that tells of a precision."""
        if self.real is not None and precision in self.real.details:
            return self.real
        return self.emulated

    def figures(self, precision: str) -> Mapping[str, Any]:
        """Return its figures, empty where it was not measured."""
        source = self.source(precision)
        if source is None or precision not in PRECISIONS:
            return {}
        if source is self.real:
            found: Mapping[str, Any] = source.details[precision]["stages"]["path"]
        else:
            found = source.details.get(precision, {}).get(_EMULATED_BODY[precision], {})
        return found

    def words(self, precision: str) -> Words:
        """Return PESQ-WB, STOI, MCD and the error of F0 in one cell."""
        if not precision:
            return REFERENCE
        found = self.figures(precision)
        if not found:
            return NOT_MEASURED
        said = " / ".join(_figure(found, name) for name in ("pesq_mean", "stoi_mean", "mcd_db", "pitch_cents"))
        return said if self.source(precision) is self.real else f"{said}†"

    def table(self) -> Table:
        """Return every figure of every precision."""
        header = (
            Both("precision", "精度"),
            "PESQ-WB",
            Both("worst", "最差"),
            "STOI",
            "SNR",
            "MCD",
            Both("F0 error", "F0 误差"),
            Both("measured", "测量方式"),
            Both("file", "文件"),
        )
        return Table(header, [self._row(precision) for precision in PRECISIONS])

    def _row(self, precision: str) -> list[Words]:
        found, source = self.figures(precision), self.source(precision)
        if not found:
            return [precision.upper(), *[NOT_MEASURED] * (len(_FORMS) + 2)]
        is_real = source is self.real
        how = Both("plans on the GPU", "GPU 上的计划") if is_real else Both("emulated on a CPU", "在 CPU 上模拟")
        cells = [_figure(found, name) for name in _FORMS]
        return [precision.upper(), *cells, how, file_of(source)]


_FORMS = {
    "pesq_mean": "{:.2f}", "pesq_worst": "{:.2f}", "stoi_mean": "{:.4f}", "snr_db": "{:.1f} dB", "mcd_db": "{:.3f} dB",
    "pitch_cents": "{:.2f} cent",
}  # fmt: skip


def _figure(found: Mapping[str, Any], name: str) -> str:
    return _FORMS[name].format(found[name]) if name in found else NOTHING
