"""/v1/chat/completions over HTTP with the official client."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import openai
import pytest
from openai import AsyncOpenAI
from PIL import Image, ImageDraw

from dsvl2_app.api import chat
from dsvl2_app.api.failures import UNEXPECTED
from dsvl2_app.backend.packing import pack
from dsvl2_app.errors import BusyError, ContextError, EngineDeadError, ImageError, PromptError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.grounding import ALLOWED
from tests.conftest import DEVICE
from tests.waiting import PATIENCE, begin, run_loop, wait_until

HI: list[Any] = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def triangle() -> Image.Image:
    image = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(image).polygon([(60, 160), (150, 40), (240, 160)], fill="black")
    return image


def show(*addresses: str, text: str = "What do you see?") -> list[Any]:
    pictures = [{"type": "image_url", "image_url": {"url": address, "detail": "auto"}} for address in addresses]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": text}]}]


def ask(served, messages: list[Any] = HI, **options: Any) -> Any:
    return served.client().chat.completions.create(
        **{"model": served.backend.card.name, "messages": messages, "temperature": 0, "max_tokens": 24} | options
    )


def write(served, messages: list[Any], **sampling: Any) -> str:
    """What the backend itself says."""
    wanted = Request(messages, Sampling(**{"max_new_tokens": 24} | sampling), allow=ALLOWED)
    return "".join(event.text for event in served.backend.submit(wanted))


@pytest.mark.slow
def test_an_answer_is_the_backends(trained, triangle, as_address) -> None:
    answer = ask(trained, show(as_address(triangle)))
    question = [{"type": "image", "image": triangle}, {"type": "text", "text": "What do you see?"}]
    expected = write(trained, [{"role": "user", "content": question}])
    (choice,) = answer.choices
    assert choice.message.content == expected and "triangle" in expected
    assert (choice.message.role, choice.finish_reason, choice.logprobs) == ("assistant", "stop", None)
    assert answer.object == "chat.completion" and answer.model == "nano" and abs(answer.created - time.time()) < 60
    plan = trained.backend.plan([{"role": "user", "content": question}])
    assert answer.usage.prompt_tokens == plan.tokens
    assert answer.usage.total_tokens == plan.tokens + answer.usage.completion_tokens


@pytest.mark.slow
def test_chunks_join_to_the_same_answer(trained, triangle, as_address) -> None:
    messages = show(as_address(triangle))
    whole = ask(trained, messages)
    chunks = list(ask(trained, messages, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    assert "".join(deltas) == whole.choices[0].message.content and len([d for d in deltas if d]) > 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-2:] == [None, "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all("usage" not in chunk.to_dict() for chunk in ask(trained, messages, stream=True))


@pytest.mark.slow
def test_an_async_client_may_ask_many_at_once(trained) -> None:
    async def gather() -> list[str]:
        async with AsyncOpenAI(base_url=f"{trained.url}v1", api_key="any", max_retries=0) as client:

            async def one(number: int) -> str:
                stream = await client.chat.completions.create(
                    model="nano", messages=HI, temperature=0, max_tokens=12, stream=True, user=f"user {number}"
                )
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*map(one, range(12)))

    assert set(run_loop(gather())) == {write(trained, HI, max_new_tokens=12)}


@pytest.mark.slow
def test_messages_reach_the_backend_as_they_were_meant(scripted, triangle, as_address) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        *show(as_address(triangle), as_address(triangle.rotate(90, expand=True)), text="Is <image> in the other?"),
        {"role": "assistant", "content": "Yes.", "refusal": None, "tool_calls": None},
        {"role": "user", "content": [{"type": "text", "text": "Sure?"}], "name": "Ann"},
    ]
    answer = ask(
        scripted,
        messages,
        temperature=0.5,
        top_p=0.7,
        seed=3,
        max_tokens=None,
        max_completion_tokens=99,
        extra_body={"repetition_penalty": 1.1, "min_tokens": 4, "tiling": False, "max_tiles": 2, "grammar": "boxes"}
        | {"stop_repetition": True},
        user="Ann",
    )
    assert answer.choices[0].message.content == "Hello."
    (request,) = scripted.backend.requests
    system, shown, reply, last = request.messages
    assert (system["role"], system["content"]) == ("system", "Be brief.")
    kinds = [part["type"] for part in shown["content"]]
    assert kinds == ["image", "image", "text"] and shown["content"][2]["text"] == "Is <image> in the other?"
    assert [part["image"].size for part in shown["content"][:2]] == [(300, 200), (200, 300)]
    assert shown["content"][0]["image"].open().tobytes() == triangle.tobytes()
    assert (reply["role"], last["content"]) == ("assistant", "Sure?")
    assert request.sampling == Sampling(
        0.5, 0.7, 1.1, max_new_tokens=99, min_new_tokens=4, seed=3, stop_repetition=True
    )
    assert (request.tiling, request.max_tiles, request.grammar, request.allow) == (False, 2, True, ALLOWED)
    assert request.owner == "api 127.0.0.1 Ann" and request.alternatives is None


@pytest.mark.slow
def test_what_is_left_out_is_as_on_the_page(scripted) -> None:
    scripted.client().chat.completions.create(model="script", messages=HI)
    (request,) = scripted.backend.requests
    assert request.sampling == Sampling(0.2, 0.9, max_new_tokens=4096)
    assert (request.tiling, request.max_tiles, request.grammar) == (None, None, False)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stop", "expected", "reason"),
    [("three", "one two ", "stop"), (["no", "e t"], "on", "stop"), ("thru", "one two three", "stop")],
)
def test_stop_strings_end_an_answer_wherever_they_are_cut(scripted, stop, expected, reason, stream) -> None:
    """The script writes seven letters at a time."""
    scripted.backend.say = "one two three"
    answer = ask(scripted, stop=stop, stream=stream)
    if stream:
        chunks = list(answer)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason == reason
    else:
        said = answer.choices[0].message.content
        assert answer.choices[0].finish_reason == reason
    assert said == expected


def test_an_answer_that_repeats_itself_ends_where_that_is_wanted(scripted) -> None:
    scripted.backend.say, scripted.backend.endless, scripted.backend.pause = "again. ", True, 0
    (choice,) = ask(scripted, extra_body={"stop_repetition": True}).choices
    assert (choice.finish_reason, choice.message.content) == ("repetition", "again. " * 74)
    assert scripted.backend.closed.wait(PATIENCE)


def test_a_stop_string_ends_the_work(scripted) -> None:
    scripted.backend.say, scripted.backend.endless = "again ", True
    assert ask(scripted, stop="ain again a").choices[0].message.content == "ag"
    assert scripted.backend.closed.wait(PATIENCE)


@pytest.mark.slow
def test_likelihoods(trained) -> None:
    answer = ask(trained, logprobs=True, top_logprobs=3, max_tokens=8)
    (choice,) = answer.choices
    content = choice.logprobs.content
    assert len(content) == answer.usage.completion_tokens
    assert b"".join(bytes(each.bytes) for each in content).decode() == choice.message.content
    for each in content:
        assert len(each.top_logprobs) == 3
        assert each.logprob == each.top_logprobs[0].logprob  # greedy
        assert sum(math.exp(other.logprob) for other in each.top_logprobs) <= 1 + 1e-6
    chunks = ask(trained, logprobs=True, top_logprobs=3, max_tokens=8, stream=True)
    streamed = [each for chunk in chunks if chunk.choices[0].logprobs for each in chunk.choices[0].logprobs.content]
    assert [(each.token, each.bytes) for each in streamed] == [(each.token, each.bytes) for each in content]
    assert [each.logprob for each in streamed] == pytest.approx([each.logprob for each in content], abs=1e-4)
    assert ask(trained, logprobs=True, max_tokens=2).choices[0].logprobs.content[0].top_logprobs == []


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_several_answers(trained, stream) -> None:
    options = {"n": 3, "temperature": 2, "top_p": 1, "seed": 5, "max_tokens": 40, "extra_body": {"min_tokens": 40}}
    sampling = {"temperature": 2, "max_new_tokens": 40, "min_new_tokens": 40}
    expected = [write(trained, HI, seed=5 + number, **sampling) for number in range(3)]
    answer = ask(trained, stream=stream, **options)
    if stream:
        said = ["", "", ""]
        for chunk in answer:
            said[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    else:
        said = [choice.message.content for choice in answer.choices]
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        plan = trained.backend.plan(HI)
        assert answer.usage.prompt_tokens == plan.tokens and answer.usage.completion_tokens == 120
    assert len(set(said)) > 1
    if DEVICE.type == "cpu":  # a GPU rounds three at once in another way than one, and draws may show it
        assert said == expected


@pytest.mark.slow
def test_the_seed_repeats_an_answer(trained) -> None:
    options = {"temperature": 2, "top_p": 1, "max_tokens": 40, "extra_body": {"min_tokens": 40}}
    texts = [ask(trained, seed=seed, **options).choices[0].message.content for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.slow
def test_a_follow_up_question_finds_what_was_read_before(trained) -> None:
    first = ask(trained, [{"role": "user", "content": "How are you?"}], user="Ben")
    messages = [
        {"role": "user", "content": "How are you?"},
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "And now?"},
    ]
    known = ask(trained, messages, user="Ben").usage
    assert known.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens
    assert ask(trained, messages, user="Eve").usage.prompt_tokens_details.cached_tokens == 0  # who learns nothing


@pytest.mark.slow
def test_boxes_are_well_formed_where_they_are_wanted(trained, triangle, as_address) -> None:
    messages = show(as_address(triangle), text="\n<|ref|>The black triangle<|/ref|>.")
    text = ask(trained, messages, max_tokens=64, extra_body={"grammar": "boxes"}).choices[0].message.content
    assert text.startswith("<|ref|>") and text.endswith("<|/det|>")
    boxes = json.loads(text.partition("<|det|>")[2].removesuffix("<|/det|>"))
    assert all(0 <= number <= 999 for box in boxes for number in box)


@pytest.mark.slow
def test_pictures_are_fetched_from_domains_that_are_named_alone(trained, scripted, triangle, tmp_path) -> None:
    triangle.save(tmp_path / "one.png")
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=tmp_path)) as files:
        Thread(target=files.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{files.server_address[1]}/one.png"
        assert "triangle" in ask(trained, show(address)).choices[0].message.content
        with pytest.raises(openai.BadRequestError, match=r"not fetched from 127\.0\.0\.1"):
            ask(scripted, show(address))
        with pytest.raises(openai.BadRequestError, match="not fetched from localhost"):
            ask(trained, show(address.replace("127.0.0.1", "localhost")))
        files.shutdown()


WRONG_PICTURES = {
    "data:image/png;base64,iVBORw0KGgo=": "damaged or incomplete",
    "data:image/png;base64,***": "no whole base64",
    "file:///etc/passwd": "is no address",
    "/etc/passwd": "is no address",
}


@pytest.mark.parametrize("address", WRONG_PICTURES)
def test_what_is_no_picture_is_refused(scripted, address) -> None:
    with pytest.raises(openai.BadRequestError, match=WRONG_PICTURES[address]) as refusal:
        ask(scripted, show(address))
    assert refusal.value.param == "messages" and scripted.backend.requests == []


def test_the_pages_limits_of_pictures_hold(scripted, as_address) -> None:
    large = as_address(Image.new("1", (9000, 9000)))
    with pytest.raises(openai.BadRequestError, match="the limit is 80 megapixels"):
        ask(scripted, show(large))
    with pytest.raises(openai.BadRequestError, match="hold; remove some") as refusal:
        ask(scripted, show(*["data:image/png;base64,"] * 10))
    assert refusal.value.code == "context_length_exceeded"


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"extra_body": {"best_of": 2}}, "Unknown parameter: 'best_of'", "best_of"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not supported", "tools"),
    ({"frequency_penalty": 0.5}, "frequency_penalty is not supported", "frequency_penalty"),
    ({"logit_bias": {"5": 1}}, "logit_bias is not supported", "logit_bias"),
    ({"response_format": {"type": "json_object"}}, "'json_object' is not supported", "response_format"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        "'json_schema' is not supported",
        "response_format",
    ),
    ({"temperature": 3}, "temperature is 3", "temperature"),
    ({"temperature": "hot"}, "temperature is 'hot'", "temperature"),
    ({"max_tokens": 0}, "max_tokens is 0", "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "differs from max_tokens", "max_completion_tokens"),
    ({"n": 5}, "n is 5", "n"),
    ({"stop": ["a", ""]}, "stop holds an empty string", "stop"),
    ({"stop": list("abcde")}, "more than 4", "stop"),
    ({"stop": [5]}, r"stop is \[5\]", "stop"),
    ({"top_logprobs": 2}, "needs logprobs", "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs is 21", "top_logprobs"),
    ({"stream_options": {"include_usage": True}}, "needs stream", "stream_options"),
    ({"seed": -1}, "seed is -1", None),
    ({"extra_body": {"repetition_penalty": 99}}, "repetition_penalty is 99", None),
    ({"extra_body": {"grammar": "json"}}, "grammar is 'json'", "grammar"),
    ({"messages": []}, "messages is \\[\\]", "messages"),
    ({"messages": [{"role": "tool", "content": "5"}]}, "needs a role", "messages"),
    ({"messages": [*HI, {"role": "assistant", "content": "Yes"}]}, "last message is not a user's", "messages"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "neither text nor an image",
        "messages",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "is no address", "messages"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "said", "param"), REFUSED)
def test_nothing_is_swallowed(scripted, options, said, param) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as refusal:
        ask(scripted, **options)
    error = refusal.value
    assert (error.param, error.type) == (param, "invalid_request_error")
    assert "\n" not in error.body["message"] and scripted.backend.requests == []


def test_parameters_that_change_nothing_are_taken(scripted) -> None:
    ask(
        scripted,
        frequency_penalty=0,
        presence_penalty=0.0,
        logit_bias={},
        tools=[],
        response_format={"type": "text"},
        store=False,
        parallel_tool_calls=True,
        modalities=["text"],
        logprobs=False,
        stop=None,
    )
    assert len(scripted.backend.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (ContextError("Too long; write less."), 400, "context_length_exceeded"),
        (PromptError("Malformed; write another."), 400, None),
        (ImageError("Damaged; send it again."), 400, "invalid_image"),
        (BusyError("Busy; try again."), 429, "rate_limit_exceeded"),
        (EngineDeadError("Dead; start again."), 503, "engine_dead"),
        (ZeroDivisionError("a secret"), 500, None),
    ],
)
def test_failures_have_the_protocols_form(scripted, monkeypatch, failure, status, code, stream) -> None:
    def refuse(request: Request) -> Any:
        raise failure

    monkeypatch.setattr(scripted.backend, "submit", refuse, raising=False)
    with pytest.raises(openai.APIStatusError) as refusal:
        ask(scripted, stream=stream)
    error = refusal.value
    assert (error.status_code, error.code) == (status, code)
    assert error.body["message"] == (UNEXPECTED if status == 500 else str(failure))
    assert error.response.headers.get("retry-after") == ("1" if status == 429 else None)


def test_what_goes_wrong_after_the_first_word_ends_the_stream(scripted) -> None:
    """Its status has been sent by then."""
    scripted.backend.say = BusyError("Busy; try again.")
    with pytest.raises(openai.APIError, match="Busy; try again") as failure:
        list(ask(scripted, stream=True))
    assert failure.value.code == "rate_limit_exceeded"


def test_an_unknown_model_is_named(scripted) -> None:
    with pytest.raises(openai.NotFoundError, match="'gpt' does not exist; this server has 'script'") as refusal:
        ask(scripted, model="gpt")
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")


def test_a_picture_may_come_beside_the_request(scripted, triangle) -> None:
    """As another copy of this app sends it."""
    file = io.BytesIO()
    triangle.save(file, "PNG")
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "attached:0"}}]}

    def send(files: list[bytes], cut: int | None = None) -> tuple[int, dict[str, Any]]:
        text = json.dumps({"model": scripted.backend.card.name, "messages": [message]}).encode()
        kind, body = pack(text, files)
        return post(f"{scripted.url}v1/chat/completions", body[:cut], **{"Content-Type": kind})

    assert send([file.getvalue()])[0] == 200
    (request,) = scripted.backend.requests
    assert request.messages[0]["content"][0]["image"].open().tobytes() == triangle.tobytes()
    for files, cut, sentence in (
        ([], None, "names a file that did not come"),
        ([file.getvalue()], -1, "not as long as its content type says"),
        ([b"no picture"], None, "picture"),
    ):
        status, answer = send(files, cut)
        assert status == 400 and sentence in answer["error"]["message"]


def post(url: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(HttpRequest(url, body, headers), timeout=20) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"Hi"'])
def test_a_body_that_is_no_object_is_refused(scripted, body) -> None:
    status, answer = post(f"{scripted.url}v1/chat/completions", body)
    assert (status, answer["error"]["code"]) == (400, "invalid_json")


def test_a_body_that_is_too_large_is_refused(scripted, monkeypatch) -> None:
    monkeypatch.setattr(chat, "MOST_BYTES", 1000)
    status, answer = post(f"{scripted.url}v1/chat/completions", b" " * 1001)
    assert (status, answer["error"]["code"]) == (413, "request_too_large")


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_answer(scripted, stream) -> None:
    backend = scripted.backend
    backend.say, backend.endless = "again ", True
    client = scripted.client(timeout=0.7)
    with pytest.raises(openai.APITimeoutError if not stream else openai.APIError):
        if stream:
            with client.chat.completions.create(model="script", messages=HI, stream=True) as chunks:
                next(iter(chunks))
            assert backend.closed.wait(PATIENCE)
            raise openai.APIError("left", request=None, body=None)  # type: ignore[arg-type]
        client.chat.completions.create(model="script", messages=HI)
    assert backend.closed.wait(PATIENCE)


@pytest.mark.slow
def test_progress_is_told_to_those_who_ask(scripted) -> None:
    scripted.backend.say, scripted.backend.pause = "one two three", 0.1
    chunks = list(ask(scripted, stream=True, stream_options={"include_progress": True}))
    told = [chunk.dsvl2 for chunk in chunks if hasattr(chunk, "dsvl2")]
    assert told[-1]["stage"] == "done" and {each["stage"] for each in told} > {"decode"}
    assert told[-1]["timings"]["prompt_tokens"] == 900 and told[-1]["timings"]["encoded_tiles"] == 2
    assert not any(hasattr(chunk, "dsvl2") for chunk in ask(scripted, stream=True))


@pytest.mark.slow
def test_an_owner_has_the_pages_limits(trained) -> None:
    """Four running and four waiting; the ninth is refused, another user's is not."""
    client, health = trained.client(), trained.backend.health
    ask_long = partial(
        client.chat.completions.create,
        model="nano",
        messages=HI,
        stream=True,
        max_tokens=4000,
        user="many",
        extra_body={"min_tokens": 4000},
    )
    running = [ask_long() for _ in range(4)]
    waiting = [begin(ask_long) for _ in range(4)]
    wait_until(lambda: health().waiting == 4)
    with pytest.raises(openai.RateLimitError, match="of your requests are already waiting"):
        ask_long()
    assert ask(trained, user="another", max_tokens=2).usage.completion_tokens == 2
    for stream in running:
        stream.close()
    for stream in waiting:
        stream.result(PATIENCE).close()
    wait_until(lambda: health().running == health().waiting == 0)


def test_a_data_address_may_have_line_breaks(scripted, triangle, as_address) -> None:
    head, _, letters = as_address(triangle).partition(",")
    broken = base64.encodebytes(base64.b64decode(letters)).decode()
    ask(scripted, show(f"{head},{broken}"))
    assert scripted.backend.requests[0].messages[0]["content"][0]["image"].size == (300, 200)
