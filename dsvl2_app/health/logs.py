"""The log as one JSON object a line, for machines that collect logs, with one for every request, without its words."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from datetime import datetime, timezone

from uvicorn.config import LOGGING_CONFIG

from dsvl2_app.backend.stream import Observer
from dsvl2_app.backend.wrapper import Kind
from dsvl2_app.errors import AppError
from dsvl2_app.request import Event, Timings

FIELDS = "fields"  # of a record: what stands beside its message
TIMES, COUNTS = ("queued", "vision", "prefill", "decode"), ("prompt_tokens", "reused_tokens", "new_tokens", "tiles")
logger = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def write_json() -> None:
    """From now on all that is logged, and every warning, is JSON on stderr: of the app from "info" on, of libraries
    from "warning" on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("dsvl2_app").setLevel(logging.INFO)
    logging.captureWarnings(True)
    os.environ["TQDM_DISABLE"] = "1"  # which is read when that package is imported
    for part in ("loggers", "handlers"):  # uvicorn, when it starts, gives its loggers handlers of their own
        LOGGING_CONFIG[part].clear()


class RequestLog:
    """A `Watcher` that writes a line when a request has ended or was refused."""

    def begin(self, kind: Kind) -> Observer:
        began, timings, finish = time.perf_counter(), Timings(), ""

        def observe(event: Event | None, error: BaseException | None) -> None:
            nonlocal timings, finish
            if event is not None:
                timings, finish = event.timings, event.finish or finish
                return
            told = {name: round(getattr(timings, name), 4) for name in TIMES}
            told |= {name: getattr(timings, name) for name in COUNTS}
            outcome = type(error).__name__ if error else finish or "cancelled"
            told |= {"kind": kind, "outcome": outcome, "seconds": round(time.perf_counter() - began, 4)}
            logger.info("a request has ended", extra={FIELDS: told})

        return observe

    def refuse(self, kind: Kind, error: AppError) -> None:
        logger.info("a request was refused", extra={FIELDS: {"kind": kind, "outcome": type(error).__name__}})
