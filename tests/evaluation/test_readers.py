from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.errors import SettingsError
from dsvl2_app.evaluation.questions import Question, RowError, read_question
from dsvl2_app.evaluation.readers import BadRow, Rows
from tests.evaluation.datasets import (
    ask_for_kinds,
    draw,
    encode,
    write_coco,
    write_mathvista_parquet,
    write_mme_parquet,
    write_mmstar_parquet,
    write_parquet,
    write_refcoco_parquet,
    write_tsv,
)

PICTURE = encode(Image.new("RGB", (40, 30), "red"))
WHOLE = {"question": "Which?", "image": PICTURE, "answer": "red"}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 40])
def test_parquet_has_what_was_written(tmp_path: Path, count: int) -> None:
    rows = ask_for_kinds(count)
    half = count // 2
    write_parquet(tmp_path / "test-00000-of-00002.parquet", rows[:half])
    write_parquet(tmp_path / "test-00001-of-00002.parquet", rows[half:])
    found = list(Rows(tmp_path).read())
    assert [question.id for question in found] == [str(row["id"]) for row in rows]
    for question, row in zip(found, rows, strict=True):
        assert question.truths == (row["kind"],) * 10 and question.options == {} and question.box is None
        assert question.pictures[0].source == row["image"]


@pytest.mark.slow
def test_parquet_of_every_layout(tmp_path: Path) -> None:
    rows = ask_for_kinds(3)
    found = list(Rows(write_mmstar_parquet(tmp_path / "mmstar.parquet", rows)).read())
    for question, row in zip(found, rows, strict=True):
        assert (question.prompt, question.kind, question.truths) == ("What is there?", "shapes", (row["letter"],))
        assert question.options == dict(zip("ABCD", row["options"], strict=True))

    found = list(Rows(write_refcoco_parquet(tmp_path / "refcoco.parquet", 4)).read())
    assert [question.id for question in found] == ["0", "1", "1", "2", "3", "3"]  # a question for each phrase
    assert [question.number for question in found] == [1, 2, 3, 4, 5, 6]
    boxes = {str(number): scene.objects[0].box for number, scene in enumerate(draw(4))}
    for question in found:
        assert question.box == boxes[question.id] and "caption" not in question.prompt and question.truths == ()

    found = list(Rows(write_mme_parquet(tmp_path / "mme.parquet", 3)).read())
    assert [question.truths for question in found] == [("Yes",), ("No",)] * 3
    assert [question.group for question in found] == [f"existence/{number // 2}.png" for number in range(6)]

    found = list(Rows(write_mathvista_parquet(tmp_path / "mathvista.parquet", 4)).read())
    many = [str(len(scene.objects)) for scene in draw(4)]
    assert [question.truths for question in found] == [(many[0],), ("B",), (many[2],), ("B",)]


def test_a_tsv_has_what_was_written(tmp_path: Path) -> None:
    rows = ask_for_kinds(5)
    found = list(Rows(write_tsv(tmp_path / "data.tsv", rows)).read())
    for question, row, scene in zip(found, rows, draw(5), strict=True):
        assert (question.id, question.prompt, question.kind) == (str(row["id"]), "What is there?", "shapes")
        assert question.options == dict(zip("ABCD", row["options"], strict=True))
        assert question.options[question.truths[0]] == row["kind"]
        assert question.pictures[0].open().tobytes() == scene.picture.tobytes()


