"""How the app is, for those who run it: whether it lives and is ready, its figures for Prometheus, its log as JSON."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute

from dsvl2_app.backend import Backend
from dsvl2_app.health.counted import CountedBackend
from dsvl2_app.health.logs import RequestLog
from dsvl2_app.health.observed import ObservedBackend, PageBackend, Watcher
from dsvl2_app.health.prompts import PromptLog
from dsvl2_app.health.routes import build_routes
from dsvl2_app.settings import Settings


def watch(
    backend: Backend, settings: Settings, takes_events: Callable[[], bool] = lambda: True
) -> tuple[Backend, list[BaseRoute]]:
    """`backend`, watched as the settings say, and the routes that tell of it, and of the page, which `takes_events`."""
    backend = PageBackend(backend, takes_events)
    if settings.show_count:
        backend = CountedBackend(backend)
    if settings.log_prompts:
        backend = PromptLog(backend)
    watchers: list[Watcher] = [RequestLog()] if settings.log_format == "json" else []
    metrics = None
    if settings.metrics:
        from dsvl2_app.health.metrics import Metrics  # its package is optional

        metrics = Metrics(backend)
        watchers.append(metrics)
    return ObservedBackend(backend, *watchers) if watchers else backend, build_routes(backend, metrics)
