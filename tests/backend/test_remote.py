"""Servers elsewhere as a backend: what is sent, what comes back, and whatever can go wrong with them."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsvl2_app.api.routes import describe_model
from dsvl2_app.backend import load, servers
from dsvl2_app.backend.guided import WAYS
from dsvl2_app.backend.mismatch import NOTICE
from dsvl2_app.backend.packing import pack, unpack
from dsvl2_app.backend.remote import RemoteBackend
from dsvl2_app.backend.scripted import CARD, ScriptedBackend
from dsvl2_app.backend.servers import Server
from dsvl2_app.backend.wire import write_picture
from dsvl2_app.bundled import NANO
from dsvl2_app.errors import AppError, BusyError, PromptError, ServerError, SettingsError
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.source import refer_to
from dsvl2_app.request import Event, InspectionCost, Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.text.repetition import WIDEST
from dsvl2_app.ui.unread import is_unread
from tests.backend.fake import WHOLE, Fake, chunk
from tests.waiting import wait_until

HI: list[Any] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def processor() -> DeepseekVL2Processor:
    return DeepseekVL2Processor.from_pretrained(NANO)


@pytest.fixture
def remote(processor: DeepseekVL2Processor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RemoteBackend]]:
    """Makes backends, which look at their servers often."""
    monkeypatch.setattr(servers, "CHECK_EVERY", 0.05)
    made: list[RemoteBackend] = []

    def make(*urls: str, key: str = "", model: str = "", patience: float = 20.0, source: str = "") -> RemoteBackend:
        made.append(RemoteBackend(urls, processor, key, model, patience, source))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@contextmanager
def nobody() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def read(backend: RemoteBackend, **options: Any) -> list[Event]:
    return list(backend.submit(Request(HI, **options)))


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events)


def test_an_answer_is_what_the_server_says(fake, remote) -> None:
    backend = remote(fake.url, key="a key")
    events = read(backend, sampling=Sampling(0.5, 0.9, 1.1, max_new_tokens=9, min_new_tokens=2, seed=4))
    assert said(events) == "one two" and events[-1].finish == "eos"
    assert (events[-1].timings.prompt_tokens, events[-1].timings.new_tokens) == (7, 2)
    assert events[-1].timings.waited > 0 and events[-1].timings.prefill == 0  # which nobody told
    (body,) = fake.bodies
    assert fake.keys == ["Bearer a key"]
    assert body["model"] == "org/vl2" and body["messages"] == HI and body["stream"]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["seed"]) == (0.5, 0.9, 9, 4)
    assert (body["repetition_penalty"], body["min_tokens"], body["skip_special_tokens"]) == (1.1, 2, False)
    assert "user" not in body and "grammar" not in body
    assert (backend.card.name, backend.card.context) == ("org/vl2", 2048)


def test_a_server_is_left_once_its_answer_repeats_itself_where_that_is_wanted(fake, remote) -> None:
    fake.says[:] = [chunk("one "), *[chunk("a")] * (WIDEST + 9), "wait", *WHOLE]
    events = read(remote(fake.url), sampling=Sampling(stop_repetition=True))
    fake.go_on.set()
    assert (said(events), events[-1].finish) == ("one " + "a" * WIDEST, "repetition")
    assert said(read(remote(fake.url))) == "one " + "a" * (WIDEST + 9) + "one two"
    fake.says[:] = [chunk("one", finish="repetition"), "[DONE]"]  # a server's own
    assert read(remote(fake.url))[-1].finish == "repetition"


def test_pictures_are_sent_to_the_pixel(fake, remote) -> None:
    picture = Image.effect_noise((40, 30), 90).convert("RGB")
    parts = [{"type": "image", "image": picture}, {"type": "text", "text": "What?"}]
    list(remote(fake.url).submit(Request([{"role": "user", "content": parts}])))
    sent, text = fake.bodies[0]["messages"][0]["content"]
    assert refer_to(sent["image_url"]["url"]).open().tobytes() == picture.tobytes() and text == parts[1]


@pytest.mark.parametrize("near", [False, True])
def test_packed_or_not_a_picture_keeps_its_pixels(near) -> None:
    picture = Image.effect_noise((41, 30), 90).convert("RGB")
    server = Server("http://localhost:1/v1" if near else "http://elsewhere/v1")
    address = write_picture(ImageRef.of(picture), server)
    assert refer_to(address).open().tobytes() == picture.tobytes()
    assert address.startswith("data:image/bmp" if near else "data:image/png")


def test_another_copy_of_this_app_gets_the_file_as_it_is(decodes, tmp_path) -> None:
    ours = Server("http://elsewhere/v1", model={"owned_by": "dsvl2"})
    frames = [Image.new("RGB", (41, 30), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "scan.tif", save_all=True, append_images=frames[1:])
    first, second = (ImageRef.of(tmp_path / "scan.tif", frame=number) for number in (0, 1))
    assert refer_to(write_picture(first, ours)) == first and decodes == []
    assert refer_to(write_picture(first, Server("http://elsewhere/v1"))) != first
    for ref in (second, second.opened(), ImageRef.of(frames[1])):
        assert refer_to(write_picture(ref, ours)).open().tobytes() == frames[1].tobytes()


def test_the_meter_needs_no_server(remote, processor) -> None:
    parts = [{"type": "image", "image": Image.new("RGB", (400, 200))}, {"type": "text", "text": "What?"}]
    with nobody() as port:
        backend = remote(f"http://127.0.0.1:{port}/v1")
        plan = backend.plan([{"role": "user", "content": parts}])
    assert plan.tokens == len(processor.build([{"role": "user", "content": parts}]).input_ids)
    assert len(plan.layouts) == 1 and plan.context == 4096


def test_cancelling_closes_the_connection(fake, remote) -> None:
    fake.says = [chunk("one "), "wait", *[chunk("more ")] * 500]
    stream = remote(fake.url).submit(Request(HI))
    for event in stream:
        if event.text:
            stream.cancel()
    assert event.finish == "cancelled"
    time.sleep(0.2)
    fake.go_on.set()
    assert fake.left.wait(20)


def test_what_it_cannot_do_is_refused_by_name(fake, remote) -> None:
    backend = remote(fake.url)
    assert not backend.capabilities.grammar and not backend.capabilities.inspection
    for wanted, sentence in (
        ({"grammar": True}, "cannot keep boxes well-formed"),
        ({"tiling": False}, "official rule alone"),
        ({"max_tiles": 2}, "official rule alone"),
        ({"alternatives": 2}, "how likely"),
        ({"answer_prefix": (7,)}, "go on from given tokens"),
    ):
        with pytest.raises(PromptError, match=sentence):
            read(backend, **wanted)
    with pytest.raises(PromptError, match="cannot be looked into"):
        backend.inspect(Request(HI), [1])
    with pytest.raises(PromptError, match=r"holds <\|User\|>"):
        backend.submit(Request([{"role": "user", "content": "Say <|User|>"}]))
    assert said(read(backend, max_tiles=9)) == "one two"  # as many as there are


@pytest.mark.parametrize("way", WAYS, ids=lambda way: next(iter(way)))
def test_a_server_that_decodes_by_patterns_keeps_boxes_well_formed(fake, remote, way) -> None:
    fake.heeds = way
    backend = remote(fake.url)
    assert backend.capabilities.grammar
    read(backend, grammar=True)
    read(backend)
    guided, free = fake.bodies
    assert way.items() <= guided.items() and not way.items() <= free.items()
    assert not guided["skip_special_tokens"]
    wait_until(lambda: fake.looks > 5)
    assert len(fake.asked_for_patterns) == WAYS.index(way) + 1  # once


@pytest.mark.parametrize("refuses", [False, True])
def test_a_server_without_patterns_is_not_sent_any(fake, remote, refuses) -> None:
    fake.refuses_patterns = refuses
    backend = remote(fake.url)
    assert len(fake.asked_for_patterns) == len(WAYS) and not backend.capabilities.grammar
    assert {(body["max_tokens"], body["model"]) for body in fake.asked_for_patterns} == {(3, "org/vl2")}
    assert said(read(backend)) == "one two"
    (body,) = fake.bodies
    assert not any(way.keys() & body.keys() for way in WAYS)


@pytest.mark.slow
def test_a_server_that_is_back_is_asked_for_patterns_again(remote) -> None:
    first = Fake()
    backend = remote(first.url)
    first.close()
    wait_until(lambda: not backend.health().alive)
    assert not backend.capabilities.grammar
    second = Fake(first.port)
    try:
        second.heeds = WAYS[2]
        wait_until(lambda: backend.capabilities.grammar)
    finally:
        second.close()


def test_boxes_are_well_formed_where_all_servers_keep_them(fake, remote) -> None:
    other = Fake()
    try:
        other.heeds = WAYS[0]
        assert not remote(fake.url, other.url).capabilities.grammar
        fake.heeds = WAYS[1]
        assert remote(fake.url, other.url).capabilities.grammar
    finally:
        other.close()


def test_vllm_is_told_pictures_apart_that_it_cuts_otherwise(fake, remote) -> None:
    """With more than two in a conversation it tiles none of them; see `_tell_apart`."""
    pictures = [ImageRef.of(Image.new("RGB", (40, 30), colour)) for colour in ("red", "green", "blue")]
    backend, names = remote(fake.url), []
    for count in (1, 2, 3):
        parts = [{"type": "image", "image": picture} for picture in pictures[:count]]
        list(backend.submit(Request([{"role": "user", "content": parts}], tiling=count < 3)))
        names.append([part["uuid"] for part in fake.bodies[-1]["messages"][0]["content"]])
    assert names[0] == names[1][:1] and len({*names[1], *names[2]}) == 5
    with pytest.raises(PromptError, match="official rule alone"):
        list(backend.submit(Request([{"role": "user", "content": parts}], tiling=True)))


def test_another_copy_of_this_app_gets_pictures_beside_the_request(fake, remote) -> None:
    files = [io.BytesIO(), io.BytesIO()]
    for file, colour in zip(files, ("red", "blue"), strict=True):
        Image.new("RGB", (40, 30), colour).save(file, "JPEG")
    first, second = (ImageRef.of(file.getvalue()) for file in files)
    held = Image.effect_noise((9, 9), 50).convert("RGB")
    parts = [{"type": "image", "image": picture} for picture in (first, second, held, first)]
    fake.owner, fake.model = "dsvl2", {"dsvl2": {"takes_files": True}}
    list(remote(fake.url).submit(Request([{"role": "user", "content": parts}])))
    (body,) = fake.bodies
    names = [part["image_url"]["url"] for part in body["messages"][0]["content"]]
    assert names == [f"attached:{number}" for number in range(4)]
    assert [refer_to(data) for data in (*fake.files[:2], fake.files[3])] == [first, second, first]
    assert refer_to(fake.files[2]).open().tobytes() == held.tobytes()


@given(text=st.binary(), files=st.lists(st.binary(), max_size=4))
def test_what_is_packed_is_unpacked(text: bytes, files: list[bytes]) -> None:
    kind, body = pack(text, files)
    assert unpack(kind, body) == (text, files)
    with pytest.raises(ValueError, match="bytes are not the"):
        unpack(kind, body + b"x")
    assert unpack("application/json", body) == (body, [])


@pytest.mark.parametrize(
    ("source", "owner", "model", "differs"),
    [
        ("deepseek-ai/deepseek-vl2-tiny", "vllm", {"root": "/models/DeepSeek-VL2-small/"}, "serves deepseek-ai/deep"),
        ("deepseek-ai/deepseek-vl2", "vllm", {"root": "deepseek-ai/deepseek-vl2"}, ""),
        ("deepseek-ai/deepseek-vl2", "vllm", {"root": "/models/mine"}, ""),  # nobody knows
        ("nano", "vllm", {}, "only this app serves nano"),
        ("nano", "dsvl2", {"dsvl2": {"geometry": TileGeometry().describe()}}, "other tiles"),
        ("nano", "dsvl2", {"dsvl2": {"card": {"source": "assets/nano"}}}, ""),
        ("deepseek-ai/deepseek-vl2", "dsvl2", {"dsvl2": {"card": {"source": "deepseek-ai/deepseek-vl2-tiny"}}}, "not"),
    ],
)
def test_another_checkpoint_than_the_named_one_is_said_once(
    fake, remote, caplog, source, owner, model, differs
) -> None:
    fake.owner, fake.model = owner, model
    backend = remote(fake.url, source=source)
    wait_until(lambda: fake.looks > 3)
    found = [record.getMessage() for record in caplog.records if "checkpoint that --model names" in record.message]
    assert len(found) == bool(differs) and all(differs in sentence for sentence in found)
    assert backend.card.notice == (NOTICE if differs else "")


@pytest.mark.parametrize("bundled", [True, False])
def test_a_server_says_whether_its_model_is_the_bundled_one(fake, remote, bundled: bool) -> None:
    """By which the page says beside an answer that the question was not read; only another copy of this app knows."""
    told = describe_model(ScriptedBackend(card=replace(CARD, bundled=bundled)), started=0)
    fake.model = jsonable_encoder(told)
    card = remote(fake.url).card
    assert is_unread(card, "图中有什么？") is bundled
    assert card.inspection == InspectionCost()  # nobody can look into it
    fake.model = {**fake.model, "owned_by": "vllm"}
    assert not remote(fake.url).card.bundled


@pytest.mark.parametrize(
    "model",
    [
        {"dsvl2": "mine"},
        {"dsvl2": {"card": ["nano"], "geometry": 7}},
        {"dsvl2": {"card": None}, "max_model_len": "4k", "root": 5},
    ],
)
@pytest.mark.parametrize("owner", ["dsvl2", "vllm", None])
def test_whatever_a_server_says_of_its_model_it_is_looked_at_for_ever(fake, remote, caplog, owner, model) -> None:
    fake.owner, fake.model = owner, model
    backend = remote(fake.url, source="deepseek-ai/deepseek-vl2")
    wait_until(lambda: fake.looks > 3)
    assert backend.health().alive and backend.card.name == "org/vl2" and backend.card.context in (2048, 4096)
    assert said(read(backend)) == "one two" and "could not be looked at" not in caplog.text


def test_tokens_that_a_server_counts_otherwise_are_said_once(fake, remote, caplog, processor) -> None:
    right = len(processor.build(HI).input_ids)
    counts = [right, right + 1, right + 1]
    for count in counts:
        fake.says[3] = {"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": 2}}
        backend = remote(fake.url)
        for _ in range(2):
            read(backend)
        wait_until(lambda backend=backend: backend.health().running == 0)
    told = [record.args[1:] for record in caplog.records if "tokens in a prompt" in record.message]
    assert told == [(right + 1, right)] * 2


@pytest.mark.slow
def test_a_wrong_address_is_one_sentence(remote, fake) -> None:
    with (
        nobody() as port,
        pytest.raises(ServerError, match=rf"No model's server answers at http://127.0.0.1:{port}/v1"),
    ):
        read(remote(f"http://127.0.0.1:{port}/v1"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "reason", "kind", "sentence"),
    [
        (401, "bad key", ServerError, "refuses the API key"),
        (403, "bad key", ServerError, "refuses the API key"),
        (404, "The model `x` does not exist.", ServerError, "has no model org/vl2; name another one"),
        (404, "", ServerError, "status 404; check --api-base"),
        (400, "cannot identify image file", PromptError, "The model's server says: cannot identify image file"),
        (429, "too many", BusyError, "says: too many"),
        (500, "CUDA error\nat x", ServerError, "says: CUDA error at x"),
        (500, "", ServerError, "status 500"),
    ],
)
def test_refusals_are_passed_on_in_words(fake, remote, status, reason, kind, sentence) -> None:
    fake.status, fake.reason = status, reason
    backend = remote(fake.url)
    with pytest.raises(kind, match=sentence) as refusal:
        read(backend)
    assert type(refusal.value) is kind and "\n" not in str(refusal.value) and len(fake.bodies) == 1
    fake.status = 200
    assert said(read(backend)) == "one two"


def test_a_server_that_is_none_is_one_sentence(fake, remote) -> None:
    fake.says = ["<html>"]
    with pytest.raises(ServerError, match="not of the OpenAI protocol"):
        read(remote(fake.url))


@pytest.mark.slow
def test_silence_is_one_sentence(fake, remote) -> None:
    fake.says = ["wait"]
    with pytest.raises(ServerError, match=r"silent for 0\.3 s"):
        read(remote(fake.url, patience=0.3))


@pytest.mark.parametrize("says", [["die"], []])
def test_death_in_the_middle_keeps_what_was_written(fake, remote, says) -> None:
    fake.says = [chunk("one "), *says]
    backend = remote(fake.url)
    stream, text = backend.submit(Request(HI)), ""
    with pytest.raises(ServerError, match="broke, so the answer ends here"):
        for event in stream:
            text += event.text
    assert text == "one " and len(fake.bodies) == 1  # it is not asked anew
    fake.says = list(WHOLE)
    assert said(read(backend)) == "one two"


def test_an_answer_may_hold_what_unicode_calls_the_end_of_a_line(fake, remote) -> None:
    text = "one\u2028two\u2029three\x85four"
    fake.says = [json.dumps(chunk(text), ensure_ascii=False), chunk(finish="stop"), "[DONE]"]  # as vLLM writes it
    assert said(read(remote(fake.url))) == text


def test_an_error_in_the_stream_is_passed_on(fake, remote) -> None:
    fake.says = [chunk("one "), {"error": {"message": "out of memory", "type": "server_error"}}]
    with pytest.raises(ServerError, match="says: out of memory"):
        read(remote(fake.url))


@pytest.mark.slow
def test_before_the_first_token_it_is_tried_again(fake, remote) -> None:
    """With another server where there is one; the one that failed is left alone until it is back."""
    with nobody() as port:
        down = f"http://127.0.0.1:{port}/v1"
        backend = remote(down, fake.url)
        assert said(read(backend)) == "one two" and backend.health().alive
    fake.status, fake.reason = 503, "starting"
    threading.Timer(0.4, lambda: setattr(fake, "status", 200)).start()
    assert said(read(backend)) == "one two" and len(fake.bodies) > 2


@pytest.mark.slow
def test_the_page_goes_on_when_the_server_is_back(remote) -> None:
    first = Fake()
    backend = remote(first.url)
    assert said(read(backend)) == "one two"
    first.close()
    wait_until(lambda: not backend.health().alive)
    with pytest.raises(AppError, match="No model's server answers"):
        read(backend)
    second = Fake(first.port)
    try:
        wait_until(lambda: backend.health().alive)
        assert said(read(backend)) == "one two"
    finally:
        second.close()


def test_the_least_busy_server_is_asked(fake, remote) -> None:
    other = Fake()
    try:
        backend = remote(fake.url, other.url)
        for each in (fake, other):
            each.says = [chunk("one "), "wait", *WHOLE[1:]]
        streams = []
        for number in range(1, 9):
            streams.append(backend.submit(Request(HI)))
            wait_until(lambda number=number: len(fake.bodies) + len(other.bodies) == number)
        assert len(fake.bodies) == len(other.bodies) == 4 and backend.health().running == 8
        for each in (fake, other):
            each.go_on.set()
        assert [said(list(stream)) for stream in streams] == ["one two"] * 8
    finally:
        other.close()


def test_closing_ends_every_stream(fake, processor) -> None:
    fake.says = [chunk("one "), "wait"]
    backend = RemoteBackend([fake.url], processor, "", "", 20.0)
    stream = backend.submit(Request(HI))
    next(event for event in stream if event.text)
    backend.close()
    assert [event.finish for event in stream] == ["cancelled"]
    with pytest.raises(BusyError, match="shutting down"):
        backend.submit(Request(HI))


def test_settings_say_what_is_missing(monkeypatch) -> None:
    for flags, sentence in (
        ([], "needs --api-base"),
        (["--api-base", "http://a/v1", "--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY, which is not set"),
        (["--api-base", "http://a/v1", "--load-format", "dummy"], "loads no weights"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            load(Settings.parse(["--backend", "openai", *flags], {}))
