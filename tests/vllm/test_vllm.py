"""A real vLLM behind our backend."""

from __future__ import annotations

import json
import time
from threading import Timer
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.backend import servers
from dsvl2_app.backend.remote import RemoteBackend
from dsvl2_app.backend.wire import write_body, write_message
from dsvl2_app.errors import AppError, PromptError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.grammar import CLOSING, OPENING, BoxGrammar
from dsvl2_app.text.grounding import ALLOWED
from tests.vllm.conftest import MOST_PICTURES, Server

ANSWERS = 16


def picture(width: int, height: int) -> dict[str, Any]:
    return {"type": "image", "image": Image.effect_noise((width, height), 60).convert("RGB")}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "text": [{"role": "user", "content": "Hello, who are you?"}],
    "one picture": [{"role": "user", "content": [picture(500, 300), text("\nWhat is in it?")]}],
    "two pictures": [{"role": "user", "content": [text("Is "), picture(400, 400), text(" in "), picture(300, 700)]}],
    "three pictures": [{"role": "user", "content": [picture(90, 50), picture(50, 90), picture(70, 70), text("So?")]}],
    "history": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [picture(300, 200), text("\n<|ref|>The dog<|/ref|>.")]},
        {"role": "assistant", "content": "<|ref|>The dog<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"},
        {"role": "user", "content": "And the cat?"},
    ],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompt_ids_are_ours(server: Server, name: str) -> None:
    messages = CONVERSATIONS[name]
    body = {"model": "vl2", "max_tokens": 1, "temperature": 0, "return_token_ids": True}
    body["messages"] = [write_message(message, servers.Server("http://elsewhere/v1")) for message in messages]
    answer = server.post(body)
    assert answer.is_success, answer.text
    assert answer.json()["prompt_token_ids"] == server.processor.build(messages).input_ids


def test_it_streams_and_counts(backend: RemoteBackend) -> None:
    messages = CONVERSATIONS["one picture"]
    events = list(backend.submit(Request(messages, Sampling(max_new_tokens=16, min_new_tokens=16))))
    last = events[-1]
    assert last.finish == "length" and last.timings.new_tokens == 16
    assert last.timings.prompt_tokens == backend.plan(messages).tokens
    assert last.timings.waited > 0 and last.timings.cache_bytes == 0
    assert backend.card.name == "vl2" and backend.card.context == 4096
    assert not backend.capabilities.inspection


def test_greedy_answers_are_the_same_twice(backend: RemoteBackend) -> None:
    request = Request(CONVERSATIONS["history"], Sampling(max_new_tokens=8), allow=ALLOWED)
    assert len({"".join(event.text for event in backend.submit(request)) for _ in range(2)}) == 1


def ask_for_boxes(server: Server, backend: RemoteBackend, grammar: bool) -> list[str]:
    """Answers of at most 80 tokens, drawn at random, by random weights that are biased to mark things."""
    answers = []
    bias = {str(server.processor.tokenizer.convert_tokens_to_ids(OPENING)): 10}
    for seed in range(ANSWERS):
        sampling = Sampling(1.0, seed=seed, max_new_tokens=80)
        request = Request(CONVERSATIONS["history"], sampling, ALLOWED, grammar=grammar)
        body = json.loads(write_body(request, backend.servers.known, "vl2")[1]) | {"logit_bias": bias, "stream": False}
        del body["stream_options"]
        answers.append(server.post(body).json()["choices"][0]["message"]["content"])
    return answers


def is_well_formed(grammar: BoxGrammar, ids: list[int]) -> bool:
    """As far as it goes: the last list may be cut off where the answer is."""
    state = grammar.start()
    for token in ids:
        allowed = state.allowed()
        if allowed is not None and token not in allowed:
            return False
        state.advance(token)
    return True


def without_cut_tag(answer: str) -> str:
    """A closing tag may be written in letters, and be cut off among them."""
    cut = next((size for size in range(len(CLOSING) - 1, 0, -1) if answer.endswith(CLOSING[:size])), 0)
    return answer[: len(answer) - cut]


def test_boxes_are_well_formed_by_grammar_alone(server: Server, backend: RemoteBackend) -> None:
    assert backend.capabilities.grammar
    tokenizer = server.processor.tokenizer
    grammar = BoxGrammar(tokenizer)
    counts = {}
    for kept in (True, False):
        answers = ask_for_boxes(server, backend, grammar=kept)
        marked = [answer for answer in answers if OPENING in answer]
        ids = [tokenizer.encode(without_cut_tag(answer), add_special_tokens=False) for answer in marked]
        wrong = [answer for answer, tokens in zip(marked, ids, strict=True) if not is_well_formed(grammar, tokens)]
        good = len(marked) - len(wrong)
        print("not well-formed:", wrong[:2])
        counts[kept] = len(marked), good, sum(len(parse_boxes(answer).boxes) for answer in marked)
    print(f"of {ANSWERS} answers: with boxes, well-formed, boxes in all:", counts)
    with_boxes, well_formed, boxes = counts[True]
    assert with_boxes == well_formed > ANSWERS // 2 and boxes > with_boxes // 2
    with_boxes, well_formed, _ = counts[False]
    assert with_boxes > ANSWERS // 2 and well_formed < with_boxes // 2


def test_it_can_be_stopped(backend: RemoteBackend) -> None:
    stream = backend.submit(Request(CONVERSATIONS["text"], Sampling(max_new_tokens=4000, min_new_tokens=4000)))
    Timer(1.0, stream.cancel).start()  # random weights may write what has no text
    *_, event = stream
    assert event.finish == "cancelled"
    *_, last = backend.submit(Request(CONVERSATIONS["text"], Sampling(max_new_tokens=2)))
    assert last.finish in ("length", "eos")


def test_what_it_refuses_is_said_in_its_words(backend: RemoteBackend) -> None:
    with pytest.raises(AppError, match="server says"):
        list(backend.submit(Request([{"role": "user", "content": "word " * 5000}], Sampling(max_new_tokens=2))))


def test_more_pictures_than_it_takes_are_refused_in_its_words(backend: RemoteBackend) -> None:
    parts = [*[picture(40, 40)] * (MOST_PICTURES + 1), text("\nSo?")]
    with pytest.raises(PromptError, match=rf"server says: .*{MOST_PICTURES}.*image"):
        list(backend.submit(Request([{"role": "user", "content": parts}], Sampling(max_new_tokens=2))))


def test_our_count_is_its_count(backend: RemoteBackend, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("text", "two pictures"):
        list(backend.submit(Request(CONVERSATIONS[name], Sampling(max_new_tokens=2))))
    while backend.health().running:
        time.sleep(0.1)
    assert backend.servers.known.compared == {False, True} and "tokens in a prompt" not in caplog.text
