"""Answers on ZeroGPU: plain values across a real border between processes, seconds asked for, refusals in sentences;
and the whole app with the real `spaces` in its ZeroGPU mode, before a device API that stands in for the service."""

from __future__ import annotations

import base64
import io
import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio
import httpx
import numpy as np
import pytest
import spaces
from gradio_client import Client, handle_file
from PIL import Image

from dsvl2_app import backend as backends
from dsvl2_app.backend import is_zerogpu, zerogpu
from dsvl2_app.backend.zerogpu import ZeroGpuBackend, explain
from dsvl2_app.backend.zerogpu_call import AtOnce, Call, Item
from dsvl2_app.backend.zerogpu_seconds import MARGIN, Estimate
from dsvl2_app.engine.inspection import inspect
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import AppError, BusyError, ContextError, PromptError, ServerError, SettingsError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import lay_out_all
from dsvl2_app.inspection import Inspection
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.request import Event, PromptPlan, Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.text.prompt import place_images
from tests.apps import find_port, running, stop
from tests.backend.zerogpu_service import Service

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "assets" / "examples" / "one.png"
NANO = Settings(backend="zerogpu", compile="off", device="cpu")
ASKED = Request(
    [{"role": "user", "content": place_images("What do you see?", [ImageRef.of(PICTURE)])}],
    Sampling(max_new_tokens=48),
    owner="somebody",
)
LONG = replace(ASKED, sampling=Sampling(max_new_tokens=2000, min_new_tokens=2000))


@pytest.fixture(scope="module")
def backend() -> Iterator[ZeroGpuBackend]:
    loaded = zerogpu.load(NANO)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def call() -> Call:
    """The function itself, of a model that this process never runs."""
    loaded = zerogpu.load(NANO)
    return loaded._call.__self__  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def expected() -> list[Event]:
    """The answer of an engine alone."""
    return list(load_engine(Settings(compile="off", device="cpu")).answer(ASKED))


def say(events: list[Event]) -> str:
    return "".join(event.text for event in events)


def find_tokens(events: list[Event]) -> list[int]:
    return [event.token for event in events if event.token is not None]


# -- across processes -------------------------------------------------------------------------------------------


