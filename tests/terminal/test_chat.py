from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from dsvl2_app.__main__ import main
from dsvl2_app.errors import PromptError

REFERENCE = Path(__file__).parents[1] / "reference"
CHECKPOINT = str(REFERENCE / "tiny" / "checkpoint")
PICTURE = str(REFERENCE / "images" / "two_1_517x389.png")


@pytest.mark.slow
def test_chat_streams_and_says_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["chat", "--model", CHECKPOINT, "--image", PICTURE, "--max-new-tokens", "6", "What is in it?"]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert main([*argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert shown == result["text"] + "\n"
    assert result["timings"]["tiles"] == 5 and result["timings"]["new_tokens"] <= 6
    assert result["finish"] in ("eos", "length")


def test_flags_reach_the_model(backend, capsys) -> None:
    argv = [
        "chat",
        "--image",
        PICTURE,
        "--system",
        "Be brief.",
        "--temperature",
        "0.5",
        "--seed",
        "3",
        "--max-tiles",
        "2",
    ]
    assert main([*argv, "Where?"]) == 0
    assert capsys.readouterr().out == backend.say + "\n"
    (request,) = backend.requests
    assert [message["role"] for message in request.messages] == ["system", "user"]
    assert (request.sampling.temperature, request.sampling.seed, request.max_tiles) == (0.5, 3, 2)
    assert request.grammar


def test_a_line_that_is_refused_ends_no_conversation(backend, capsys, monkeypatch) -> None:
    submit = backend.submit

    def refuse_first(request):
        if not backend.requests:
            backend.requests.append(request)
            raise PromptError("It is too long; write less.")
        return submit(request)

    monkeypatch.setattr(backend, "submit", refuse_first)
    monkeypatch.setattr("sys.stdin", io.StringIO("Long\nShort\n"))
    assert main(["chat", "--image", PICTURE]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (backend.say + "\n", "It is too long; write less.\n")
    (message,) = backend.requests[-1].messages
    assert [part["type"] for part in message["content"]] == ["image", "text", "text"]
    backend.requests.clear()
    assert main(["chat", "Long"]) == 2


def test_without_a_question_every_line_is_one(backend, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("What is it?\n\nAnd now?\n"))
    assert main(["chat", "--image", PICTURE]) == 0
    assert capsys.readouterr().out == f"{backend.say}\n" * 2
    first, second = backend.requests
    assert [part["type"] for part in first.messages[-1]["content"]][:1] == ["image"]
    assert [message["role"] for message in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1]["content"] == backend.say
    assert len([part for part in second.messages[2]["content"] if part["type"] == "image"]) == 0
