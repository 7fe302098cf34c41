"""What the health of a backend means for whoever restarts or routes to the app."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dsvl2_app.request import Health

STUCK = 600.0  # seconds without a finished piece of work after which the model counts as dead


def is_alive(health: Health) -> bool:
    return health.alive and health.seconds < STUCK


def is_ready(health: Health) -> bool:
    return is_alive(health) and health.accepting and health.loading is None


def describe(health: Health) -> dict[str, Any]:
    """`status` is "ready", "loading", "busy", "stuck" or "dead"."""
    told: dict[str, Any] = {"status": "ready", "running": health.running, "waiting": health.waiting}
    if health.loading is not None:
        told |= {"status": "loading", "loading": asdict(health.loading) | {"seconds_left": health.loading.seconds_left}}
    elif not health.accepting:
        told["status"] = "busy"
    if not is_alive(health):
        told["status"] = "stuck" if health.alive else "dead"
    return told