def test_a_row_of_a_tsv_may_name_the_one_that_has_its_picture(tmp_path: Path) -> None:
    long = base64.b64encode(PICTURE).decode()
    file = tmp_path / "data.tsv"
    lines = ["index\timage\tquestion\tanswer", f"7\t{long}\tWhich?\tred", "1000007\t7\tAnd?\tred", "8\t9\tNo?\tred"]
    file.write_text("\n".join(lines), encoding="utf-8")
    first, second, third = Rows(file).read()
    assert isinstance(first, Question) and isinstance(second, Question)
    assert first.pictures == second.pictures and second.prompt == "And?"
    assert third == BadRow(3, "it has no picture")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_coco_has_what_was_drawn(tmp_path: Path, elsewhere: bool) -> None:
    file = write_coco(tmp_path / "refcoco.json", 4)
    if elsewhere:
        (tmp_path / "notes").mkdir()
        file = file.rename(tmp_path / "notes" / file.name)
    found = list(Rows(file, tmp_path if elsewhere else None).read())
    for question, scene in zip(found, draw(4), strict=True):
        thing = scene.objects[0]
        assert question.box == thing.box and question.truths == ()
        assert question.prompt == f"the {thing.colour} {thing.kind}" and question.pictures[0].size == scene.size


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"question": None}, "it has no question"),
        ({"question": "  "}, "it has no question"),
        ({"question": 5}, "it has no question"),
        ({"image": None}, "it has no picture"),
        ({"image": b""}, "its picture is empty"),
        ({"image": {"bytes": None, "path": "a.png"}}, "its picture is empty"),
        ({"image": b"no picture"}, "its picture cannot be read: "),
        ({"image": PICTURE[:-30]}, "its picture cannot be read: "),
        ({"image": "***"}, "its picture is not base64"),
        ({"image": Path("/nowhere/a.png")}, "its picture cannot be read: "),
        ({"answer": None}, "it has no answer"),
        ({"answer": []}, "it has no answer"),
        ({"answer": " "}, "it has no answer"),
        ({"options": ["a"] * 27}, "it has 27 options, more than letters"),
        ({"bbox": []}, "its box [] is not four numbers"),
        ({"bbox": [1, 2, 3]}, "its box [1, 2, 3] is not four numbers"),
        ({"bbox": [1, 2, "3", 4]}, "its box [1, 2, '3', 4] is not four numbers"),
        ({"bbox": [1, 2, float("nan"), 4]}, "its box [1, 2, nan, 4] is not four numbers"),
        ({"bbox": [10, 10, -5, 5]}, "its box [10, 10, -5, 5] is empty"),
        ({"bbox": [10, 10, 0, 5]}, "its box [10, 10, 0, 5] is empty"),
        ({"bbox": [40, 0, 5, 5]}, "its box [40, 0, 5, 5] is outside of the picture"),
    ],
)
def test_what_a_row_lacks_is_said(changed: dict[str, Any], reason: str) -> None:
    assert read_question(WHOLE, 1).truths == ("red",)
    with pytest.raises(RowError) as raised:
        read_question(WHOLE | changed, 1)
    assert str(raised.value).startswith(reason)


def test_bad_rows_have_their_number_and_the_others_are_read(tmp_path: Path) -> None:
    rows = ask_for_kinds(4)
    rows[1]["image"] = b"no picture, though long enough to be one in base64 " * 3
    rows[2]["letter"] = ""
    found = list(Rows(write_tsv(tmp_path / "data.tsv", rows)).read())
    assert [type(each) for each in found] == [Question, BadRow, BadRow, Question]
    assert str(found[1]).startswith("row 2 is left out: its picture cannot be read: ")
    assert str(found[2]) == "row 3 is left out: it has no answer"


def test_a_picture_that_coco_names_and_nobody_has_is_a_bad_row(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "refcoco.json", 3)
    (tmp_path / "1.png").unlink()
    found = json.loads(file.read_text())
    found["annotations"][2]["image_id"] = 5
    file.write_text(json.dumps(found))
    assert [type(each) for each in Rows(file).read()] == [Question, BadRow, BadRow]


