"""Events of answers -> the protocol's objects, whole or in chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import uuid4

from dsvl2_app.api.protocol import Question
from dsvl2_app.errors import BusyError
from dsvl2_app.request import Event, Likelihood, Timings
from dsvl2_app.text.stop import StopStrings

REASONS = {"eos": "stop", "length": "length", "time": "length", "repetition": "repetition"}
TIMINGS = tuple(each.name for each in fields(Timings))


@dataclass
class Choice:
    """One answer as it grows."""

    index: int
    stops: StopStrings
    reason: str | None = None
    timings: Timings = field(default_factory=Timings)

    def read(self, events: Sequence[Event]) -> tuple[str, list[dict[str, Any]]]:
        """Text and likelihoods that `events` add. Raises BusyError where the backend closes meanwhile."""
        text, likelihoods = "", list[dict[str, Any]]()
        for event in events:
            if self.stops.found:
                break
            text += self.stops.push(event.text)
            self.timings = event.timings
            if event.likelihoods:
                likelihoods.append(show_likelihoods(event.likelihoods))
            if event.finish == "cancelled":
                raise BusyError("The model is shutting down; start the app again to ask more.")
            if event.finish:
                self.reason = REASONS[event.finish]
        if self.stops.found:
            self.reason = "stop"
        return text + (self.stops.flush() if self.reason else ""), likelihoods


class Completion:
    """All answers to one request."""

    def __init__(self, question: Question, model: str) -> None:
        self.question = question
        self.choices = [Choice(index, StopStrings(question.stops)) for index in range(question.n)]
        self.head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": model}

    @property
    def usage(self) -> dict[str, Any]:
        """The prompt counts once, however many answers it has."""
        prompt = max(choice.timings.prompt_tokens for choice in self.choices)
        written = sum(choice.timings.new_tokens for choice in self.choices)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": max(choice.timings.reused_tokens for choice in self.choices)},
        }

    def whole(self, texts: Sequence[str], likelihoods: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
        """The answers once all have ended."""
        choices = [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": self._wrap(likely),
                "finish_reason": choice.reason,
            }
            for choice, text, likely in zip(self.choices, texts, likelihoods, strict=True)
        ]
        return {**self.head, "object": "chat.completion", "choices": choices, "usage": self.usage}

    def begin(self) -> Iterator[dict[str, Any]]:
        """The first chunk of each answer."""
        for choice in self.choices:
            yield self._chunk(choice.index, {"role": "assistant", "content": ""})

    def go_on(self, index: int, events: Sequence[Event]) -> Iterator[dict[str, Any]]:
        """The chunks of what came: text if there is any, progress if it is wanted, and how it ended."""
        choice = self.choices[index]
        text, likelihoods = choice.read(events)
        progress = show_progress(events[-1]) if self.question.options.include_progress else None
        if text or likelihoods or progress:
            delta = {"content": text} if text or likelihoods else {}
            yield self._chunk(index, delta, self._wrap(likelihoods), progress=progress)
        if choice.reason:
            yield self._chunk(index, {}, reason=choice.reason)

    def end(self) -> Iterator[dict[str, Any]]:
        if self.question.options.include_usage:
            yield {**self.head, "object": "chat.completion.chunk", "choices": [], "usage": self.usage}

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: Any = None,
        reason: str | None = None,
        progress: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        usage = {"usage": None} if self.question.options.include_usage else {}
        more = {"dsvl2": progress} if progress else {}
        return {**self.head, "object": "chat.completion.chunk", "choices": [choice], **usage, **more}

    def _wrap(self, likelihoods: list[dict[str, Any]]) -> dict[str, Any] | None:
        return {"content": likelihoods, "refusal": None} if self.question.logprobs else None


def show_likelihoods(likelihoods: Sequence[Likelihood]) -> dict[str, Any]:
    chosen, *others = map(_show_likelihood, likelihoods)
    return {**chosen, "top_logprobs": others}


def _show_likelihood(likelihood: Likelihood) -> dict[str, Any]:
    spelling = likelihood.spelling
    return {"token": spelling.decode(errors="replace"), "bytes": [*spelling], "logprob": likelihood.logprob}


def show_progress(event: Event) -> dict[str, Any]:
    timings = {name: getattr(event.timings, name) for name in TIMINGS}
    return {"stage": event.stage, "done": event.done, "total": event.total, "timings": timings}
