"""`dsvl2 eval --task` with answers that are known beforehand, whole, limited, interrupted and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsvl2_app.__main__ import main
from dsvl2_app.backend import scripted
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.errors import PromptError, ServerError
from dsvl2_app.request import Request
from tests.evaluation.datasets import (
    ask_for_kinds,
    write_coco,
    write_mme_parquet,
    write_ocrbench_tsv,
    write_refcoco_parquet,
    write_tsv,
)


class Answering(ScriptedBackend):
    """Says what `answers` has for the how many-th request; an error there is raised when the stream is read."""

    def __init__(self, answers: list[str | Exception]) -> None:
        super().__init__(pause=0)
        self.answers, self.open, self.most_open = answers, 0, 0

    def submit(self, request: Request) -> Stream:
        self.say = self.answers[len(self.requests)]
        self.requests.append(request)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        stream = Stream(on_cancel=self._end_one)
        self._write(stream, request)
        return stream

    def _end_one(self) -> None:
        self.open -= 1


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch):
    def use(answers: list[str | Exception]) -> Answering:
        backend = Answering(answers)
        monkeypatch.setattr(scripted, "load", lambda _: backend)
        monkeypatch.setenv("DSVL2_BACKEND", "scripted")
        return backend

    return use


def read_summary(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], dict[str, Any], str]:
    """Lines before, the JSON object, and what went to stderr."""
    out, err = capsys.readouterr()
    *lines, last = out.splitlines()
    return lines, json.loads(last), err


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]


def test_a_benchmark_from_file_to_summary(tmp_path: Path, use, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ask_for_kinds(5)
    rows[1]["image"] = b"no picture, but long enough to be taken for one in a table" * 2
    data = write_tsv(tmp_path / "mmstar.tsv", rows)
    right = [row["letter"] for row in rows if row["id"] != 1]
    backend = use([f"{right[0]}.", f"The answer is {right[1]}", "No idea", right[3]])
    out = tmp_path / "run"
    assert main(["eval", "--task", "mmstar", "--data", str(data), "--out", str(out), "--batch", "3"]) == 0
    (line,), summary, err = read_summary(capsys)
    assert summary == {
        "model": "script",
        "task": "mmstar",
        "metric": "accuracy",
        "score": 75.0,
        "questions": 4,
        "left_out": 1,
        "paper": {"tiny": 45.9, "small": 57.0, "base": 61.3},
        "vlmevalkit": {"tiny": 49.3, "small": 57.0},
    }
    assert line == (
        "mmstar: accuracy 75.00 over 4 questions, rows left out: 1; DeepSeek's paper: tiny 45.9, small 57, base 61.3; "
        "DeepSeek with VLMEvalKit: tiny 49.3, small 57"
    )
    assert err.startswith("row 2 is left out: its picture cannot be read: ")
    head, *lines = read_lines(out)
    assert head == {"task": "mmstar", "model": "script", "source": "a script", "data": str(data)}
    assert [each["number"] for each in lines] == [1, 3, 4, 5] and [each["score"] for each in lines] == [1, 1, 0, 1]
    assert lines[2] | {"truths": [], "id": "", "kind": "", "group": "", "size": []} == {
        "number": 4, "id": "", "kind": "", "question": "What is there?", "truths": [], "raw": "No idea",
        "extracted": "", "score": 0.0, "group": "", "size": [],
    }  # fmt: skip
    assert backend.most_open == 3 and backend.open == 0
    assert {request.sampling.max_new_tokens for request in backend.requests} == {512}


def test_an_interrupted_run_goes_on(tmp_path: Path, use, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ask_for_kinds(6)
    command = ["eval", "--task", "ai2d", "--data", str(write_tsv(tmp_path / "a.tsv", rows)), "--batch", "1"]
    letters = [row["letter"] for row in rows]
    use(letters)
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    _, whole, _ = read_summary(capsys)

    use([*letters[:3], ServerError("It is gone.")])
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == "It is gone.\n"
    file = tmp_path / "run" / "answers.jsonl"
    file.write_bytes(file.read_bytes()[:-9])  # the third line is cut off
    backend = use(letters[2:])
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    assert len(backend.requests) == 4 and read_summary(capsys)[1] == whole
    assert file.read_bytes() == (tmp_path / "whole" / "answers.jsonl").read_bytes()

    backend = use([])
    assert main([*command, "--out", str(tmp_path / "run"), "--limit", "2", "--json"]) == 0
    lines, summary, _ = read_summary(capsys)
    assert not backend.requests and not lines and summary["questions"] == 2


def test_a_limit_is_of_rows_and_can_be_raised(tmp_path: Path, use, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ask_for_kinds(4)
    data = write_tsv(tmp_path / "a.tsv", rows)
    command = ["eval", "--task", "mmbench", "--data", str(data), "--out", str(tmp_path / "run")]
    use(["E"] * 4)
    assert main([*command, "--limit", "3"]) == 0 and read_summary(capsys)[1]["questions"] == 3
    backend = use([rows[3]["letter"]])
    assert main(command) == 0
    _, summary, _ = read_summary(capsys)
    assert (summary["questions"], summary["score"], len(backend.requests)) == (4, 25.0, 1)
    assert summary["parts"] == {"every rotation by itself": 25.0}


def test_every_rotation_is_asked_where_wanted(tmp_path: Path, use, capsys: pytest.CaptureFixture[str]) -> None:
    """One who always says A is right once in a circle, and so never; one who knows the text always is."""
    rows = ask_for_kinds(2)
    command = ["eval", "--task", "ai2d", "--data", str(write_tsv(tmp_path / "a.tsv", rows)), "--circular"]
    use(["A"] * 8)
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    _, summary, _ = read_summary(capsys)
    assert (summary["metric"], summary["questions"], summary["score"]) == ("circular accuracy", 8, 0)
    assert summary["parts"] == {"every rotation by itself": 25.0}
    numbers = [each["number"] for each in read_lines(tmp_path / "run")[1:]]
    assert numbers == sorted([turn * 1_000_000 + row for turn in range(4) for row in (1, 2)])
    backend = use(["A"] * 8)
    assert main([*command, "--out", str(tmp_path / "run")]) == 0 and not backend.requests
    assert read_summary(capsys)[1] == summary
    assert main([*command[:-1], "--out", str(tmp_path / "run")]) == 2
    assert "is of another run" in capsys.readouterr().err
    use([kind for row in rows for kind in [row["kind"]] * 4])
    assert main([*command, "--batch", "3"]) == 0 and read_summary(capsys)[1]["score"] == 100


def test_a_question_that_cannot_be_asked_is_left_out(tmp_path: Path, use, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_coco(tmp_path / "refcoco.json", 3)
    use(["nothing", PromptError("It is too long."), "<|det|>[[0, 0, 1, 1]]<|/det|>"])
    assert main(["eval", "--task", "refcoco", "--data", str(data)]) == 0
    (line,), summary, err = read_summary(capsys)
    assert (summary["questions"], summary["left_out"], summary["score"]) == (2, 1, 0.0)
    assert err == "row 2 is left out: It is too long.\n" and line.endswith("tiny 84.7, small 93.9, base 95.1")


def test_boxes_are_scored_against_what_was_drawn(tmp_path: Path, use, capsys: pytest.CaptureFixture[str]) -> None:
    from nano.scenes.scene import scale_box
    from tests.evaluation.datasets import draw

    boxes = [list(scale_box(scene.objects[0].box, scene.size)) for scene in draw(4)]
    use([f"<|ref|>it<|/ref|><|det|>{[box]}<|/det|>" for box in boxes])
    data = write_coco(tmp_path / "refcoco.json", 4)
    assert main(["eval", "--task", "refcoco", "--data", str(data), "--json"]) == 0
    assert read_summary(capsys)[1]["score"] == 100.0


@pytest.mark.slow
def test_nano_answers_alike_one_by_one_and_several_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_coco(tmp_path / "refcoco.json", 12)
    found = []
    for batch in ("1", "4"):
        command = ["eval", "--task", "refcoco", "--data", str(data), "--batch", batch, "--threads", "1"]
        assert main([*command, "--dtype", "float32", "--out", str(tmp_path / batch)]) == 0
        found.append((read_lines(tmp_path / batch)[1:], read_summary(capsys)[1]))
    assert found[0] == found[1]
    assert found[0][1]["questions"] == 12 and found[0][1]["score"] >= 50


@pytest.mark.slow
def test_nano_reaches_what_it_can_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """COCO's JSON is in the test above. Two rows are spoilt: they are told, counted and not scored."""
    words = write_ocrbench_tsv(tmp_path / "ocrbench.tsv", 10)
    lines = words.read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].replace(lines[3].split("\t")[1], "x" * 100)
    lines[4] = "\t".join([*lines[4].split("\t")[:2], "", *lines[4].split("\t")[3:]])
    words.write_text("\n".join(lines), encoding="utf-8")
    boxes = write_refcoco_parquet(tmp_path / "refcoco.parquet", 8)
    pairs = write_mme_parquet(tmp_path / "mme.parquet", 6)
    found = {}
    for task, data in (("ocrbench", words), ("refcoco", boxes), ("mme", pairs)):
        command = ["eval", "--task", task, "--data", str(data), "--out", str(tmp_path / task), "--threads", "1"]
        assert main(command) == 0
        _, found[task], err = read_summary(capsys)
        assert (
            (task == "ocrbench")
            == ("row 3 is left out: its picture" in err)
            == ("row 4 is left out: it has no q" in err)
        )
        assert json.loads((tmp_path / task / "summary.json").read_text()) == found[task]
        assert (tmp_path / task / "report.html").is_file()
    assert {task: (each["questions"], each["left_out"]) for task, each in found.items()} == {
        "ocrbench": (8, 2), "refcoco": (12, 0), "mme": (12, 0),
    }  # fmt: skip
    assert found["ocrbench"]["score"] >= 6 and found["refcoco"]["score"] >= 50 and found["mme"]["score"] >= 150


