from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.suite import PLANS
from dsvl2_app.__main__ import main
from dsvl2_app.command_flags import BENCH_SUITES, EVAL_SUITES
from dsvl2_app.commands import COMMANDS
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.settings import RELEASED

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "tests" / "reference"
CHECKPOINT = str(REFERENCE / "tiny" / "checkpoint")
PICTURE = str(REFERENCE / "images" / "two_1_517x389.png")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "required: COMMAND; --help"),
        (["sing"], "invalid choice: 'sing'"),
        (["chat", "--temperature", "9", "what?"], "temperature is 9.0"),
        (["chat", "--imag", "a.jpg", "what?"], "--imag"),  # flags are not abbreviated
        (["chat", "--model", "tinny", "what?"], "--model is 'tinny', but must be"),
        (["chat", "--image", "nowhere.jpg", "what?"], "nowhere.jpg"),
        (["chat", " "], "The question is empty"),
        (["chat", "--max-new-tokens", "0", "what?"], "max_new_tokens is 0"),
        (["chat", "--max-new-tokens", "many", "what?"], "invalid int value: 'many'"),
        (["chat", "--model", str(REFERENCE), "what?"], "config.json"),
        (["ground", "--image", PICTURE, ""], "nothing to look for"),
        (["ground", "dog"], "required: --image"),
        (["ground", "--image", PICTURE, "--mode", "in_context"], "needs --example and --rectangle"),
        (
            ["ground", "--image", PICTURE, "--mode", "in_context", "--example", PICTURE, "--rectangle", "9,9,1,1"],
            "left,top,right,bottom",
        ),
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
    assert "--model" in shown or command in ("train", "sprites")  # which makes its own, and which needs none
    assert " ".join(COMMANDS[command].summary.split()) in " ".join(shown.split())


def test_help_and_a_mistyped_flag_wait_for_no_library() -> None:
    lines = [["--version"], ["--help"], *([command, "--help"] for command in COMMANDS), ["tiles", "--modle", "a.png"]]
    code = (
        "import sys; from dsvl2_app.__main__ import run\n"
        f"for argv in {lines}:\n"
        "    try: run(argv)\n"
        "    except (SystemExit, Exception) as end: print(type(end).__name__, file=sys.stderr)\n"
        "print({'torch', 'transformers', 'gradio', 'numpy', 'PIL', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr.split() == ["SystemExit"] * (len(lines) - 1) + ["SettingsError", "set()"]


def test_what_flags_offer_is_what_there_is() -> None:
    assert set(BENCH_SUITES) == set(PLANS)
    assert all(find_spec(module) for module in EVAL_SUITES.values())
    assert {"nano", *RELEASED} == set(PRESETS)


def test_interrupting_leaves_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dsvl2_app.terminal.chat.run", interrupt)
    assert main(["chat", "what?"]) == 130
