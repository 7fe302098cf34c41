"""Figures of the app for Prometheus, by its official client library. They count and time; no name and no text of
anybody is among them.

Memory and CPU of the process come from the library itself, where the system tells them (`process_*`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from dsvl2_app import __version__
from dsvl2_app.backend import Backend
from dsvl2_app.backend.stream import Observer
from dsvl2_app.backend.wrapper import Kind
from dsvl2_app.errors import AppError
from dsvl2_app.health.status import is_alive, is_ready
from dsvl2_app.request import Event, Timings

LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)  # seconds, upper ends
SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
PIECES = {
    "prompt": "prompt_tokens",
    "reused_prompt": "reused_tokens",
    "generated": "new_tokens",
}


class Metrics:
    """A `Watcher` whose figures are read by `write`, together with the health of `backend` at that moment."""

    def __init__(self, backend: Backend) -> None:
        self.registry = CollectorRegistry()
        self.backend, card = backend, backend.card
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = self._count("requests", "Requests that have ended.", "kind", "outcome")
        self.refusals = self._count("refusals", "Requests that were turned away before they waited.", "kind", "error")
        self.errors = self._count("errors", "Requests that ended in an error.", "kind", "error")
        self.tokens = self._count("tokens", "Tokens of answers and prompts.", "kind")
        self.tiles = self._count("tiles", "Tiles of pictures, and how many of them were encoded.", "kind")
        self.first_token = self._time("time_to_first_token_seconds", "From a request to its first token.", LONG)
        self.per_token = self._time("time_per_output_token_seconds", "Between two tokens of an answer.", SHORT)
        self.whole = self._time("request_seconds", "From a request to its end.", LONG)
        self.stages = self._time("stage_seconds", "Of an answer, by stage.", LONG, "stage")
        told = {"version": __version__, "model": card.name, "dtype": card.dtype, "device": card.device}
        Info("dsvl2_model", "What is served.", registry=self.registry).info(told)
        self.registry.register(self)  # type: ignore[arg-type] - a collector by its method

    def _count(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"dsvl2_{name}", what, labels, registry=self.registry)

    def _time(self, name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"dsvl2_{name}", what, labels, registry=self.registry, buckets=buckets)

    def begin(self, kind: Kind) -> Observer:
        return _Watch(self, kind)

    def refuse(self, kind: Kind, error: AppError) -> None:
        self.refusals.labels(kind, type(error).__name__).inc()

    def collect(self) -> Iterator[Metric]:
        """What is asked for when it is read, as the library wants it."""
        health = self.backend.health()
        loading = health.loading
        gauges: dict[str, tuple[str, float]] = {
            "up": ("1 while requests can be answered.", is_alive(health)),
            "ready": ("1 while the weights are there and requests are taken.", is_ready(health)),
            "running_requests": ("Answers that are being written.", health.running),
            "waiting_requests": ("Requests that wait.", health.waiting),
            "idle_seconds": ("Since the model last finished a piece, while there is work.", health.seconds),
            "loading_bytes": ("Of the weights, how many are there; 0 once all are.", loading.done if loading else 0),
            "loading_total_bytes": ("Of the weights, how many are to come.", loading.total if loading else 0),
        }
        for name, (what, value) in gauges.items():
            yield GaugeMetricFamily(f"dsvl2_{name}", what, value)
        held = GaugeMetricFamily("dsvl2_memory_bytes", "Bytes that are held, by what for.", labels=["what"])
        for name, value in health.memory.items():
            held.add_metric([name], value)
        yield held

    def write(self, accept: str = "") -> tuple[bytes, str]:
        """All of it in a form that `accept` names, and its content type."""
        encode, kind = choose_encoder(accept)
        return encode(self.registry), kind


class _Watch:
    """One request."""

    def __init__(self, metrics: Metrics, kind: Kind) -> None:
        self.metrics, self.kind = metrics, kind
        self.began = time.perf_counter()
        self.last: float | None = None  # when the last token came
        self.timings = Timings()
        self.finish: str | None = None

    def __call__(self, event: Event | None, error: BaseException | None) -> None:
        now = time.perf_counter()
        if event is None:
            self._end(now, error)
            return
        self.timings, self.finish = event.timings, event.finish
        if event.stage == "decode":
            if self.last is None:
                self.metrics.first_token.observe(now - self.began)
            else:
                self.metrics.per_token.observe(now - self.last)
            self.last = now

    def _end(self, now: float, error: BaseException | None) -> None:
        metrics, timings = self.metrics, self.timings
        if error is not None:
            metrics.errors.labels(self.kind, type(error).__name__).inc()
        metrics.requests.labels(self.kind, "error" if error else self.finish or "cancelled").inc()
        metrics.whole.observe(now - self.began)
        for label, name in PIECES.items():
            metrics.tokens.labels(label).inc(getattr(timings, name))
        metrics.tiles.labels("all").inc(timings.tiles)
        metrics.tiles.labels("reused").inc(timings.reused_tiles)
        metrics.tiles.labels("encoded").inc(timings.encoded_tiles)
        for stage in ("queued", "vision", "prefill", "decode"):
            metrics.stages.labels(stage).observe(getattr(timings, stage))
