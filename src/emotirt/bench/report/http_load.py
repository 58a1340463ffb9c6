"""What servers were measured to do over HTTP: offered load and its knee, listeners, requests in flight, bulk beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotirt.bench.report.archive import Archive, Result, Wanted
from emotirt.bench.report.figures import number, percent, percentiles, plain
from emotirt.bench.report.parts import NOT_MEASURED, NOTHING, Both, Table, Words
from emotirt.bench.report.prose import say

BATCHING = "batching"
BESIDE = {
    "one_at_a_time": Both("one request at a time", "每次一个请求"),
    "takes_on_everybody": Both("takes on everybody", "来者不拒"),
}
"""Other servers that a run may hold, and what they do."""
STRICT_LATE_MS = 200.0
"""What a real-time listener stands; results with another bound say so."""


class Served:
    """The newest results of each kind of load on one kind of machine and bundle."""

    def __init__(self, archive: Archive, wanted: Wanted) -> None:
        """Look at the results that are ``wanted``."""

        def having(name: str) -> Wanted:
            return lambda item: wanted(item) and bool(item.settings.get(name))

        def of_clients(count: int) -> Wanted:
            return lambda item: wanted(item) and item.settings.get("clients") == count and not item.settings.get("bulk")

        self.knee = archive.newest("serve", having("knee"))
        self.bulk = archive.newest("serve", having("bulk"))
        self.levels = archive.newest("serve", having("levels"))
        self.sweep = archive.newest("serve", having("sweep"))
        self.compared = archive.newest("serve", having("compare"))
        self.alone = archive.newest("serve", of_clients(1))
        self.crowd = archive.newest("serve", of_clients(64))
        self.steady = archive.newest("serve", lambda item: having("rate")(item) and not item.settings.get("bulk"))

    @property
    def results(self) -> list[Result]:
        """Those that are there, each once."""
        found = (self.alone, self.crowd, self.steady, self.knee, self.bulk, self.levels, self.sweep, self.compared)
        return list({item.path: item for item in found if item is not None}.values())

    def held(self) -> Words:
        """Return the listeners that the newest sweep found held."""
        if self.sweep is None:
            return NOT_MEASURED
        found = self.sweep.details[BATCHING]
        bound = late_ms(self.sweep)
        count = f"{found['held']}{'' if found['is_bounded'] else '+'}"
        return count if bound == STRICT_LATE_MS else f"{count} (≤ {bound:g} ms)"


def late_ms(result: Result) -> float:
    """Return after how long first audio counted as late."""
    return float(result.settings.get("held", {}).get("late_ms", 500.0))


def rate_table(result: Result) -> Table:
    """Return what was offered and what came of it, by rate, half load last."""
    found = result.details[BATCHING]
    levels = sorted(found["levels"], key=lambda level: level["rate_per_s"])
    rows: list[list[Words]] = [
        [plain(level["rate_per_s"]), *_load_cells(level), Both("yes", "是") if level["is_held"] else Both("no", "否")]
        for level in levels
    ]
    half = found["half_load"]
    rate = plain(max(0.5, 0.5 * found["capacity_per_s"]))
    rows.append([Both(f"{rate} (half of capacity)", f"{rate}（半负荷）"), *_load_cells(half), NOTHING])
    return Table([Both("requests/s", "请求/秒"), *_LOAD_HEADER, Both("held", "撑住")], rows)


def listener_table(result: Result) -> Table:
    """Return what each number of listeners got; beside it other servers of the same run."""
    rows: list[list[Words]] = []
    for name, who in {BATCHING: Both("as shipped", "默认"), **BESIDE}.items():
        levels = result.details.get(name, {}).get("levels", ())
        rows += [
            [
                who,
                str(level["listeners"]),
                *_load_cells(level),
                Both("yes", "是") if level["is_held"] else Both("no", "否"),
            ]
            for level in sorted(levels, key=lambda level: level["listeners"])
        ]
    return Table([Both("server", "服务器"), Both("listeners", "听者"), *_LOAD_HEADER, Both("held", "撑住")], rows)


def flight_table(served: Served) -> Table:
    """Return closed loops of one client and of 64, and live requests beside bulk ones."""
    rows: list[list[Words]] = []
    for what, result in (
        (Both("1 request at a time", "每次 1 个请求"), served.alone),
        (Both("64 in flight, closed loop", "64 个同时进行，闭环"), served.crowd),
    ):
        if result is not None:
            rows.append([what, *_load_cells(result.details[BATCHING])])
    if served.steady is not None:
        offered = plain(served.steady.settings["rate"])
        what = Both(f"{offered} requests/s, Poisson arrivals", f"每秒 {offered} 个请求，泊松到达")
        rows.append([what, *_load_cells(served.steady.details[BATCHING])])
    if served.bulk is not None:
        level = served.bulk.details[BATCHING]
        rate, clients = served.bulk.settings.get("rate"), served.bulk.settings["bulk"]
        live = f"{plain(rate)}" if rate else plain(served.bulk.settings.get("clients") or 0)
        bulk = level.get("bulk") or {"rtfx": 0.0}
        rows.append(
            [
                say("http.bulk", live=live, clients=str(clients), rate=plain(bulk["rtfx"])),
                *_load_cells(level),
            ]
        )
    return Table([Both("load", "负载"), *_LOAD_HEADER], rows)


_LOAD_HEADER: tuple[Words, ...] = (
    Both("requests", "请求数"),
    Both("first audio p50 / p90 / p99, ms", "首段音频 p50 / p90 / p99，ms"),
    Both("late or failed", "迟到或失败"),
    Both("underrun", "断流"),
    Both("refused", "拒绝"),
    Both("× real time", "实时倍数"),
    Both("GPU busy", "GPU 占用"),
    Both("client lag p99, ms", "客户端滞后 p99，ms"),
)


def _load_cells(level: Mapping[str, Any]) -> list[Words]:
    busy = level.get("gpu", {}).get("busy_pct")
    lag = level.get("client_lag_ms") or {}
    return [
        plain(level["requests"]),
        percentiles(level["ttfa_ms"]),
        percent(level["late_share"]),
        percent(level["underrun_share"]),
        percent(level.get("refused_share")),
        plain(level["rtfx"]),
        NOTHING if busy is None else number(float(busy), "%"),
        plain(lag["p99"]) if lag else NOTHING,
    ]
