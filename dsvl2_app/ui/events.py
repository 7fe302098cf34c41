"""How the page's events behave, and what several tabs do alike: cancelling an answer, scrolling, downloading."""

from __future__ import annotations

import json
from asyncio import create_task
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr

from dsvl2_app.backend import Stream
from dsvl2_app.bundled import read_asset
from dsvl2_app.ui.gradio_quirks import download_script, visitor_leaves
from dsvl2_app.ui.words.translations import text_label

REFRESH = 0.1  # seconds between two updates of the page while an answer streams; at 0.05 phones had no time for clicks

# Options of events. The backend bounds how many answers run at once, so Gradio does not.
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": None}
TILING: dict[str, Any] = {"concurrency_id": "tiles", "concurrency_limit": 4}
# No endpoint, nothing over outputs. At each update of any event Gradio tells every component that ever was to show
# progress how far that event is, and copies its value for it; here none is, unless an event names one.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": []}
QUIET: dict[str, Any] = {"queue": False, **PRIVATE}  # runs at once, whatever is in the queue
STREAMING: dict[str, Any] = {**MODEL, **PRIVATE}
# Only the last one counts. By default Gradio drops those that come while one is served; these wait for its end, and one
# is sent then: with what its inputs hold by then, but with the data of the event that was served. So a script that
# triggers such an event with data has one object for it, and fills that each time.
LATEST: dict[str, Any] = {"trigger_mode": "always_last"}
# A file is opened, or other pages of it are chosen: the outputs show that it goes on.
OPENING: dict[str, Any] = {"preprocess": False, **PRIVATE, "show_progress": "minimal", "show_progress_on": None}


class Newest:
    """Which run of a visitor's function began last. Events of one moment run side by side, whatever their trigger mode,
    and what an older one found may come after the answer of a newer one: it is not shown."""

    def __init__(self) -> None:
        self.run = 0

    def begin(self) -> int:
        """The number of the run that begins; it is the newest while it equals `run`."""
        self.run += 1
        return self.run


@asynccontextmanager
async def attended(stream: Stream) -> AsyncIterator[Stream]:
    """The stream, while whoever asked is there: it is cancelled when they leave, and on leaving the block."""

    async def cancel_for_nobody() -> None:
        await visitor_leaves()
        stream.cancel()

    with stream:
        watch = create_task(cancel_for_nobody())
        try:
            yield stream
        finally:
            watch.cancel()


def cancel(stream: Stream | None) -> None:
    """What a stop button does with the answer that is running, if one is."""
    if stream:
        stream.cancel()


def settle(selector: str) -> str:
    """A script that scrolls to an element, and keeps it in sight while what is above it still comes."""
    return f"() => (\n{read_asset('settle.js')})({json.dumps(selector)})"


def focus(selector: str) -> str:
    """A script that gives an element the focus once it is there: what had it is gone."""
    return f"() => setTimeout(() => document.querySelector({json.dumps(selector)})?.focus(), 300)"


def download_button(elem_id: str) -> gr.DownloadButton:
    """A hidden button with the last file that was made, for `download`."""
    return gr.DownloadButton(text_label("Download"), visible="hidden", elem_id=elem_id)


def download(
    button: gr.Button,
    write: Callable[..., Any],
    inputs: gr.Component | Sequence[gr.Component],
    file: gr.DownloadButton,
    **options: Any,
) -> None:
    """A click on `button` downloads the file whose path `write(*inputs)` returns. `options` are the click's."""
    button.click(write, inputs, file, **options, **PRIVATE).success(
        None, None, None, js=download_script(f"{file.elem_id}")
    )
