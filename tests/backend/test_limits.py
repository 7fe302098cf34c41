"""What a request may hold, and how many one network address has at once."""

from __future__ import annotations

import pytest
from PIL import Image

from dsvl2_app.backend.guarded import GuardedBackend
from dsvl2_app.backend.limits import Addresses, RequestLimits, is_own
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.errors import BusyError, ContextError, PromptError
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Request, Sampling


def ask(*pictures: int, **sampling: int) -> Request:
    """A conversation with so many pictures in each question."""
    picture = {"type": "image", "image": ImageRef.of(Image.new("RGB", (8, 8)))}
    turns = [[picture] * number + [{"type": "text", "text": "Well?"}] for number in pictures]
    return Request([{"role": "user", "content": turn} for turn in turns], Sampling(**sampling))


def apply(limits: RequestLimits, request: Request) -> Request:
    return limits.apply(request, ScriptedBackend().plan)


def test_without_limits_a_request_stays_as_it_is() -> None:
    request = ask(9, 9, max_new_tokens=100_000)
    assert apply(RequestLimits(), request) is request


def test_pictures_are_counted_in_the_question_and_in_all() -> None:
    limits = RequestLimits(question_pictures=2, pictures=3)
    for allowed in (ask(1, 2), ask(3, 0), ask(0)):
        assert apply(limits, allowed) is allowed
    with pytest.raises(PromptError, match="The question has 3 pictures, and this server takes 2 in a question"):
        apply(limits, ask(0, 3))
    with pytest.raises(PromptError, match="The conversation has 4 pictures, and this server takes 3 in all"):
        apply(limits, ask(2, 2))


def test_tokens_are_those_that_the_backend_plans() -> None:
    tokens = ScriptedBackend().plan(ask(1).messages).tokens
    assert apply(RequestLimits(prompt_tokens=tokens), ask(1))
    with pytest.raises(ContextError, match=rf"has {tokens:,} tokens, and this server takes {tokens - 1:,}; shorten"):
        apply(RequestLimits(prompt_tokens=tokens - 1), ask(1))


def test_an_answer_ends_at_the_limit_of_new_tokens() -> None:
    sampling = apply(RequestLimits(new_tokens=40), ask(0, max_new_tokens=90, min_new_tokens=60, seed=5)).sampling
    assert sampling == Sampling(max_new_tokens=40, min_new_tokens=40, seed=5)
    assert apply(RequestLimits(new_tokens=40), ask(0, max_new_tokens=40)).sampling.max_new_tokens == 40


def test_an_address_gets_back_what_it_had() -> None:
    addresses = Addresses(2)
    give_back = [addresses.take("203.0.113.7") for _ in range(2)]
    with pytest.raises(BusyError, match=r"^2 requests from your network address are running or waiting"):
        addresses.take("203.0.113.7")
    addresses.take("203.0.113.8")
    give_back[0]()
    addresses.take("203.0.113.7")
    for own in ("127.0.0.1", "::1", ""):
        assert is_own(own) and all(addresses.take(own) for _ in range(9))
    assert not any(map(is_own, ("10.0.0.1", "testclient", "2001:db8::1")))


def test_what_is_refused_takes_nobodys_place() -> None:
    backend = GuardedBackend(ScriptedBackend(endless=True), 2, 2, RequestLimits(pictures=1))
    request = Request([{"role": "user", "content": "Hi"}], owner="a", address="203.0.113.7")
    streams = [backend.submit(request) for _ in range(2)]
    for _ in range(3):
        with pytest.raises(BusyError, match="network address"):
            backend.submit(request)
    for stream in streams:
        stream.cancel()
    assert backend.finish(20)
