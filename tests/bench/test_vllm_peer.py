"""What `bench --against vllm` asks this engine really, and a vLLM that is a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import answer, vllm_peer, vllm_worker
from dsvl2_app.__main__ import main
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import Settings
from tests.bench.test_bench import CHECKPOINT

THEIRS = {"load": 2.0, "first_answer": 4.0, "first_token": 1e3, "seconds_per_token": 1e3}
THEIRS |= {"tokens_per_second_together": 1e-3, "peak_memory": 2**60}


def make_environment(folder: Path, script: str) -> str:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return str(folder)


def test_both_are_asked_in_turns_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_peer, "in_fresh_process", lambda run, *arguments: run(*arguments))  # which takes seconds
    monkeypatch.setattr(vllm_worker, "NEW_TOKENS", 8)
    monkeypatch.setattr(vllm_worker, "REPEATS", 1)
    script = f"""printf '%s\\n' "$@" >> {tmp_path}/asked; echo loading; echo '{json.dumps(THEIRS)}'"""
    folder = make_environment(tmp_path / "vllm", script)
    found = vllm_peer.measure(Settings(model=str(CHECKPOINT)), folder, 2)
    assert found["vllm"] == THEIRS and len(found["turns"]) == 2
    assert found["ratio"] == {key: value / THEIRS[key] for key, value in found["ours"].items()}
    assert 0 < found["ratio"]["first_token"] < 1
    worker, checkpoint, prompts = (tmp_path / "asked").read_text().splitlines()[:3]
    assert (worker, checkpoint) == (vllm_worker.__file__, str(CHECKPOINT.absolute()))
    picture, text = json.loads(prompts)
    assert picture.count("<image>") == 1 and "NUMBER" in text and picture.endswith("<|Assistant|>:")


def test_an_environment_without_vllm_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no bin/python"):
        vllm_peer.measure(Settings(model=str(CHECKPOINT)), str(tmp_path), 1)
    folder = make_environment(tmp_path, "echo 'ModuleNotFoundError: vllm' >&2; exit 1")
    with pytest.raises(SettingsError, match=r"failed \(ModuleNotFoundError: vllm\)"):
        vllm_peer.run_theirs(vllm_peer.find_python(folder), "checkpoint", ["", ""], 1)


def test_the_folder_stands_behind_vllm(capsys: pytest.CaptureFixture[str]) -> None:
    assert vllm_peer.split_peers(["int8", "vllm", "here", "plain"]) == (("int8", "plain"), "here")
    assert vllm_peer.split_peers([]) == ((), None)
    for wrong, sentence in {"vllm": "vllm lacks a folder", "other": "has no other"}.items():
        assert main(["bench", "--against", "int8", wrong]) == 2
        assert sentence in capsys.readouterr().err


def test_times_of_an_engine_are_worked_out_from_its_answers() -> None:
    """A first answer that waits a second, then half a second for a picture, 2 s a token alone and 4 s for eight."""
    asked: list[tuple[int, int, bool]] = []

    def run(answers: int, tokens: int, picture: bool) -> float:
        asked.append((answers, tokens, picture))
        return 1.0 * (len(asked) == 1) + 0.5 * picture + (tokens - 1) * (2.0 if answers == 1 else 4.0)

    found = vllm_worker.time_answers(run)
    assert found.pop("peak_memory") > 2**20
    assert found == {
        "first_answer": 1.5,
        "first_token": 0.5,
        "seconds_per_token": 2.0,
        "tokens_per_second_together": 2.0,
    }


def test_the_first_answer_is_compared_with_later_ones() -> None:
    assert answer.compare_first([3.0, 2.0, 1.0, 4.0]) == {"seconds": 1.0, "first": 3.0, "first_ratio": 1.5}
    assert answer.compare_first([3.0]) == {"seconds": 3.0, "first": 3.0}
