"""What goes wrong -> the protocol's own form of it: {"error": {"message", "type", "param", "code"}} and a status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from dsvl2_app.errors import (
    AppError,
    BusyError,
    ContextError,
    EngineDeadError,
    ImageError,
    PromptError,
    ResourceError,
    SettingsError,
    explain,
)

logger = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on the server, which has noted it; please try again."
RETRY_AFTER = "1"  # seconds
# The status, type, code and parameter of each kind, the most particular first.
KINDS: tuple[tuple[type[AppError], int, str, str | None, str | None], ...] = (
    (ContextError, 400, "invalid_request_error", "context_length_exceeded", "messages"),
    (PromptError, 400, "invalid_request_error", None, "messages"),
    (ImageError, 400, "invalid_request_error", "invalid_image", "messages"),
    (SettingsError, 400, "invalid_request_error", "invalid_value", None),
    (BusyError, 429, "rate_limit_error", "rate_limit_exceeded", None),
    (ResourceError, 503, "server_error", "out_of_resources", None),
    (EngineDeadError, 503, "server_error", "engine_dead", None),
)


class ProtocolError(AppError):
    """A request that this endpoint does not take; said in English alone, because its readers are programs."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


def describe(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body. What nobody could foresee goes to the log, and the client learns no more than that."""
    error = explain(error)
    if isinstance(error, ProtocolError):
        kind = "invalid_request_error" if error.status < 500 else "server_error"
        return error.status, _form(str(error), kind, error.code, error.param)
    for cause, status, kind, code, param in KINDS:
        if isinstance(error, cause):
            return status, _form(str(error), kind, code, param)
    if isinstance(error, AppError):
        return 500, _form(str(error), "server_error", None, None)
    logger.error("a request failed", exc_info=error)
    return 500, _form(UNEXPECTED, "server_error", None, None)


def _form(message: str, kind: str, code: str | None, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class ProtocolRoute(APIRoute):
    """A route whose errors have the protocol's form, while those of other routes of the app stay as they are."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                status, body = describe(error)
                headers = {"Retry-After": RETRY_AFTER} if status == 429 else {}
                return JSONResponse(body, status, headers)

        return answer
