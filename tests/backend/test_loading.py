"""A backend whose model is on its way: known before, waited for, handed over, or given up in a sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from dsvl2_app.backend import Backend, load_meanwhile
from dsvl2_app.backend.loading import LoadingBackend, load
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import Prospect, load_engine, look_ahead
from dsvl2_app.errors import BusyError, CheckpointError, PromptError
from dsvl2_app.progress import Meter, Progress, listening
from dsvl2_app.request import Health, Loading, Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import place_images
from tests.waiting import PATIENCE, wait_until

NANO = Settings(compile="off")
QUESTION = Request([{"role": "user", "content": "What is this?"}], Sampling(max_new_tokens=6, min_new_tokens=6))


@pytest.fixture(scope="module")
def prospect() -> Prospect:
    return look_ahead(NANO)


@pytest.fixture(scope="module")
def engine(prospect: Prospect) -> Engine:
    return load_engine(NANO, prospect)


@pytest.fixture
def arrive() -> Iterator[threading.Event]:
    """Set, the model is there; in the end it is."""
    event = threading.Event()
    yield event
    event.set()


@contextmanager
def loading(prospect: Prospect, load: Callable[[], Backend], **limits: int) -> Iterator[LoadingBackend]:
    backend = LoadingBackend(prospect, load, **limits)
    yield backend
    backend.close()


@pytest.fixture
def backend(prospect: Prospect, engine: Engine, arrive: threading.Event) -> Iterator[LoadingBackend]:
    def load() -> Backend:
        meter = Meter("read", 100, done=25)
        arrive.wait(60)
        meter.add(75)
        return LocalBackend(engine)

    with loading(prospect, load, max_waiting=3, max_per_owner=2) as backend:
        yield backend


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_the_card_is_known_before(variant: str, quantize: str, checkpoint: Path) -> None:
    settings = Settings(model=str(checkpoint), quantize=quantize, compile="off")
    engine = load_engine(settings)
    assert look_ahead(settings).card == engine.card
    weights = {name: each for name, each in engine.model.named_parameters() if not name.endswith("_scale")}
    numbers = (each.numel() * (2 if each.dtype == torch.uint8 else 1) for each in weights.values())  # two to a byte
    assert engine.card.parameters == sum(numbers)
    assert engine.card.device == str(engine.model.device)


@pytest.mark.slow
def test_what_is_asked_before_is_answered_once_the_model_is_there(
    backend: LoadingBackend, engine: Engine, arrive: threading.Event
) -> None:
    stream = backend.submit(QUESTION)
    assert backend.health().waiting == 1 and not backend.wait(0.2)
    arrive.set()
    events = list(stream)
    assert events[0].stage == "queued" and events[-1].finish == "length"
    assert events[-1].timings.queued >= 0.2
    alone = list(LocalBackend(engine).submit(QUESTION))
    assert "".join(event.text for event in events) == "".join(event.text for event in alone)
    assert backend.wait(PATIENCE) and backend.health() == Health(True, memory=engine.count_memory())
    assert [event.stage for event in backend.submit(QUESTION)] == [event.stage for event in alone]


def test_an_answer_is_looked_into_once_the_model_is_there(backend: LoadingBackend, arrive: threading.Event) -> None:
    stream = backend.inspect(QUESTION, [5, 6, 7])
    arrive.set()
    found = list(stream)[-1].inspection
    assert found is not None and len(found.tokens) == 3


def test_what_a_message_costs_is_known_before(backend: LoadingBackend, engine: Engine, arrive: threading.Event) -> None:
    messages = [{"role": "user", "content": place_images("What is this?", [Image.new("RGB", (500, 200))])}]
    before = backend.plan(messages, max_tiles=4)
    assert before == engine.plan(messages, max_tiles=4)
    arrive.set()
    assert backend.wait(PATIENCE) and backend.plan(messages, max_tiles=4) == before
    with pytest.raises(PromptError):
        backend.plan([])


def test_how_far_it_is_is_told(backend: LoadingBackend, arrive: threading.Event) -> None:
    wait_until(lambda: (loading := backend.health().loading) and loading.done and loading.seconds)
    health = backend.health()
    assert (health.alive, health.accepting) == (True, True)
    assert health.loading is not None
    assert replace(health.loading, seconds=0) == Loading("read", 25, 100)
    assert health.loading.seconds_left == pytest.approx(3 * health.loading.seconds)
    assert Loading("download", 0, 100, 5.0).seconds_left is None


def test_too_many_that_wait_are_turned_away(backend: LoadingBackend) -> None:
    mine = replace(QUESTION, owner="me")
    kept = [backend.submit(mine), backend.submit(mine)]
    with pytest.raises(BusyError, match="2 of your requests are already waiting"):
        backend.submit(mine)
    kept.append(backend.submit(QUESTION))
    assert not backend.health().accepting
    with pytest.raises(BusyError, match="3 requests are already waiting"):
        backend.submit(QUESTION)
    kept[0].cancel()
    assert backend.health().accepting and list(kept[0])[-1].finish == "cancelled"
    backend.submit(mine)


def test_what_is_cancelled_before_is_never_asked(
    backend: LoadingBackend, arrive: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []
    submit = LocalBackend.submit
    monkeypatch.setattr(LocalBackend, "submit", lambda local, each: asked.append(each) or submit(local, each))
    with backend.submit(QUESTION) as stream:
        pass
    assert list(stream)[-1].finish == "cancelled"
    kept = backend.submit(replace(QUESTION, owner="me"))
    arrive.set()
    assert backend.wait(PATIENCE) and list(kept)[-1].finish == "length"
    assert [each.owner for each in asked] == ["me"]


def test_an_answer_that_began_is_cancelled_where_it_is_written(
    backend: LoadingBackend, arrive: threading.Event
) -> None:
    endless = Request(QUESTION.messages, Sampling(max_new_tokens=3000, min_new_tokens=3000))
    stream = backend.submit(endless)
    arrive.set()
    next(event for event in stream if event.stage == "decode")
    stream.cancel()
    assert [event.finish for event in stream][-1] == "cancelled"


def test_closing_ends_those_that_wait(backend: LoadingBackend, arrive: threading.Event) -> None:
    stream = backend.submit(QUESTION)
    backend.close()
    assert list(stream)[-1].finish == "cancelled"
    with pytest.raises(BusyError, match="shutting down"):
        backend.submit(QUESTION)
    arrive.set()
    assert not backend.wait(30)  # what came too late was closed at once


def test_weights_that_cannot_be_had_are_told_to_all(prospect: Prospect, arrive: threading.Event) -> None:
    def fail() -> Backend:
        arrive.wait(60)
        raise CheckpointError("model.safetensors is damaged; download it again.")

    backend = LoadingBackend(prospect, fail)
    stream = backend.submit(QUESTION)
    arrive.set()
    with pytest.raises(CheckpointError, match="is damaged"):
        list(stream)
    assert not backend.health().alive
    for raises in (backend.wait, backend.raise_failure):
        with pytest.raises(CheckpointError, match="is damaged"):
            raises()
    with pytest.raises(BusyError):
        backend.submit(QUESTION)
    backend.close()


def test_a_bug_while_loading_is_logged_and_no_secret(prospect: Prospect, caplog: pytest.LogCaptureFixture) -> None:
    backend = LoadingBackend(prospect, lambda: {}["secret"])
    with pytest.raises(KeyError):
        backend.wait(PATIENCE)
    assert "the model could not be loaded" in caplog.text


@pytest.mark.slow
def test_reading_weights_tells_every_byte(checkpoint: Path) -> None:
    told: list[Progress] = []
    with listening(told.append):
        engine = load_engine(Settings(model=str(checkpoint), compile="off"))
    size = (checkpoint / "model.safetensors").stat().st_size
    assert {each.total for each in told} == {size} and told[0].done == 0
    assert told[-1].done == sum(parameter.nbytes for parameter in engine.model.parameters())
    told.clear()
    with listening(told.append):
        load_engine(Settings(load_format="dummy", compile="off"))
    assert told[-1].done == told[-1].total == 46_692_768


def test_it_is_what_serving_begins_with() -> None:
    backend, raise_failure = load_meanwhile(NANO)
    assert isinstance(backend, LoadingBackend) and backend.wait(60)
    raise_failure()
    backend.close()
    scripted, raise_failure = load_meanwhile(Settings(backend="scripted"))
    assert scripted.health().loading is None
    raise_failure()


def test_a_wrong_configuration_is_said_at_once(checkpoint_copy: Path) -> None:
    (checkpoint_copy / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not deepseek_vl_v2"):
        load(Settings(model=str(checkpoint_copy)))
