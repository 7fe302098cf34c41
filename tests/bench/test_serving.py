"""Serving under load: when requests come, what of them counts, and what is told of it."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest

from bench import serving
from bench.serving import Served, arrivals, distribute, make_request, summarise
from dsvl2_app.__main__ import main
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.errors import BusyError, SettingsError
from tests.bench.test_bench import CHECKPOINT


def test_requests_come_by_chance_at_their_rate_and_at_the_same_moments_every_time() -> None:
    moments = list(arrivals(2000, rate=4.0))
    assert moments == list(arrivals(2000, rate=4.0)) and moments == sorted(moments) and moments[0] == 0
    gaps = np.diff(moments)
    assert statistics.mean(gaps) == pytest.approx(1 / 4, rel=0.1)
    assert statistics.pstdev(gaps) == pytest.approx(1 / 4, rel=0.1)  # of a Poisson process


def test_requests_have_lengths_around_the_mean_and_pictures_of_their_own() -> None:
    requests = [make_request(number, 20) for number in range(60)]
    lengths = [request.sampling.max_new_tokens for request in requests]
    assert min(lengths) >= 10 and max(lengths) <= 30 and statistics.mean(lengths) == pytest.approx(20, abs=3)
    assert all(request.sampling.min_new_tokens == request.sampling.max_new_tokens for request in requests)
    assert len({request.owner for request in requests}) == 60
    assert (
        requests[3] != requests[4]
        and make_request(3, 20).messages[0]["content"][-1] == requests[3].messages[0]["content"][-1]
    )


def test_times_leave_out_what_failed_and_the_first_token_of_each() -> None:
    served = [
        Served(0.0, [1.0, 1.5, 2.5]),
        Served(1.0, [3.0]),
        Served(0.0, [9.0], problem="gone"),
        Served(0.0, problem="full"),
    ]
    found = summarise(served, 4.0)
    assert (found["completed"], found["failed"]) == (2, ["full", "gone"])
    assert (found["requests_per_second"], found["tokens_per_second"]) == (0.5, 1.0)
    seconds = found["seconds"]
    assert seconds["first_token"] == {"mean": 1.5, "p50": 1.5, "p99": pytest.approx(1.99), "max": 2.0}
    assert seconds["later_token"]["mean"] == 0.75 and seconds["between_tokens"]["max"] == 1.0
    assert set(distribute([]).values()) == {0.0}
    with pytest.raises(SettingsError, match="full"):
        summarise(served[3:], 1.0)


@pytest.mark.parametrize("rate", [None, 200.0])
def test_every_request_is_sent_once(rate: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SIZES", ((30, 30),))
    backend = ScriptedBackend("five words are enough here")
    found = serving.measure(backend, chats=3, tokens=4, repeats=4, rate=rate)
    assert found["completed"] == len(backend.requests) == 12 and found["failed"] == []
    assert {request.owner for request in backend.requests} == {f"visitor {number}" for number in range(12)}


def test_a_full_queue_is_told_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SIZES", ((30, 30),))

    class Full(ScriptedBackend):
        def submit(self, request):
            if len(self.requests) % 2:
                self.requests.append(request)
                raise BusyError("No place is free.")
            return super().submit(request)

    found = serving.measure(Full("yes"), chats=1, tokens=2, repeats=4, rate=None)
    assert (found["completed"], found["failed"]) == (2, ["No place is free."])


@pytest.mark.slow
@pytest.mark.parametrize("rate", [[], ["--rate", "50"]])
def test_the_bench_serves(quick_roofs: None, rate: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bench", "--model", str(CHECKPOINT), "--repeats", "2", "--tokens", "4", "--chats", "3", "--what", "serving"]
    assert main([*argv, *rate]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["serving"]
    assert (found["completed"], found["failed"]) == (6, [])
    assert 0 < found["seconds"]["first_token"]["p50"] <= found["seconds"]["first_token"]["p99"]
    wanted = sum(make_request(number, 4).sampling.max_new_tokens for number in range(6))
    assert found["tokens_per_second"] * found["duration"] == pytest.approx(wanted)


@pytest.mark.parametrize("rate", ["0", "-1", "inf", "nan"])
def test_a_rate_that_nobody_can_keep_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--what", "serving", "--rate", rate]) != 0
    assert "--rate" in capsys.readouterr().err
