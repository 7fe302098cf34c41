from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import decode, roofs, stages
from bench.answer import QUESTION, draw_noise
from bench.roofs import Reader, RoofMeter
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import Message, place_images


@pytest.fixture(scope="module")
def engine(reference_folder: Path) -> Engine:
    return load_engine(Settings(model=str(reference_folder / "small" / "checkpoint"), device="cpu", compile="off"))


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> RoofMeter:
    monkeypatch.setattr(roofs, "SIZES", roofs.Sizes(2**20, 64, 0.0))
    meter = RoofMeter(torch.device("cpu"))
    meter.sample()
    return meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, meter: RoofMeter) -> None:
    """A fake clock that advances by one second each time the device is waited for, and by nothing otherwise."""
    now = [0.0]

    def wait() -> None:
        now[0] += 1

    monkeypatch.setattr(meter, "wait", wait)
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])


def test_a_text_has_as_many_tokens_as_wanted(engine: Engine) -> None:
    for tokens in (40, 333):
        assert tokens - 1 <= engine.plan(stages.write_text(engine, tokens)).tokens <= tokens


@pytest.mark.usefixtures("clock")
def test_a_stage_ends_when_the_device_is_done(engine: Engine, meter: RoofMeter) -> None:
    question = [{"role": "user", "content": place_images(QUESTION, [draw_noise(1, (380, 380))])}]
    for _ in range(2):  # the second time nothing is known either
        assert stages.split_first_token(engine, question, meter) == {
            "prepare": 0,
            "vision": 1,
            "prefill": 1,
            "decode": 1,
        }
    text = stages.write_text(engine, 600)  # two pieces of prefill, waited for once
    assert stages.split_first_token(engine, text, meter) == {"prepare": 0, "prefill": 1, "decode": 1}


def test_medians_leave_out_the_first_ones(engine: Engine, meter: RoofMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    warming = [{"prepare": 9, "prefill": 99}] * stages.WARM_UPS
    taken = iter([*warming, {"prepare": 1, "prefill": 1}, {"prepare": 3, "prefill": 5}])
    monkeypatch.setattr(stages, "split_first_token", lambda *_: next(taken))
    conversations: list[list[Message]] = [[] for _ in range(stages.WARM_UPS + 2)]
    assert stages.time_first_token(engine, conversations, meter) == {"prepare": 2, "prefill": 3, "total": 5}


def test_a_step_is_compared_with_the_reads_around_it(
    engine: Engine, meter: RoofMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "CONTEXT", 20)
    monkeypatch.setattr(decode.costs, "decode_bytes", lambda *_: 600)
    reader, rates, seconds = Reader(meter), iter([100, 300, 500, 100]), iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(reader, "read", lambda: next(rates))
    monkeypatch.setattr(meter, "time", lambda run: (run(), next(seconds))[1])
    meter.best = roofs.Roofs(1000, {})
    found = decode.pace(decode.Candidate("", engine, engine.runner), 2, 3, meter, reader)
    # 600 of 200 at once, 300 of 400, 200 of 300
    assert found == {"seconds": 2, "tokens_per_second": 1, "mbu": 0.3, "mbu_paired": pytest.approx(0.75)}


def test_rows_that_were_taken_are_free_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[object] = []

    monkeypatch.setattr(engine.runner, "release", released.append)
    monkeypatch.setattr(engine.runner, "decode", lambda tokens, caches: caches)
    monkeypatch.setattr(decode, "CONTEXT", 5)
    with decode.stepping(decode.Candidate("", engine, engine.runner), 3) as step:
        seated = step()
        assert not released
    assert released == seated and len(released) == 3


def test_a_reader_raises_the_roof(meter: RoofMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, meter.best = Reader(meter), roofs.Roofs(2**20, {})
    for seconds, rate, roof in ((0.5, 2**21, 2**21), (4.0, 2**18, 2**21)):
        monkeypatch.setattr(meter, "time", lambda _, seconds=seconds: seconds)
        assert (reader.read(), meter.best.read) == (rate, roof)
