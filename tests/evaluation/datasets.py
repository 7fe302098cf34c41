"""Small data sets with a known truth, drawn as nano's scenes are, in each format in which data sets come."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from nano import scenes, tasks
from nano.scenes.scene import Scene
from nano.suite import ROWS

Row = dict[str, Any]


def draw(count: int, family: str = "shapes") -> list[Scene]:
    return [scenes.render(family, Random(900_000_000 + seed)) for seed in range(count)]


def encode(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def ask_for_kinds(count: int) -> list[Row]:
    """What the first thing of each scene is: a truth, and it among four options."""
    rows = []
    for number, scene in enumerate(draw(count)):
        kind = scene.objects[0].kind
        options = sorted({kind, *("mug", "tree", "boat")})
        letter = "ABCD"[options.index(kind)]
        rows.append({"id": number, "image": encode(scene.picture), "kind": kind, "options": options, "letter": letter})
    return rows


def write_parquet(file: Path, rows: list[Row]) -> Path:
    """As the hub has DocVQA: a picture is {"bytes": ..., "path": ...}."""
    table = [
        {
            "questionId": str(row["id"]),
            "question": "What is there?",
            "image": {"bytes": row["image"], "path": None},
            "answers": [row["kind"]] * 10,
        }
        for row in rows
    ]
    return _write_table(file, table)


def write_mmstar_parquet(file: Path, rows: list[Row]) -> Path:
    """As the hub has MMStar: options inside of the question, plain bytes in the column "image"."""
    table = [
        {
            "index": row["id"],
            "question": "What is there?\nOptions: "
            + ", ".join(f"{letter}: {text}" for letter, text in zip("ABCD", row["options"], strict=True)),
            "image": row["image"],
            "answer": row["letter"],
            "category": "shapes",
            "l2_category": "kinds",
            "meta_info": {"source": "scenes", "split": "val", "image_path": f"images/{row['id']}.png"},
        }
        for row in rows
    ]
    return _write_table(file, table)


def write_refcoco_parquet(file: Path, count: int) -> Path:
    """As the hub has RefCOCO: phrases in a list "answer", another task's question, the box as left, top, width, height.
    Every second picture has two phrases."""
    table = []
    for number, scene in enumerate(draw(count)):
        thing = scene.objects[0]
        left, top, right, bottom = thing.box
        phrases = [f"the {thing.colour} {thing.kind}", f"{thing.kind} that is {thing.colour}"]
        table.append(
            {
                "question_id": str(number),
                "image": {"bytes": encode(scene.picture), "path": f"{number}.png"},
                "question": "Please write a caption for the area that is circled.",
                "answer": phrases[: 1 + number % 2],
                "segmentation": [0.0],
                "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
                "iscrowd": 0,
                "file_name": f"{number}.png",
            }
        )
    return _write_table(file, table)


def write_mme_parquet(file: Path, count: int) -> Path:
    """As the hub has MME: two rows a picture, of which the answers are Yes and No; questions that nano knows."""
    table = []
    for number, scene in enumerate(draw(count)):
        rng = Random(number)
        questions: dict[bool, str] = {}
        while len(questions) < 2:
            turn = tasks.ask(scene, rng, "exists")
            if turn is not None:
                questions[turn.truth["yes"]] = turn.question
        for yes in (True, False):
            table.append(
                {
                    "question_id": f"existence/{number}.png",
                    "image": {"bytes": encode(scene.picture), "path": None},
                    "question": questions[yes],
                    "answer": "Yes" if yes else "No",
                    "category": "existence",
                }
            )
    return _write_table(file, table)


def write_ocrbench_tsv(file: Path, count: int) -> Path:
    """As VLMEvalKit has OCRBench: a list of answers in Python's spelling; words that nano reads."""
    (row,) = (row for row in ROWS if row.task == "read a word")
    with file.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened, delimiter="\t")
        table.writerow(["index", "image", "question", "answer", "category"])
        for number, case in enumerate(row.cases(count)):
            picture = base64.b64encode(encode(Image.fromarray(case.images[0]))).decode()
            truth = case.turn.truth["text"]
            table.writerow([number, picture, case.turn.question, repr([truth]), "Regular Text Recognition"])
    return file


def write_mathvista_parquet(file: Path, count: int) -> Path:
    """As the hub has MathVista: pictures in "decoded_image", choices or none, what is reported by in "metadata"."""
    table = []
    for number, scene in enumerate(draw(count)):
        many = len(scene.objects)
        table.append(
            {
                "pid": str(number),
                "question": "How many objects are there?",
                "image": f"images/{number}.png",
                "decoded_image": {"bytes": encode(scene.picture), "path": None},
                "choices": [str(many + step) for step in (1, 0, 2)] if number % 2 else None,
                "unit": None,
                "precision": 0.0,
                "answer": str(many),
                "question_type": "multi_choice" if number % 2 else "free_form",
                "answer_type": "text" if number % 2 else "integer",
                "metadata": {"task": "figure question answering", "skills": ["counting"], "split": "testmini"},
            }
        )
    return _write_table(file, table)


def _write_table(file: Path, table: list[Row]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(table), file)
    return file


def write_tsv(file: Path, rows: list[Row]) -> Path:
    """As VLMEvalKit has MMBench: options in columns A to D, base64 in the column "image"."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened, delimiter="\t")
        table.writerow(["index", "image", "question", "A", "B", "C", "D", "answer", "category"])
        for row in rows:
            picture = base64.b64encode(row["image"]).decode()
            table.writerow([row["id"], picture, "What is there?", *row["options"], row["letter"], "shapes"])
    return file


def write_coco(file: Path, count: int) -> Path:
    """As MDETR wrote RefCOCO: an entry of "images" for each phrase, boxes as left, top, width, height."""
    images, annotations = [], []
    for number, scene in enumerate(draw(count)):
        name = f"{number}.png"
        scene.picture.save(file.parent / name)
        thing = scene.objects[0]
        left, top, right, bottom = thing.box
        phrase = f"the {thing.colour} {thing.kind}"
        images.append({"id": 100 + number, "file_name": name, "caption": phrase})
        annotations.append({"id": number, "image_id": 100 + number, "bbox": [left, top, right - left, bottom - top]})
    file.write_text(json.dumps({"images": images, "annotations": annotations}), encoding="utf-8")
    return file
