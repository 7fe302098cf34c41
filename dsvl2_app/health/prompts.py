"""What is asked and answered, in the log: only with --log-prompts, because it is other people's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from dsvl2_app.backend import Stream
from dsvl2_app.backend.wrapper import BackendWrapper, Kind
from dsvl2_app.health.logs import FIELDS
from dsvl2_app.request import Event, Request

logger = logging.getLogger(__name__)


class PromptLog(BackendWrapper):
    """A backend before another one. It writes a line for each answer that has ended: the last question, with <image>
    for each picture, and what was said. It is a warning, so that every log has it."""

    def _begin(self, kind: Kind, request: Request, submit: Callable[[], Stream]) -> Stream:
        stream, pieces = submit(), list[str]()

        def observe(event: Event | None, error: BaseException | None) -> None:
            if event is not None:
                pieces.append(event.text)
                return
            told = {"question": read_words(request.messages[-1].get("content")), "answer": "".join(pieces)}
            logger.warning("asked %(question)r, answered %(answer)r", told, extra={FIELDS: told})

        if kind == "answer":
            stream.observe(observe)
        return stream


def read_words(content: Any) -> str:
    if not isinstance(content, list):
        return str(content)
    return "".join(part.get("text", "<image>") for part in content)
