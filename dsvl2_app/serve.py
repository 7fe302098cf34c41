"""`dsvl2 serve`, which is what `python app.py` does: the page, its API, and the OpenAI protocol under /v1."""

from __future__ import annotations

import _thread
import argparse
import os
import signal
from contextlib import ExitStack

from dsvl2_app.settings import Settings


def run(flags: argparse.Namespace) -> None:
    serve(Settings.choose(flags, os.environ))


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM, which stops a container; the page is there before the weights are. Raises
    CheckpointError where these cannot be had."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if settings.log_format == "json":
        from dsvl2_app.health.logs import write_json

        write_json()

    from dsvl2_app.backend import import_early

    import_early(settings)

    from dsvl2_app import health
    from dsvl2_app.api.access import read_keys
    from dsvl2_app.api.routes import build_routes
    from dsvl2_app.backend import load_meanwhile
    from dsvl2_app.ui.page import build, launch
    from dsvl2_app.ui.uploads import image_limits, own_folder

    with own_folder(), ExitStack() as stack:
        backend, raise_failure = load_meanwhile(settings, on_failure=_thread.interrupt_main)
        stack.callback(backend.close)
        try:
            watched, watching = health.watch(backend, settings)
            routes = build_routes(watched, settings, image_limits(settings), read_keys(os.environ))
            launch(build(watched, settings), settings, [*routes, *watching])
        except KeyboardInterrupt:
            raise_failure()  # which interrupts, too
            raise
        raise_failure()