@contextmanager
def in_a_fork(call: Call, *arguments: Any) -> Iterator[tuple[Generator[Item, None, None], Callable[[], None]]]:
    """What the call yields in a forked process, and a function that asks it to stop: arguments and items are pickled,
    as in `spaces`."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    stop = context.Event()
    wanted = pickle.dumps(arguments)

    def work() -> None:
        items = call.serve(*pickle.loads(wanted))
        for item in items:
            if stop.is_set():
                items.close()
                break
            writer.send(item)
        writer.send("end")
        os._exit(0)

    def read() -> Generator[Item, None, None]:
        while (item := reader.recv()) != "end":
            yield item

    process = context.Process(target=work, daemon=True)
    process.start()
    yield read(), stop.set
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.slow
def test_an_answer_crosses_the_border(call: Call, expected: list[Event]) -> None:
    with in_a_fork(call, ASKED) as (items, _):
        begun, *events = items
    assert begun is None
    assert all(isinstance(event, Event) for event in events)
    assert say(events) == say(expected) != ""
    assert list(dict.fromkeys(event.stage for event in events)) == ["vision", "prefill", "decode", "done"]
    assert find_tokens(events) == find_tokens(expected)
    assert events[-1].finish == expected[-1].finish


@pytest.mark.slow
def test_an_inspection_crosses_the_border(call: Call, expected: list[Event]) -> None:
    ids = find_tokens(expected)
    with in_a_fork(call, ASKED, tuple(ids)) as (items, _):
        *_, last = items
    found = last.inspection
    wanted = inspect(load_engine(Settings(compile="off", device="cpu")), ASKED, ids)
    assert isinstance(found, Inspection) and found.tokens == wanted.tokens and found.twins == wanted.twins
    for name in ("attention", "answer_attention", "experts", "lens", "logprobs"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (Request([]), PromptError),
        (Request([{"role": "user", "content": "word " * 9000}]), ContextError),
    ],
)
def test_an_error_crosses_the_border_as_itself(call: Call, request_: Request, kind: type[AppError]) -> None:
    with in_a_fork(call, request_) as (items, _):
        begun, error = items
    assert begun is None and type(error) is kind
    with pytest.raises(kind) as raised:
        list(load_engine(Settings(compile="off", device="cpu")).answer(request_))
    assert (error.sentence, error.values) == (raised.value.sentence, raised.value.values)  # type: ignore[union-attr]


@pytest.mark.slow
def test_closing_it_ends_the_work_in_the_other_process(call: Call) -> None:
    with in_a_fork(call, LONG) as (items, stop):
        for item in items:
            if isinstance(item, Event) and item.stage == "decode":
                stop()
                break
        rest = list(items)
    assert len(rest) < 1500 and all(event.finish is None for event in rest if isinstance(event, Event))


def test_what_is_done_at_once_is_done_in_this_thread() -> None:
    assert AtOnce().submit(threading.get_ident).result() == threading.get_ident()
    with pytest.raises(KeyError):
        AtOnce().submit(dict[str, int]().__getitem__, "none").result()


# -- where ZeroGPU is not ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_off_zerogpu_it_answers_in_this_process(backend: ZeroGpuBackend, expected: list[Event]) -> None:
    events = list(backend.submit(ASKED))
    assert events[0].stage == "queued"
    assert say(events) == say(expected)
    assert events[-1].finish == "eos" and events[-1].timings.queued > 0
    assert backend.health().running == backend.health().waiting == 0


@pytest.mark.slow
def test_several_at_once_are_answered_in_turn(backend: ZeroGpuBackend, expected: list[Event]) -> None:
    streams = [backend.submit(replace(ASKED, owner=owner)) for owner in "abc"]
    assert [say(list(stream)) for stream in streams] == [say(expected)] * 3


@pytest.mark.slow
def test_a_follow_up_question_finds_what_was_read(backend: ZeroGpuBackend) -> None:
    list(backend.submit(ASKED))
    assert [*backend.submit(ASKED)][-1].timings.reused_tokens > 0


@pytest.mark.slow
def test_who_cancels_is_told_at_once_and_the_next_one_is_served(backend: ZeroGpuBackend) -> None:
    with backend.submit(LONG) as stream:
        for event in stream:
            if event.stage == "decode":
                break
        assert backend.health().running == 1
    assert [event.finish for event in stream][-1] == "cancelled"
    assert [*backend.submit(ASKED)][-1].finish == "eos"


@pytest.mark.slow
def test_what_was_cancelled_while_it_waited_never_runs(backend: ZeroGpuBackend) -> None:
    with backend.submit(LONG) as first:
        next(event for event in first if event.stage == "decode")
        waiting = backend.submit(ASKED)
        waiting.cancel()
        assert [event.finish for event in waiting] == [None, "cancelled"]


@pytest.mark.slow
def test_too_many_are_turned_away() -> None:
    few = zerogpu.load(replace(NANO, max_queue=1))
    with few.submit(LONG) as first:
        next(event for event in first if event.stage == "decode")
        waiting = few.submit(ASKED)
        assert not few.health().accepting
        with pytest.raises(BusyError, match="1 requests are already waiting"):
            few.submit(ASKED)
        waiting.cancel()
        assert few.health().accepting
        few.submit(ASKED)
    few.close()
    assert not few.health().alive
    with pytest.raises(BusyError, match="shutting down"):
        few.submit(ASKED)


@pytest.mark.slow
def test_errors_and_inspections_come_through_the_stream(backend: ZeroGpuBackend, expected: list[Event]) -> None:
    with pytest.raises(PromptError):
        list(backend.submit(Request([])))
    ids = find_tokens(expected)
    *_, last = backend.inspect(ASKED, ids)
    assert last.inspection is not None and len(last.inspection.tokens) == len(ids)


# -- what `spaces` says -----------------------------------------------------------------------------------------


def decorate(monkeypatch: pytest.MonkeyPatch, backend: ZeroGpuBackend, call: Callable[..., Any]) -> None:
    monkeypatch.setattr(backend, "_call", call)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "kind", "sentence"),
    [
        ("ZeroGPU quota exceeded", BusyError, "Your GPU time"),
        ("ZeroGPU pending credits exceeded", BusyError, "let one of them end"),
        ("ZeroGPU illegal duration", SettingsError, "fewer tokens"),
        ("ZeroGPU queue timeout", BusyError, "No GPU was free"),
        ("ZeroGPU client error", BusyError, "no GPU to lend"),
        ("ZeroGPU worker error", ServerError, "taken away"),
    ],
)
def test_its_errors_become_one_sentence(
    title: str, kind: type[AppError], sentence: str, backend: ZeroGpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Generator[Item, None, None]:
        yield None
        raise gradio.Error("<a href='x'>HTML</a>", title=title)

    decorate(monkeypatch, backend, refuse)
    with pytest.raises(kind, match=sentence):
        list(backend.submit(ASKED))


@pytest.mark.slow
def test_an_answer_that_breaks_off_is_no_answer(backend: ZeroGpuBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: Any) -> Generator[Item, None, None]:
        yield None
        yield Event("decode", "Half an ", 5)

    decorate(monkeypatch, backend, break_off)
    stream, events = backend.submit(ASKED), list[Event]()
    with pytest.raises(ServerError, match="taken away"):
        events += stream
    assert backend.health().running == 0


def test_other_errors_stay_what_they_are() -> None:
    error = ValueError("ours")
    assert explain(error) is error
    assert type(explain(gradio.Error("ours"))) is gradio.Error


# -- seconds ----------------------------------------------------------------------------------------------------


def estimate(model: str, gigabytes: float, limit: int = 1000) -> Estimate:
    layers = PRESETS[model]["language_config"]["num_hidden_layers"]
    return Estimate(int(gigabytes * 1e9), layers, 512, limit)


def write_png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()


def plan(tokens: int, sizes: list[tuple[int, int]] = []) -> PromptPlan:  # noqa: B006
    from dsvl2_app.image.geometry import RELEASED_GEOMETRY

    layouts = lay_out_all(sizes, RELEASED_GEOMETRY)
    decoded = sum(width * height for width, height in sizes)
    return PromptPlan(tokens + sum(layout.num_tokens for layout in layouts), tuple(layouts), 4096, decoded)


@pytest.mark.parametrize(("model", "gigabytes", "per_second"), [("tiny", 6.7, 76), ("small", 32, 25), ("base", 55, 24)])
def test_seconds_leave_the_margin_over_what_was_measured(model: str, gigabytes: float, per_second: float) -> None:
    """Tokens/s without graphs and fused kernels, of docs/performance.md."""
    known = estimate(model, gigabytes)
    none, many = (known.answer(plan(100), number) for number in (1, 1001))
    assert many - none >= 1000 / per_second * MARGIN * 0.99
    assert many - none <= 1000 / per_second * MARGIN * 1.5


def test_seconds_grow_with_each_part_and_stay_below_the_limit() -> None:
    tiny = estimate("tiny", 6.7)
    small_plan, pictures = plan(100), plan(100, [(4000, 3000), (1000, 400)])
    assert tiny.answer(small_plan, 500) < tiny.answer(pictures, 500) < tiny.answer(pictures, 1500)
    assert tiny.answer(small_plan, 500) < estimate("small", 32).answer(small_plan, 500)
    assert tiny.answer(small_plan, 10**6) == tiny.answer(small_plan, 4096 - 100)  # the context ends before
    assert replace(tiny, limit=20).answer(small_plan, 10**6) == 20
    assert tiny.inspection(small_plan, 64, 64) < tiny.answer(small_plan, 512)
    assert isinstance(tiny.answer(small_plan, 3), int)  # `spaces` would drop a fraction


@pytest.mark.parametrize("pictures", [1, 2, 8])
def test_seconds_leave_the_margin_over_decoding_pictures_that_are_halved(pictures: int) -> None:
    """2.6 s of a processor are measured for a PNG of 48 megapixels."""
    tiny, smaller = estimate("tiny", 6.7), plan(100, [(4000, 3000)] * pictures)
    halved = replace(smaller, decoded=pictures * 48_000_000)
    known = replace(smaller, decoded=0)
    assert tiny.answer(halved, 1) - tiny.answer(known, 1) >= math.floor(pictures * 2.6 * MARGIN)
    assert tiny.answer(known, 1) < tiny.answer(smaller, 1) < tiny.answer(halved, 1)
    assert tiny.inspection(smaller, 9, 64) < tiny.inspection(halved, 9, 64)


def test_a_plan_counts_the_pixels_that_are_decoded(backend: ZeroGpuBackend) -> None:
    first, second = (ImageRef.of(write_png((80, 60)), limits=Limits(max_pixels=most)) for most in (2400, 4800))
    assert (first.size, second.size) == ((40, 30), (80, 60))
    shown = backend.plan([{"role": "user", "content": place_images("What do you see?", [first, second])}])
    assert shown.decoded == 2 * 80 * 60
    assert backend.plan([{"role": "user", "content": "What?"}]).decoded == 0


def test_an_ordinary_answer_of_tiny_and_small_is_within_the_default() -> None:
    pictures = plan(100, [(1000, 400)])
    assert estimate("tiny", 6.7).answer(pictures, 512) < 60
    assert estimate("small", 32).answer(pictures, 512) < Settings().gpu_seconds


# -- which backend ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "is_there"),
    [
        ({}, False),
        ({"SPACES_ZERO_GPU": "true"}, True),
        ({"SPACES_ZERO_GPU": "1"}, True),
        ({"SPACES_ZERO_GPU": "no"}, False),
    ],
)
def test_the_environment_says_whether_it_is_zerogpu(
    environment: dict[str, str], is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_zerogpu(environment) is is_there
    assert spaces.config.boolean(environment.get("SPACES_ZERO_GPU")) is is_there  # as `spaces` reads it
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert backends._choose_name(Settings()) == ("zerogpu" if is_there else "local")
    assert backends._choose_name(Settings(backend="local")) == "local"


def test_without_spaces_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    monkeypatch.delitem(sys.modules, "dsvl2_app.backend.zerogpu")
    with pytest.raises(SettingsError, match="pip install spaces"):
        backends.load(Settings(backend="zerogpu"))


@pytest.mark.slow
def test_on_zerogpu_spaces_is_imported_before_what_could_ask_for_a_gpu(tmp_path: Path) -> None:
    """By a module in its place, which tells what is there when it is imported."""
    (tmp_path / "spaces.py").write_text(
        "import sys, threading\n"
        "torch = sys.modules.get('torch')\n"
        "print('gradio' in sys.modules, bool(torch and torch.cuda.is_initialized()), end=' ')\n"
        "print(threading.current_thread() is threading.main_thread())\n"
        "sys.exit(7)\n"
    )
    environment = {**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (7, "False False True\n")


def test_a_flag_that_it_cannot_follow_is_refused() -> None:
    with pytest.raises(SettingsError, match="--compile"):
        zerogpu.load(replace(NANO, compile="on"))


# -- the real `spaces` in its ZeroGPU mode ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


def can_read_directly(file: Path) -> bool:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
    except (OSError, AttributeError):  # a file system in memory; no Linux
        return False
    return True


@contextmanager
def serving(service: Service, folder: Path, **variables: str) -> Iterator[str]:
    """The address of the app as on ZeroGPU."""
    if not can_read_directly(folder / "probe"):
        pytest.skip("`spaces` packs weights past the kernel's cache, which is not to be had here")
    (folder / "cgroup").write_text("0::/here\n")
    port = find_port()
    environment = {
        **os.environ,
        "HOME": str(folder),
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": service.url,
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(folder / "cgroup"),
        "DSVL2_PORT": str(port),
        "DSVL2_DTYPE": "float32",
        **variables,
    }
    command = [sys.executable, str(Path(__file__).with_name("zerogpu_app.py"))]
    with running(command, port, folder / "log", environment=environment) as app:
        yield f"http://127.0.0.1:{port}"
        print((folder / "log").read_text())
        stop(app)


@pytest.fixture(scope="module")
def url(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of nano."""
    with serving(service, tmp_path_factory.mktemp("zerogpu")) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