def test_nothing_to_score_is_no_number(tmp_path: Path, use, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_tsv(tmp_path / "a.tsv", ask_for_kinds(2))
    use([])
    assert main(["eval", "--task", "textvqa", "--data", str(data)]) == 0
    (line,), summary, _ = read_summary(capsys)
    assert summary["score"] is None and summary["left_out"] == 2 and "nothing to score over 0" in line


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--task", "docvqa"], "--task needs --data"),
        (["--task", "docvqa", "--data", "a.csv"], "a.csv ends in none of"),
        (["--task", "docvqa", "--data", "a.tsv", "--batch", "0"], "--batch is 0; choose a number from 1 to 32."),
        (["--task", "docvqa", "--data", "a.tsv", "--batch", "33"], "--batch is 33"),
        (["--task", "docvqa", "--data", "a.tsv", "--limit", "0"], "--limit is 0; choose 1 or more."),
        (["--task", "docvqa", "--data", "a.tsv", "--cases", "5"], "--cases does not go with --task."),
        (["--task", "docvqa", "--data", "a.tsv", "--suite", "nano"], "--suite does not go with --task."),
        (["--data", "a.tsv"], "--data does not go without --task."),
        (["--suite", "nano", "--out", "a"], "--out does not go without --task."),
        (["--batch", "1"], "--batch does not go without --task."),
        (["--circular"], "--circular does not go without --task."),
        (["--processes", "2"], "--processes does not go without --task."),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags: list[str], sentence: str, use, capsys) -> None:
    use([])
    assert main(["eval", *flags]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"task": "docvqa"}\n', "is of another run"),
        ("nothing\n", "is damaged"),
        ('{"task": "ai2d"}\n{"number": 1}\n', "is damaged"),
    ],
)
def test_a_file_of_another_run_is_kept(tmp_path: Path, text: str, sentence: str, use, capsys) -> None:
    data = write_tsv(tmp_path / "a.tsv", ask_for_kinds(1))
    (tmp_path / "answers.jsonl").write_text(text)
    use(["A"])
    assert main(["eval", "--task", "ai2d", "--data", str(data), "--out", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err and (tmp_path / "answers.jsonl").read_text() == text
