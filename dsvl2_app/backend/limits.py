"""What one request may hold, and how many one network address may have at once: the limits of whoever runs the app, in
front of those of the model. The page, its API, MCP and /v1 all ask through `guarded`, which applies them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from dsvl2_app.errors import BusyError, ContextError, PromptError
from dsvl2_app.request import PromptPlan, Request
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import count_pictures


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """0 stands for as many as the model takes."""

    question_pictures: int = 0
    pictures: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0

    @classmethod
    def of(cls, settings: Settings) -> RequestLimits:
        return cls(
            settings.max_question_pictures, settings.max_pictures, settings.max_prompt_tokens, settings.max_new_tokens
        )

    def apply(self, request: Request, plan: Callable[..., PromptPlan]) -> Request:
        """The request, whose answer ends at the limit of new tokens. Raises PromptError or ContextError, which tell the
        limit; `plan` is the backend's, and is asked where tokens are limited."""
        numbers = [*map(count_pictures, request.messages)]
        if self.question_pictures and numbers and numbers[-1] > self.question_pictures:
            raise PromptError(
                "The question has {number} pictures, and this server takes {most} in a question; remove some.",
                number=numbers[-1],
                most=self.question_pictures,
            )
        if self.pictures and sum(numbers) > self.pictures:
            raise PromptError(
                "The conversation has {number} pictures, and this server takes {most} in all; begin another one.",
                number=sum(numbers),
                most=self.pictures,
            )
        if self.prompt_tokens:
            tokens = plan(request.messages, request.tiling, request.max_tiles).tokens
            if tokens > self.prompt_tokens:
                raise ContextError(
                    "The conversation has {tokens:,} tokens, and this server takes {most:,}; shorten it, remove "
                    "pictures, or begin another one.",
                    tokens=tokens,
                    most=self.prompt_tokens,
                )
        if not self.new_tokens or request.sampling.max_new_tokens <= self.new_tokens:
            return request
        least = min(request.sampling.min_new_tokens, self.new_tokens)
        sampling = replace(request.sampling, max_new_tokens=self.new_tokens, min_new_tokens=least)
        return replace(request, sampling=sampling)


class Addresses:
    """How many requests each network address has that run or wait."""

    def __init__(self, most: int) -> None:
        """Up to `most`; 0: any number. This machine's own addresses, and no address, are not counted: behind them are
        all visitors of a proxy that does not tell who they are."""
        self._most = most
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, address: str) -> Callable[[], None]:
        """One more. Returns what gives it back. Raises BusyError where that would be too many."""
        if not self._most or is_own(address):
            return lambda: None
        with self._lock:
            if self._taken[address] >= self._most:
                raise refuse_address(self._most)
            self._taken[address] += 1
        return lambda: self._give_back(address)

    def _give_back(self, address: str) -> None:
        with self._lock:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]


def refuse_address(most: int) -> BusyError:
    return BusyError(
        "{number} requests from your network address are running or waiting, the most that this server takes; "
        "let one of them end first.",
        number=most,
    )


def is_own(address: str) -> bool:
    """Whether it is this machine's, or none."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return not address
