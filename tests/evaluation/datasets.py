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

from nano import scenes
from nano.scenes.scene import Scene

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
    import pyarrow
    from pyarrow import parquet

    table = [
        {
            "questionId": str(row["id"]),
            "question": "What is there?",
            "image": {"bytes": row["image"], "path": None},
            "answers": [row["kind"]] * 10,
        }
        for row in rows
    ]
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
