"""Every format, read back by the rules of its own documentation."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.text.boxes import Box
from dsvl2_app.text.exports import FORMATS, Annotation

sides = st.integers(1, 8000)
coordinates = st.integers(0, 999)
labels = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@st.composite
def annotations(draw: st.DrawFn) -> Annotation:
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        (x1, x2), (y1, y2) = (sorted(draw(st.tuples(coordinates, coordinates))) for _ in range(2))
        boxes.append(Box(draw(labels), x1, y1, x2, y2))
    return Annotation("picture.jpg", draw(sides), draw(sides), tuple(boxes), "an answer")


Read = list[tuple[str, tuple[float, ...]]]  # label, and left, top, right, bottom in px


def read_json(text: str, found: Annotation) -> Read:
    return [(box["label"].strip() or "object", tuple(box["pixels"])) for box in json.loads(text)["boxes"]]


def read_csv(text: str, found: Annotation) -> Read:
    edges = ("left", "top", "right", "bottom")
    return [(row["label"], tuple(float(row[edge]) for edge in edges)) for row in csv.DictReader(io.StringIO(text))]


def read_coco(text: str, found: Annotation) -> Read:
    data = json.loads(text)
    (image,) = data["images"]
    assert (image["width"], image["height"]) == (found.width, found.height)
    names = {category["id"]: category["name"] for category in data["categories"]}
    read = []
    for annotation in data["annotations"]:
        left, top, width, height = annotation["bbox"]
        assert annotation["image_id"] == image["id"]
        assert annotation["area"] == pytest.approx(width * height)
        read.append((names[annotation["category_id"]], (left, top, left + width, top + height)))
    return read


def read_yolo(text: str, found: Annotation) -> Read:
    read = []
    for line in text.splitlines():
        number, *shares = line.split()
        x, y, width, height = map(float, shares)
        edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        sizes = (found.width, found.height) * 2
        read.append((found.labels[int(number)], tuple(e * size for e, size in zip(edges, sizes, strict=True))))
    return read


def read_label_studio(text: str, found: Annotation) -> Read:
    (task,) = json.loads(text)
    read = []
    for result in task["predictions"][0]["result"]:
        value, width, height = result["value"], result["original_width"], result["original_height"]
        left, top = value["x"] * width / 100, value["y"] * height / 100
        right, bottom = left + value["width"] * width / 100, top + value["height"] * height / 100
        read.append((value["rectanglelabels"][0], (left, top, right, bottom)))
    return read


READERS = {
    "JSON": read_json,
    "CSV": read_csv,
    "COCO": read_coco,
    "YOLO": read_yolo,
    "Label Studio": read_label_studio,
}


@pytest.mark.parametrize("name", FORMATS)
@given(found=annotations())
def test_boxes_are_read_back_in_pixels(name, found):
    read = READERS[name](FORMATS[name].write(found), found)
    assert [label for label, _ in read] == [box.label.strip() or "object" for box in found.boxes]
    for (_, edges), box in zip(read, found.boxes, strict=True):
        assert edges == pytest.approx(found.pixels(box), abs=0.02)