@pytest.mark.parametrize(
    ("row", "options", "truths"),
    [
        ({"options": ["x", "y", "z"], "answer": "2"}, {"A": "x", "B": "y", "C": "z"}, ("C",)),  # AI2D
        ({"options": "['x', 'y']", "answer": "B"}, {"A": "x", "B": "y"}, ("B",)),  # MMMU
        ({"options": "[]", "answer": "2"}, {}, ("2",)),  # and MMMU's open questions
        ({"A": "1", "B": "2", "C": "", "answer": "A"}, {"A": "1", "B": "2"}, ("A",)),  # VLMEvalKit
        ({"answer": "['one', 'two']"}, {}, ("one", "two")),
        ({"answer": "[1, 2]"}, {}, ("[1, 2]",)),
        ({"answer": "[1, 2"}, {}, ("[1, 2",)),
        ({"answer": 5}, {}, ("5",)),
        ({"answers": ["one"], "answer": "two"}, {}, ("one",)),
        ({"label": ["one"], "answer": None}, {}, ("one",)),
    ],
)
def test_options_and_truths_as_data_sets_write_them(row, options: dict[str, str], truths: tuple[str, ...]) -> None:
    question = read_question(WHOLE | row, 3)
    assert (question.options, question.truths, question.id) == (options, truths, "3")


def test_a_row_of_mathvista_has_its_form_its_unit_and_the_letter_of_its_answer() -> None:
    row = {"pid": "7", "question": "Which?", "image": "images/7.jpg", "decoded_image": {"bytes": PICTURE, "path": None},
           "choices": ["2", "3", "1"], "unit": None, "precision": None, "answer": "1", "question_type": "multi_choice",
           "answer_type": "text", "metadata": {"task": "figure question answering", "split": "testmini"}}  # fmt: skip
    found = read_question(row, 1)
    assert (found.id, found.truths, found.kind) == ("7", ("C",), "figure question answering")
    assert (found.split, found.answer_type, found.precision) == ("testmini", "text", 0)
    free = {"choices": None, "question_type": "free_form", "answer_type": "float", "precision": 2.0, "unit": "$"}
    found = read_question(row | free, 1)
    assert (found.options, found.truths, found.precision, found.unit) == ({}, ("1",), 2, "$")
    tsv = {"choices": "['2', '3', '1']", "answer_option": "C", "image": PICTURE, "decoded_image": None}
    assert read_question(row | tsv, 1).truths == ("C",)
    with pytest.raises(RowError, match="its precision 'many' is no number"):
        read_question(row | {"precision": "many"}, 1)


def test_options_inside_of_a_question_are_taken_out() -> None:
    row = WHOLE | {"question": "Where?\nOptions: A: here, B: there", "answer": "B"}
    found = read_question(row, 1)
    assert (found.prompt, found.options, found.truths) == ("Where?", {"A": "here", "B": "there"}, ("B",))
    assert read_question(WHOLE | {"question": "Which letter?", "answer": "B"}, 1).options == {}


def test_rows_about_one_picture_have_one_group() -> None:
    assert read_question(WHOLE | {"question_id": "OCR/1.png"}, 1).group == "OCR/1.png"  # MME's parquet
    assert read_question(WHOLE | {"index": 5, "image_path": "OCR/1.png"}, 1).group == "OCR/1.png"  # and its TSV


def test_mmmu_has_its_pictures_in_columns_of_their_own() -> None:
    row = {"question": "Which?", "answer": "A", "image_1": {"bytes": PICTURE}, "image_2": {"bytes": PICTURE}}
    assert len(read_question(row | {"image_3": None}, 1).pictures) == 2


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("data.csv", "a", "ends in none of .parquet, .tsv, .json"),
        ("data.json", "{", 'is no JSON with "images" and "annotations"'),
        ("data.json", "[]", 'is no JSON with "images" and "annotations"'),
        ("data.tsv", "\ud800", "is no table in UTF-8"),
        ("data.parquet", "a", "is no whole parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsError, match=sentence):
        list(Rows(file).read())


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for path, sentence in ((tmp_path, "has no parquet file"), (tmp_path / "a.tsv", "is not there")):
        with pytest.raises(SettingsError, match=sentence):
            list(Rows(path).read())