GREEDY = {"temperature": 0, "repetition_penalty": 1, "max_new_tokens": 48}


def question(words: str = "What do you see?") -> dict[str, Any]:
    return {"text": words, "files": [handle_file(str(PICTURE))]}


def ask(client: Client, words: str = "What do you see?") -> str:
    return client.predict(question(words), **GREEDY, api_name="/chat")


@pytest.mark.slow
def test_in_zerogpu_mode_a_call_answers(client: Client, service: Service, expected: list[Event]) -> None:
    assert ask(client) == say(expected)
    assert len(service.named("startup-report")) == 1
    (scheduled,) = service.named("schedule")
    assert (scheduled["cgroupPath"], scheduled["tokenVersion"]) == ("/here", "2")
    assert 5 < int(scheduled["durationSeconds"]) < 60
    (allowed,) = service.named("allow")
    (released,) = service.named("release")
    assert allowed["allowToken"] == released["allowToken"] == "token-1" and released["fail"] == "false"
    assert ask(client) == say(expected)
    assert len(service.named("allow")) == 1  # the same process, which was idle


@pytest.mark.slow
def test_in_zerogpu_mode_the_gpu_is_asked_for_in_the_visitors_name(url: str, service: Service) -> None:
    """The service's proxy gives each visitor a token, for whose quota."""
    token = f"head.{base64.urlsafe_b64encode(b'{}').decode()}.signature"
    ask(Client(url, verbose=False, headers={"X-IP-Token": token}))
    assert service.named("schedule")[-1]["token"] == token


