"""/healthz, /readyz and /metrics over HTTP: alive, busy and dead; figures that add up; nobody's words."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest
from gradio.queueing import Queue
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from dsvl2_app.backend.loading import LoadingBackend
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine, look_ahead
from dsvl2_app.errors import BusyError, EngineDeadError, PromptError, SettingsError
from dsvl2_app.health.metrics import Metrics
from dsvl2_app.progress import Meter
from dsvl2_app.request import Health, Request, Sampling
from dsvl2_app.settings import Settings
from tests.health.conftest import Serve, ask
from tests.waiting import PATIENCE, begin, wait_until

pytestmark = pytest.mark.slow  # each serves a page

THREADS = 40  # that a server has for what would keep its event loop waiting
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(Settings(compile="off"))


@pytest.fixture
def nano(engine: Engine) -> LocalBackend:
    engine.forget()
    return LocalBackend(engine, max_active=1, max_waiting=1)


def read_figures(client: httpx.Client, **headers: str) -> dict[tuple[str, ...], float]:
    """Name and values of labels, by the names of these, -> figure."""
    told = client.get("/metrics", headers=headers).raise_for_status()
    families = (parse_open if OPENMETRICS.split(";")[0] in told.headers["content-type"] else parse)(told.text)
    return {
        (each.name, *(value for _, value in sorted(each.labels.items()))): each.value
        for family in families
        for each in family.samples
    }


def test_a_page_whose_queue_has_died_is_dead(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events then wait for ever, and nothing but a new start helps."""
    client = serve(ScriptedBackend())
    assert client.get("/readyz").status_code == 200

    def fail(_: Queue) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Queue, "get_events", fail)
    client.post("/gradio_api/call/chat", json={"data": [{"text": "Hi", "files": []}]}).raise_for_status()
    wait_until(lambda: client.get("/readyz").status_code != 200)
    for path in ("/readyz", "/healthz"):
        told = client.get(path)
        assert (told.status_code, told.json()["status"]) == (503, "dead")


def test_an_idle_app_is_alive_and_ready(nano: LocalBackend, serve: Serve) -> None:
    client = serve(nano)
    for path in ("/healthz", "/readyz"):
        assert client.head(path).status_code == 200
        told = client.get(path)
        assert (told.status_code, told.json()) == (200, {"status": "ready", "running": 0, "waiting": 0})


def test_a_full_queue_is_alive_and_not_ready(nano: LocalBackend, serve: Serve) -> None:
    client = serve(nano)
    endless = Request([{"role": "user", "content": "Go on."}], Sampling(max_new_tokens=3000, min_new_tokens=3000))
    with nano.submit(endless) as first:
        next(event for event in first if event.stage == "decode")
        with nano.submit(endless):
            told = client.get("/readyz")
            assert (told.status_code, told.json()) == (503, {"status": "busy", "running": 1, "waiting": 1})
            assert client.get("/healthz").status_code == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_engine_is_told_as_such(nano: LocalBackend, serve: Serve) -> None:
    def die(_: Engine) -> None:
        raise SystemExit

    client = serve(nano)
    with pytest.raises(EngineDeadError):
        nano.call(die)
    for path in ("/healthz", "/readyz"):
        told = client.get(path)
        assert (told.status_code, told.json()["status"]) == (503, "dead")


