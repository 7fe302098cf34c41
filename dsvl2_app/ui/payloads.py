"""What comes with an event: the page sends what its components hold, but anybody can send anything.

`Page` is the page's Blocks. It looks at every value before a handler does, so that handlers of the page may rely on its
kind, and lets every failure of an event reach the caller as one sentence. What the named endpoints take is read by
themselves, because programs call them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gradio as gr
from fastapi import Request as HttpRequest
from fastapi import Response
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dsvl2_app.errors import AppError, PromptError, explain
from dsvl2_app.ui.browsers import check_browser
from dsvl2_app.ui.gradio_quirks import InvalidPathError, begin_serving, is_about_unknown_event, read_event_data
from dsvl2_app.ui.uploads import refuse_path
from dsvl2_app.ui.words import wording

REFUSED = "dsvl2.refused"  # of an ASGI scope: a list that is not empty once its request was refused
NUMBERS = (gr.Slider, gr.Number)
BEYOND = 100  # a slider may show more than its end: the number of pictures, where more were added than it reaches


class Page(gr.Blocks):
    """gr.Blocks whose events answer whatever comes in one sentence, without a traceback where that is the caller's
    fault."""

    async def process_api(self, *given: Any, **named: Any) -> dict[str, Any]:
        request = named.get("request")
        begin_serving(request)
        try:
            with wording.errors_for_clients():
                check_browser(request)
                return await super().process_api(*given, **named)
        except gr.Error as error:
            error.print_exception = False
            cause = error.__cause__
            if not isinstance(cause, Exception) or isinstance(explain(cause), AppError):
                note_refusal(request)
            raise

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *given: Any) -> list[Any]:
        """Raises AppError where a value is of no kind that its component holds."""
        try:
            inputs = mend_text(inputs)
            if block_fn.api_visibility == "public":  # plain HTTP; Gradio's own clients send the defaults themselves
                inputs = [*inputs, *(component.value for component in block_fn.inputs[len(inputs) :])]
            if block_fn.api_visibility != "public":
                inputs = [*map(fill_in, block_fn.inputs, inputs)]
                if not all(map(can_hold, block_fn.inputs, inputs)):
                    raise ValueError
            return await super().preprocess_data(block_fn, inputs, *given)
        except AppError:
            raise
        except InvalidPathError:
            raise refuse_path() from None
        except Exception:
            raise PromptError(
                "What was sent does not fit here; reload the page and try again, or see the API's documentation."
            ) from None


def fill_in(component: Any, value: Any) -> Any:
    """A text that is not there yet is an empty one."""
    return "" if value is None and isinstance(component, gr.Textbox) else value


def can_hold(component: Any, value: Any) -> bool:
    """Whether the page could send `value` as that component's; components that Gradio checks by a model of their own
    hold anything here, as do those whose handlers expect anything."""
    if isinstance(component, NUMBERS):
        if value is None:
            return isinstance(component, gr.Number)
        low, high = component.minimum, component.maximum
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (low is None or low <= value)
            and (high is None or value <= max(high, BEYOND))
        )
    if isinstance(component, gr.Textbox):
        return isinstance(value, str)
    if isinstance(component, gr.Checkbox):
        return isinstance(value, bool)
    if isinstance(component, gr.Radio | gr.Dropdown):
        return isinstance(value, str | int | float) or (value is None and component.value is None)
    if isinstance(component, gr.Dataset):
        return isinstance(value, int) and 0 <= value < len(component.samples)
    return True


def mend_text(value: Any) -> Any:
    """Halves of surrogate pairs, which no answer could carry, become question marks, however deep they are."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [mend_text(each) for each in value]
    if isinstance(value, dict):
        return {mend_text(name): mend_text(each) for name, each in value.items()}
    return value


def read_index(event: gr.EventData, things: Sequence[Any]) -> int:
    """Which of `things` was chosen. Raises PromptError where there is none of that number."""
    told = read_event_data(event)
    index = told.get("index") if isinstance(told, dict) else None
    if not isinstance(index, int) or not 0 <= index < len(things):
        raise PromptError("There is no such choice; reload the page and try again.")
    return index


class Refusals:
    """An ASGI middleware: a refused event has status 400, where Gradio answers every failure with 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused: list[bool] = []

        async def send_on(message: Message) -> None:
            if refused and message["type"] == "http.response.start" and message["status"] == 500:
                message = {**message, "status": 400}
            await send(message)

        await self.app({**scope, REFUSED: refused}, receive, send_on)


def note_refusal(request: Any) -> None:
    """Of the event that this gr.Request began; not of one that began within the server."""
    http = getattr(request, "request", None)
    if http is not None and REFUSED in getattr(http, "scope", ()):
        http.scope[REFUSED].append(True)


def closed_routes() -> list[BaseRoute]:
    """In place of addresses of Gradio's that the page has no use for: one writes down what a session shows, for anybody
    who has the link, and one is an endless stream that looks for another version of the app twenty times a second."""
    closed = ("/gradio_api/deep_link", "/gradio_api/dev/reload")
    return [Route(path, lambda _: PlainTextResponse("Not found.", 404)) for path in closed]


async def answer_unknown(request: HttpRequest, error: Exception) -> Response:
    """An event that the page does not have is not found; any other missing thing is a bug of ours."""
    if not is_about_unknown_event(error):
        raise error
    sentence = wording.describe_error(PromptError("There is no such event; reload the page and try again."))
    return JSONResponse({"error": sentence}, 404)