@pytest.mark.slow
def test_in_zerogpu_mode_several_wait_for_the_one_gpu(client: Client, service: Service, expected: list[Event]) -> None:
    jobs = [client.submit(question(), **GREEDY, api_name="/chat") for _ in range(3)]
    assert [job.result(timeout=120) for job in jobs] == [say(expected)] * 3
    assert len(service.named("release")) == len(service.named("schedule"))


@contextmanager
def reading(url: str) -> Iterator[Iterator[str]]:
    """The lines of an answer of 2,000 tokens, from its first word on; leaving closes the connection."""
    asked = {"role": "user", "content": "Say something."}
    body = {"model": "nano", "messages": [asked], "max_tokens": 2000, "min_tokens": 2000, "stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(line for line in lines if '"content"' in line)
        yield lines


@pytest.mark.slow
def test_in_zerogpu_mode_who_leaves_gives_the_gpu_back(
    url: str, client: Client, service: Service, expected: list[Event]
) -> None:
    before = len(service.named("release"))
    with reading(url):
        pass
    assert ask(client) == say(expected)  # once the one GPU is free
    assert len(service.named("release")) == before + 2
    assert {each["fail"] for each in service.named("release")} == {"false"}


@pytest.mark.slow
def test_in_zerogpu_mode_our_errors_are_themselves(client: Client) -> None:
    with pytest.raises(Exception, match="remove pictures or earlier turns"):
        ask(client, "word " * 9000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ({"quota": {"left": 3, "wait": "PT10M"}}, "Your GPU time on Hugging Face"),
        ({"quota": {"left": 0, "wait": "-PT1S"}}, "for longer than ZeroGPU lends one"),
        ({"status": 503}, "no GPU to lend"),
        ({"is_full": True}, "Your GPU time on Hugging Face|No GPU was free"),
    ],
)
def test_in_zerogpu_mode_refusals_are_sentences(
    refusal: dict[str, Any], sentence: str, client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in refusal.items():
        monkeypatch.setattr(service, name, value)
    with pytest.raises(Exception, match=sentence):
        ask(client)


@pytest.mark.slow
def test_in_zerogpu_mode_a_process_that_is_killed_is_replaced(
    url: str, client: Client, service: Service, expected: list[Event]
) -> None:
    """As the service does with what takes too long."""
    with reading(url) as lines:
        killed = service.named("allow")[-1]["pid"]
        os.kill(int(killed), signal.SIGKILL)
        assert any("was taken away" in line for line in lines)
    service.lent = 0  # the next process is a new one
    assert ask(client) == say(expected)
    assert service.named("allow")[-1]["pid"] != killed


@pytest.mark.slow
def test_in_zerogpu_mode_latents_and_int8_are_moved_whole(tmp_path: Path, reference_folder: Path) -> None:
    """The shape of small, whose weights are of two number formats."""
    checkpoint = str(reference_folder / "small" / "checkpoint")
    asked = Request([{"role": "user", "content": "What?"}], Sampling(max_new_tokens=12, min_new_tokens=12))
    settings = Settings(model=checkpoint, quantize="int8", dtype="float32", compile="off", device="cpu")
    expected = find_tokens(list(load_engine(settings).answer(asked)))
    service = Service()
    with serving(service, tmp_path, DSVL2_MODEL=checkpoint, DSVL2_QUANTIZE="int8") as url:
        name = httpx.get(f"{url}/v1/models").json()["data"][0]["id"]
        body = {"model": name, "messages": asked.messages, "max_tokens": 12, "min_tokens": 12, "temperature": 0}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=100).json()
    service.close()
    assert answer["usage"]["completion_tokens"] == len(expected) == 12
    decode = DeepseekVL2Processor.from_pretrained(checkpoint).decode
    assert answer["choices"][0]["message"]["content"] == decode(expected)