def test_health_is_told_while_every_thread_is_busy(
    nano: LocalBackend, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pictures to decode, say: whoever restarts the app would take silence for death."""
    ended, begun = threading.Event(), threading.Semaphore(0)

    def wait(*_: object) -> tuple[bytes, str]:
        begun.release()
        ended.wait(60)
        return b"", "text/plain"

    monkeypatch.setattr(Metrics, "write", wait)
    client = serve(nano, metrics=True)
    busy = [begin(lambda: httpx.get(f"{client.base_url}metrics", timeout=60)) for _ in range(THREADS)]
    try:
        assert all(begun.acquire(timeout=30) for _ in busy)
        assert [client.get(path, timeout=10).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    finally:
        ended.set()
    assert all(each.result(PATIENCE).status_code == 200 for each in busy)


@pytest.mark.parametrize(
    ("health", "alive", "ready", "status"),
    [
        (Health(True, running=1, seconds=5), 200, 200, "ready"),
        (Health(True, running=1, seconds=601), 503, 503, "stuck"),
        (Health(True, accepting=False), 200, 503, "busy"),
        (Health(False), 503, 503, "dead"),
    ],
)
def test_what_a_backend_says_decides(health: Health, alive: int, ready: int, status: str, serve: Serve) -> None:
    backend = ScriptedBackend()
    client = serve(backend)
    backend.health = lambda: health  # type: ignore[method-assign]
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [alive, ready]
    assert client.get("/healthz").json()["status"] == status


def test_weights_on_their_way_are_alive_and_not_ready(engine: Engine, serve: Serve) -> None:
    arrive = threading.Event()

    def load() -> LocalBackend:
        meter = Meter("download", 4 * 10**9, done=10**9)
        arrive.wait(60)
        meter.add(3 * 10**9)
        return LocalBackend(engine)

    backend = LoadingBackend(look_ahead(Settings(compile="off")), load)
    client = serve(backend, metrics=True)
    told = client.get("/readyz")
    assert told.status_code == 503 and client.get("/healthz").status_code == 200
    assert told.json()["status"] == "loading"
    far = told.json()["loading"]
    assert (far["stage"], far["done"], far["total"]) == ("download", 10**9, 4 * 10**9)
    assert far["seconds_left"] == pytest.approx(3 * far["seconds"])
    figures = read_figures(client)
    assert (figures["dsvl2_ready",], figures["dsvl2_loading_bytes",]) == (0, 1e9)
    answer = begin(lambda: ask(client))  # it waits
    wait_until(lambda: backend.health().waiting)
    arrive.set()
    assert answer.result(PATIENCE)["usage"]["completion_tokens"] > 0
    assert client.get("/readyz").json() == {"status": "ready", "running": 0, "waiting": 0}
    figures = read_figures(client)
    assert (figures["dsvl2_ready",], figures["dsvl2_loading_total_bytes",]) == (1, 0)


def test_figures_count_what_was_answered(nano: LocalBackend, serve: Serve) -> None:
    client = serve(nano, metrics=True)
    answers = [ask(client, "A secret word: xylophone.", min_tokens=12)["usage"] for _ in range(2)]
    told = read_figures(client)
    assert told["dsvl2_requests_total", "answer", "length"] == 2
    assert told["dsvl2_tokens_total", "generated"] == sum(each["completion_tokens"] for each in answers) == 24
    assert told["dsvl2_tokens_total", "prompt"] == sum(each["prompt_tokens"] for each in answers)
    reused = sum(each["prompt_tokens_details"]["cached_tokens"] for each in answers)
    assert told["dsvl2_tokens_total", "reused_prompt"] == reused > 0
    assert told["dsvl2_time_to_first_token_seconds_count",] == 2
    assert told["dsvl2_time_per_output_token_seconds_count",] == 22
    assert told["dsvl2_request_seconds_count",] == told["dsvl2_stage_seconds_count", "prefill"] == 2
    assert 0 < told["dsvl2_time_to_first_token_seconds_sum",] < told["dsvl2_request_seconds_sum",]
    assert told["dsvl2_up",] == told["dsvl2_ready",] == 1
    assert told["dsvl2_memory_bytes", "weights"] == sum(p.nbytes for p in nano._engine.model.parameters())
    assert told["dsvl2_memory_bytes", "prefixes"] == nano._engine.prefixes.nbytes > 0
    assert told["process_resident_memory_bytes",] > 1e8


def test_figures_are_nobodys_words_and_come_in_both_forms(nano: LocalBackend, serve: Serve) -> None:
    client = serve(nano, metrics=True)
    answer = ask(client, "A secret word: xylophone.", min_tokens=12, user="Mister Smith")
    text = client.get("/metrics").text
    assert "xylophone" not in text and "Smith" not in text and answer["id"] not in text
    assert answer["choices"][0]["message"]["content"] not in text
    assert 'device="cpu"' in text and 'model="nano"' in text
    plain, modern = read_figures(client), read_figures(client, Accept=OPENMETRICS)
    assert plain["dsvl2_requests_total", "answer", "length"] == modern["dsvl2_requests_total", "answer", "length"] == 1


def test_refusals_and_errors_are_counted_by_kind(serve: Serve) -> None:
    backend = ScriptedBackend(say=PromptError("Too long."))
    client = serve(backend, metrics=True)
    with pytest.raises(httpx.HTTPStatusError):
        ask(client)

    def refuse(_: Request) -> Iterator[None]:
        raise BusyError("Full.")

    backend.submit = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(httpx.HTTPStatusError):
        ask(client)
    told = read_figures(client)
    assert told["dsvl2_errors_total", "PromptError", "answer"] == 1
    assert told["dsvl2_requests_total", "answer", "error"] == 1
    assert told["dsvl2_refusals_total", "BusyError", "answer"] == 1


def test_without_the_flag_there_are_no_figures(serve: Serve) -> None:
    told = serve(ScriptedBackend()).get("/metrics")
    assert (told.status_code, told.text) == (404, "Figures are off; start the app with --metrics.\n")


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsvl2_app.settings.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="--metrics needs a package that is not installed"):
        Settings.parse(["--metrics"], {})
