"""The page: a header that says which model answers, and the tabs. `launch` serves it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from dsvl2_app.backend import Backend
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import Settings
from dsvl2_app.ui.addresses import Addressed
from dsvl2_app.ui.arrival import Arrival
from dsvl2_app.ui.browsers import OwnBrowser
from dsvl2_app.ui.elsewhere import BehindProxy, component_route
from dsvl2_app.ui.endpoints import ENDPOINTS
from dsvl2_app.ui.events import QUIET
from dsvl2_app.ui.gradio_quirks import FnIndexInferError, forget_files, own_files, spare_work, spell_out_schemas
from dsvl2_app.ui.login import Login
from dsvl2_app.ui.onward import connect
from dsvl2_app.ui.payloads import Page, Refusals, answer_unknown, closed_routes
from dsvl2_app.ui.preview import Previewed
from dsvl2_app.ui.storage import Storage
from dsvl2_app.ui.tabs import TABS
from dsvl2_app.ui.theme import STYLE_SHEET, build_theme, read_script
from dsvl2_app.ui.tools import open_tools
from dsvl2_app.ui.uploads import image_limits
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import WORDS, label, say

MOST_SESSIONS = 2000  # that Gradio keeps the conversations of; the one that was used longest ago goes first
SCOPE = "A toy model: coloured shapes, printed English, simple charts and screens. No photographs, no other language."


def build(backend: Backend, settings: Settings) -> gr.Blocks:
    limits = image_limits(settings)
    with Page(title=settings.title, analytics_enabled=False) as demo:
        show = partial(show_header, backend, settings)
        header = gr.HTML(show(), elem_id="header")
        demo.load(show, None, header, **QUIET)  # in the visitor's language
        Arrival(backend).build(demo)
        with gr.Tabs() as tabs:
            built = [tab(backend, limits) for tab in TABS]
            for tab in built:
                with gr.Tab(label(tab.title), id=tab.id):
                    tab.build(demo)
        connect(tabs, built)
        with gr.Column(visible=False):  # what scripts call
            for endpoint in ENDPOINTS:
                endpoint(backend, limits).build()
    spell_out_schemas(demo)
    return demo.queue(max_size=settings.max_queue)


def launch(demo: gr.Blocks, settings: Settings, routes: Sequence[BaseRoute] = (), *, has_keys: bool = False) -> str:
    """Serve in the background, until the demo is closed; `routes` go before the page's own, and with `has_keys` those
    under /v1 look for API keys themselves. Returns the local URL."""
    try:
        _, url, _ = demo.launch(
            server_name=settings.host,
            server_port=settings.port,
            root_path=settings.root_path,
            auth=[*settings.auth] or None,
            share=settings.share,
            prevent_thread_lock=True,
            max_file_size=image_limits(settings).max_bytes,
            show_error=True,
            state_session_capacity=MOST_SESSIONS,
            enable_monitoring=False,
            run_history=False,
            mcp_server=settings.mcp,
            favicon_path=settings.icon or None,
            footer_links=["api", "settings"],
            theme=build_theme(),
            css_paths=STYLE_SHEET,
            js=read_script(),
            i18n=WORDS,
            app_kwargs={
                "routes": [*routes, component_route(), *closed_routes()],
                "middleware": list_middleware(demo, settings, has_keys=has_keys),
                "exception_handlers": {LookupError: answer_unknown, FnIndexInferError: answer_unknown},
            },
        )
    except OSError as error:
        raise SettingsError(
            f"Cannot serve on {settings.host}, port {settings.port}; it may be taken, so choose another --port."
        ) from error
    spare_work(demo)
    if settings.mcp:
        open_tools(demo, settings.auth)
    return url


def list_middleware(demo: gr.Blocks, settings: Settings, *, has_keys: bool) -> list[Middleware]:
    """What every request passes, in this order."""
    root_path = settings.root_path
    return [
        Middleware(Previewed, title=settings.title),
        Middleware(BehindProxy, root_path=root_path),
        Middleware(Login, credentials=settings.auth, has_keys=has_keys, root_path=root_path),
        Middleware(OwnBrowser),
        Middleware(Refusals),
        Middleware(Addressed, demo=demo, most=settings.max_per_address),
        Middleware(Storage, settings=settings, files=own_files(demo), forget=partial(forget_files, demo)),
    ]


def show_header(backend: Backend, settings: Settings) -> str:
    card = backend.card
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in wording.describe_card(card))
    notices = [notice for notice in (card.notice, settings.notice) if notice]
    notice = "".join(f'<p class="banner" role="note">{escape(say(notice))}</p>' for notice in notices)
    scope = f'<p class="scope" role="note">{say(SCOPE)}</p>' if card.bundled else ""
    answered = backend.health().answered if settings.show_count else None
    if answered is not None:
        scope += (
            f'<p class="scope answered">{say("Questions answered since the start: {number:,}", number=answered)}</p>'
        )
    return f"""
      <header>
        <h1>{escape(settings.title)}</h1>
        <ul class="card" aria-label="{say("Loaded model")}">
          <li><strong>{escape(card.name)}</strong> {escape(say("from {source}", source=say(card.source)))}</li>{facts}
        </ul>
      </header>
      {notice}{scope}
    """
