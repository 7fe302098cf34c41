"""`dsvl2 serve`, which is what `python app.py` does: the page, its API, and the OpenAI protocol under /v1."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from dsvl2_app.settings import Settings
from dsvl2_app.shutdown import Terminated, answering_time, close_within, leave, raise_terminated
from dsvl2_app.terminal.manners import run_politely

if TYPE_CHECKING:
    import gradio as gr

    from dsvl2_app.backend import Backend
    from dsvl2_app.backend.guarded import GuardedBackend

logger = logging.getLogger(__name__)

SPINS = "1000"  # rounds that a thread of GNU's OpenMP looks for work before it sleeps; by itself it may take a core


def run(flags: argparse.Namespace) -> None:
    serve(Settings.choose(flags, os.environ))


def serve(settings: Settings) -> NoReturn:
    """Serve until Ctrl-C, or SIGTERM, which stops a container and lets answers end; the page is there before the
    weights are. The process ends here, also after a mistake such as weights that cannot be had: Python's own end would
    abort where a thread still loads them."""
    leave(run_politely(lambda: _serve(settings)))


def _serve(settings: Settings) -> None:
    raise_again = raise_terminated()
    share_cores(os.environ)
    if settings.log_format == "json":
        from dsvl2_app.health.logs import write_json

        write_json()

    from dsvl2_app.backend import import_early

    import_early(settings)

    from dsvl2_app.backend import load_meanwhile
    from dsvl2_app.backend.guarded import guard
    from dsvl2_app.ui.uploads import own_folder

    serving: list[gr.Blocks] = []
    with own_folder():
        backend, raise_failure = load_meanwhile(settings)
        guarded = guard(backend, settings)
        try:
            _open(guarded, settings, serving)
            while guarded.health().loading:
                raise_failure()
                raise_again()
                time.sleep(0.1)
            settle()
            while True:
                raise_again()
                time.sleep(0.1)  # on Windows nothing else is interrupted by Ctrl-C
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt, Terminated):
                _let_end(guarded, settings.grace)
            elif not serving:
                raise
        finally:
            _close(serving, backend)


def share_cores(env: MutableMapping[str, str]) -> None:
    """Let threads of the model that wait for each other leave the cores to the rest of the server: where these spin,
    32 visitors of two cores get their answers half as fast. To be called before torch is imported; who sets how they
    wait is obeyed."""
    if "OMP_WAIT_POLICY" not in env:
        env.setdefault("GOMP_SPINCOUNT", SPINS)


def settle() -> None:
    """Let the garbage collector pass over what is there for good, modules and the model. Looking at all of it takes
    half a second, in which nobody is served."""
    gc.collect()
    gc.freeze()


def _open(backend: GuardedBackend, settings: Settings, serving: list[gr.Blocks]) -> None:
    """The page joins `serving` before it is up: a signal can come at any time."""
    from dsvl2_app import health
    from dsvl2_app.api.access import read_keys
    from dsvl2_app.api.routes import build_routes
    from dsvl2_app.ui.addresses import trust_space
    from dsvl2_app.ui.gradio_quirks import takes_events
    from dsvl2_app.ui.page import build, launch
    from dsvl2_app.ui.uploads import image_limits

    watched, watching = health.watch(backend, settings, lambda: not serving or takes_events(serving[0]))
    keys = read_keys(os.environ)
    routes = build_routes(watched, settings, image_limits(settings), keys)
    serving.append(build(watched, settings))
    trust_space(os.environ)
    launch(serving[0], settings, [*routes, *watching], has_keys=bool(keys))


def _let_end(backend: GuardedBackend, grace: float) -> None:
    """Until all answers have ended, the time is up, or a second signal says that nobody wants to wait."""
    with suppress(KeyboardInterrupt):
        if not backend.finish(answering_time(grace)):
            logger.warning("answers that had not ended after %s seconds are cut off", answering_time(grace))


def _close(serving: list[gr.Blocks], backend: Backend) -> None:
    """Whatever is stuck, it takes a part of RESERVE."""
    from dsvl2_app.ui.gradio_quirks import close_server

    for demo in serving:
        close_server(demo)
    if not close_within(backend.close, 0.8):
        logger.warning("a piece of work did not end in time and goes with the process")
