"""One run by several processes, started by `--processes` and by accelerate's own command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsvl2_app.__main__ import main
from dsvl2_app.evaluation.answers import Answers, Line, take_in_parts
from dsvl2_app.evaluation.shares import Share
from tests.evaluation.datasets import ask_for_kinds, write_tsv

ABOUT = {"task": "ai2d"}


def line(number: int, raw: str = "A") -> Line:
    return Line(number, str(number), "", "Which?", ["A"], raw, "A", 1.0)


def test_every_row_belongs_to_one_process() -> None:
    for count in (1, 2, 3, 5):
        shares = [Share(index, count) for index in range(count)]
        for number in range(1, 40):
            assert sum(share.has(number) for share in shares) == 1
    assert Share() == Share.find() and Share().gather([3]) == [3]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_parts_are_taken_in_by_the_number_of_the_row(tmp_path: Path, count: int) -> None:
    with Answers.open(tmp_path, ABOUT) as answers:
        answers.add(line(1))
    for index in range(count):
        with Answers.open(tmp_path, ABOUT, part=index) as answers:
            assert answers.known == {1}
            for number in range(2 + index, 8, count):
                answers.add(line(number))
    part = tmp_path / "answers.part-0.jsonl"
    part.write_bytes(part.read_bytes()[:-5])  # the last line is cut off
    take_in_parts(tmp_path, ABOUT)
    lost = max(range(2, 8, count))
    with Answers.open(tmp_path, ABOUT) as answers:
        assert [each.number for each in answers.lines] == [each for each in range(1, 8) if each != lost]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl"]


def test_several_processes_need_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--task", "ai2d", "--data", "a.tsv"]
    assert main([*command, "--processes", "2"]) == 2
    assert "Several processes need --out" in capsys.readouterr().err
    assert main([*command, "--processes", "0"]) == 2
    assert capsys.readouterr().err == "--processes is 0; choose 1 or more.\n"


@pytest.mark.slow
def test_two_processes_write_what_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Started both ways; the first goes on from what a run that was interrupted left of its second row."""
    rows = ask_for_kinds(7)
    rows[3]["image"] = b"no picture"
    data = write_tsv(tmp_path / "a.tsv", rows)
    command = ["eval", "--task", "ai2d", "--data", str(data), "--json", "--threads", "1"]
    monkeypatch.setenv("DSVL2_BACKEND", "scripted")
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert (alone["questions"], alone["left_out"]) == (6, 1)

    whole = (tmp_path / "one" / "answers.jsonl").read_bytes()
    head, *lines = whole.splitlines(keepends=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "answers.jsonl").write_bytes(head)
    (tmp_path / "two" / "answers.part-1.jsonl").write_bytes(head + lines[1] + lines[2][:9])
    (tmp_path / "two" / "pictures").mkdir()
    (tmp_path / "two" / "pictures" / "2.jpg").write_bytes((tmp_path / "one" / "pictures" / "2.jpg").read_bytes())
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    launched = [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", "dsvl2_app", *command]
    ours = [sys.executable, "-m", "dsvl2_app", *command, "--processes", "2"]
    for name, run in (("two", launched), ("three", ours)):
        done = subprocess.run(
            [*run, "--out", str(tmp_path / name)], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True,
            text=True, timeout=200, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == alone
        assert done.stderr.count("row 4 is left out") == 1 and "Questions" not in done.stderr  # no bar: no terminal
        assert (tmp_path / name / "answers.jsonl").read_bytes() == whole
        assert not list((tmp_path / name).glob("answers.part-*"))
        assert (tmp_path / name / "report.html").read_bytes() == (tmp_path / "one" / "report.html").read_bytes()
