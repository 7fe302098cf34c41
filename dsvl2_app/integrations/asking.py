"""What the harnesses' model classes share: a backend that is asked several conversations at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dsvl2_app.backend import Backend, Stream, load
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import ANSWER_TOKENS

Messages = list[dict[str, Any]]
MOST_AT_ONCE = 32  # a backend lets that many wait


def open_backend(model: str, **settings: Any) -> Backend:
    """By the names of `dsvl2 serve --help`, with underscores. Raises SettingsError for a name that is none of them."""
    return load(Settings.read(model=model, **settings))


@dataclass(frozen=True, slots=True)
class Wish:
    """A conversation, how it is answered, and texts at which the answer ends, without them."""

    messages: Messages
    sampling: Sampling
    stops: tuple[str, ...] = ()


def answer_all(backend: Backend, wishes: Iterable[Wish], batch: int) -> Iterator[str]:
    """Answers in the order of the wishes, `batch` of which are worked at at once."""
    if not 1 <= batch <= MOST_AT_ONCE:
        raise SettingsError(f"The batch size is {batch}; choose a number from 1 to {MOST_AT_ONCE}.")
    asked: deque[tuple[Stream, Sequence[str]]] = deque()
    try:
        for wish in wishes:
            request = Request(wish.messages, wish.sampling, allow=ANSWER_TOKENS)
            asked.append((backend.submit(request), wish.stops))
            if len(asked) >= batch:
                yield _read(*asked.popleft())
        while asked:
            yield _read(*asked.popleft())
    finally:
        for stream, _ in asked:
            stream.cancel()


def _read(stream: Stream, stops: Sequence[str]) -> str:
    answer = ""
    with stream:
        for step in stream:
            answer += step.text
            ends = [answer.find(stop) for stop in stops if stop in answer]
            if ends:
                return answer[: min(ends)]
    return answer


def write_message(role: str, parts: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Of ("image", anything that shows one) and ("text", words), with a line break behind each picture, as DeepSeek's
    own evaluation has it. Raises PromptError for another kind."""
    content: list[dict[str, Any]] = []
    for kind, value in parts:
        if kind not in ("image", "text"):
            raise PromptError("A message has {kind}; DeepSeek-VL2 takes pictures and text.", kind=kind)
        content.append({"type": kind, kind: value})
        if kind == "image":
            content.append({"type": "text", "text": "\n"})
    return {"role": role, "content": content}
