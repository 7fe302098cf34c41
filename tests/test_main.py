from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dsvl2_app import terminal
from dsvl2_app.__main__ import COMMANDS, main
from dsvl2_app.engine.request import Step

REFERENCE = Path(__file__).parent / "reference"
CHECKPOINT = str(REFERENCE / "tiny" / "checkpoint")
PICTURE = str(REFERENCE / "images" / "two_1_517x389.png")
ANSWER = "<|ref|>a dog<|/ref|><|det|>[[0, 0, 999, 999], [1, 2, 3]]<|/det|>"


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dsvl2_app", *argv], capture_output=True, text=True, timeout=120)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that answers with a box and a malformed one."""
    steps = [Step("decode", ANSWER[:20], 1), Step("decode", ANSWER[20:], 2), Step("done", finish="eos")]
    monkeypatch.setattr(terminal, "_answer", lambda *_: iter(steps))


@pytest.mark.slow
def test_an_error_is_one_sentence_and_status_2() -> None:
    done = run("tiles", "nowhere.jpg")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.jpg" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "required: COMMAND; --help"),
        (["sing"], "invalid choice: 'sing'"),
        (["chat"], "required: question"),
        (["chat", "--imag", "a.jpg", "what?"], "--imag"),  # flags are not abbreviated
        (["chat", "--model", "tinny", "what?"], "--model is 'tinny', but must be"),
        (["chat", "--image", "nowhere.jpg", "what?"], "nowhere.jpg"),
        (["chat", " "], "The question is empty"),
        (["chat", "--max-new-tokens", "0", "what?"], "max_new_tokens is 0"),
        (["chat", "--max-new-tokens", "many", "what?"], "invalid int value: 'many'"),
        (["chat", "--model", str(REFERENCE), "what?"], "config.json"),
        (["ground", "--image", PICTURE, ""], "nothing to look for"),
        (["ground", "dog"], "required: --image"),
        (["tiles", __file__], "test_main.py"),
        (["tiles", PICTURE, "--model", str(REFERENCE)], "config.json"),
        (["bench", "--what", "nothing"], "invalid choice: 'nothing'"),
        (["bench", "--model", "tinny"], "--model is 'tinny'"),
    ],
)
def test_what_people_get_wrong_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    shown = capsys.readouterr().err
    assert sentence in shown
    assert len(shown.splitlines()) == 1 and shown.rstrip().endswith(".")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_the_environment_to_choose_a_model(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert "--model" in shown or command == "train"  # which makes its own
    assert " ".join(COMMANDS[command][1].__doc__.split()) in " ".join(shown.split())


def test_interrupting_leaves_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "chat", (terminal.add_chat_flags, interrupt))
    assert main(["chat", "what?"]) == 130


def test_tiles_shows_grid_candidates_and_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiles", PICTURE]) == 0
    shown = capsys.readouterr().out
    assert "two_1_517x389.png: 517 x 389 px" in shown
    assert "2 x 2 tiles of 384 px" in shown and "1,023 tokens" in shown
    assert "28 rows of 28 tokens and a newline" in shown
    ranks = re.findall(r"^ +\d+  \d x \d .*$", shown, re.MULTILINE)
    assert len(ranks) == 23
    assert [line for line in ranks if "chosen" in line] == ranks[:1]


def test_tiles_as_json_covers_every_token_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiles", PICTURE, "--json"]) == 0
    (layout,) = json.loads(capsys.readouterr().out)
    assert (layout["file"], layout["size"], layout["grid"]) == (PICTURE, [517, 389], [2, 2])
    parts = layout["parts"]
    assert [part["part"] for part in parts] == ["global", "separator", "local"]
    assert [part["first"] for part in parts] == [0, *(part["last"] + 1 for part in parts[:-1])]
    assert parts[-1]["last"] + 1 == layout["tokens"] == 1023
    assert len(layout["candidates"]) == 23


def test_three_pictures_are_not_tiled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiles", PICTURE, PICTURE, PICTURE]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n1 x 1 tiles") == 3 and "With more than 2 pictures" in shown


def test_tiles_of_another_model(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["tiles", PICTURE, "--model", "nano"]) == 0
    assert "tiles of 182 px" in capsys.readouterr().out
    monkeypatch.setenv("DSVL2_MODEL", "nano")
    assert main(["tiles", PICTURE]) == 0
    assert "tiles of 182 px" in capsys.readouterr().out
    assert main(["tiles", PICTURE, "--model", CHECKPOINT]) == 0
    assert "tiles of 384 px" in capsys.readouterr().out


def test_chat_streams_and_says_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["chat", "--model", CHECKPOINT, "--image", PICTURE, "--max-new-tokens", "6", "What is in it?"]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert main([*argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert shown == result["text"] + "\n"
    assert result["timings"]["tiles"] == 5 and result["timings"]["new_tokens"] <= 6
    assert result["finish"] in ("eos", "length")


def test_chat_shows_each_piece_as_it_comes(scripted: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "hello"]) == 0
    assert capsys.readouterr().out == ANSWER + "\n"


def test_ground_asks_as_the_model_was_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(flags: object, content: list[dict[str, object]], allow: frozenset[str]) -> list[Step]:
        asked.append((content, allow))
        return [Step("done", finish="eos")]

    monkeypatch.setattr(terminal, "_answer", answer)
    assert main(["ground", "--image", PICTURE, "the dog"]) == 0
    ((content, allow),) = asked
    assert [part["type"] for part in content] == ["image", "text", "text"]
    assert content[1]["text"] + content[2]["text"] == "\n<|ref|>the dog<|/ref|>."
    assert allow == {"<|ref|>", "<|/ref|>"}


def test_ground_prints_boxes_and_draws_them(scripted: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "boxes.png"
    assert main(["ground", "--image", PICTURE, "the dog", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.out == "a dog: 0, 0, 517, 389 px (of 999: 0, 0, 999, 999)\n"
    assert "has 3" in shown.err
    with Image.open(out) as drawn, Image.open(PICTURE) as plain:
        assert drawn.size == plain.size and drawn.convert("RGB").tobytes() != plain.convert("RGB").tobytes()


def test_ground_as_json(scripted: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ground", "--image", PICTURE, "the dog", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["boxes"] == [
        {"label": "a dog", "x1": 0, "y1": 0, "x2": 999, "y2": 999, "notes": [], "pixels": [0.0, 0.0, 517.0, 389.0]}
    ]
    assert len(result["problems"]) == 1 and result["text"] == ANSWER and shown.err == ""


def test_an_answer_without_boxes_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "_answer", lambda *_: iter([Step("done", "No dog.", finish="eos")]))
    assert main(["ground", "--image", PICTURE, "the dog"]) == 0
    assert capsys.readouterr().out == "No boxes; the model answered 'No dog.'\n"


@pytest.mark.parametrize("name", ["boxes.dog", "nowhere/boxes.png"])
def test_a_picture_that_cannot_be_written_is_one_sentence(
    name: str, scripted: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ground", "--image", PICTURE, "the dog", "--json", "--out", str(tmp_path / name)]) == 2
    assert "cannot be written" in capsys.readouterr().err
