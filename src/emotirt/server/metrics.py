"""``/metrics``: what the engine and the server do, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from emotirt.engine.observe import BackendRecord, BatchRecord, EngineStats, RequestRecord
from emotirt.server.replies import EVERYWHERE, errors_of

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STEPS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_COUNTERS = {
    "accepted": "requests taken on",
    "refused": "requests refused because too much was waiting",
    "deadlines_missed": "requests without audio in time",
    "truncated": "texts cut at the hard limit",
    "chunks": "chunks of audio made",
    "audio_s": "seconds of audio made",
    "fallbacks": "calls that the CPU computed in place of the accelerated backend",
    "worker_starts": "times a worker process came up",
    "worker_losses": "times a worker process died, hung or failed to come up",
}
_GAUGES = {
    "running": "requests not ended",
    "waiting_acoustic": "utterances waiting",
    "waiting_vocoder": "vocoder windows waiting",
    "backlog_tokens": "tokens accepted and not yet spoken",
    "tokens_per_s": "measured throughput",
    "audio_per_s": "seconds of audio that could be made in a second, measured",
}


class Metrics:
    """An ``Observer`` that counts; every server has its own registry."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = registry = CollectorRegistry()
        self._stages = {
            name: Histogram(f"emotirt_{name}_seconds", f"{what} of a request", registry=registry, buckets=_STEPS_S)
            for name, what in (
                ("queue", "waiting"), ("frontend", "text to phonemes"), ("acoustic", "phonemes to mel"),
                ("vocoder", "mel to samples"), ("first_audio", "time to first audio"), ("total", "all of the time"),
            )
        }  # fmt: skip
        self._ended = Counter(
            "emotirt_requests_ended", "requests that ended", ["outcome", "priority", "error"], registry=registry
        )
        self._fill = Histogram(
            "emotirt_batch_fill", "share of a full batch", ["stage"], registry=registry, buckets=_SHARES
        )
        self._padding = Histogram(
            "emotirt_batch_padding", "share of padding in a batch", ["stage"], registry=registry, buckets=_SHARES
        )
        self._items = Counter("emotirt_batch_items", "members of batches", ["stage"], registry=registry)
        self._compute = Counter("emotirt_compute_seconds", "time spent on batches", ["stage"], registry=registry)
        self._backend = Counter("emotirt_backend_events", "what happened to the backend", ["event"], registry=registry)
        self._http = Counter("emotirt_http_responses", "HTTP answers", ["path", "status"], registry=registry)

    def request_ended(self, record: RequestRecord) -> None:
        """Count a request; its times only where there was audio."""
        self._ended.labels(record.outcome.value, record.priority.value, record.error).inc()
        timings = record.timings
        if record.chunk_count:
            times = (
                timings.queue_s, timings.frontend_s, timings.acoustic_s, timings.vocoder_s, timings.first_audio_s,
                timings.total_s,
            )  # fmt: skip
            for histogram, seconds in zip(self._stages.values(), times, strict=True):
                histogram.observe(seconds)

    def batch_done(self, record: BatchRecord) -> None:
        """Count a batch."""
        self._items.labels(record.stage).inc(record.items)
        self._compute.labels(record.stage).inc(record.compute_s)
        self._fill.labels(record.stage).observe(record.padded_cost / record.limit)
        self._padding.labels(record.stage).observe(1.0 - record.cost / max(1, record.padded_cost))

    def backend_changed(self, record: BackendRecord) -> None:
        """Count what happened to the backend."""
        self._backend.labels(record.event).inc()

    def answered(self, path: str, status: int) -> None:
        """Count an HTTP answer; ``path`` is a route of ours, status 0 is a client that left."""
        self._http.labels(path, str(status)).inc()

    def watch(self, stats: Callable[[], EngineStats]) -> None:
        """Show an engine's own counters and gauges too."""
        self.registry.register(_StatsCollector(stats))


class _StatsCollector(Collector):
    def __init__(self, stats: Callable[[], EngineStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        for name, what in _COUNTERS.items():
            yield CounterMetricFamily(f"emotirt_{_public(name)}", what, value=float(getattr(stats, name)))
        for name, what in _GAUGES.items():
            yield GaugeMetricFamily(f"emotirt_{_public(name)}", what, value=float(getattr(stats, name)))


def _public(name: str) -> str:
    return f"{name[:-2]}_seconds" if name == "audio_s" else name.replace("_per_s", "_per_second")


def metrics_router(metrics: Metrics) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["operation"], responses=errors_of(*EVERYWHERE))
    text = {"schema": {"type": "string"}}

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": text}}})
    async def show_metrics() -> Response:
        """Give all metrics in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=MEDIA_TYPE)

    return router
