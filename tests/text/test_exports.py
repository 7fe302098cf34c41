"""Every format, read back by the rules of its own documentation; and by the tools that it is for, supervision and
pycocotools, with pictures of every EXIF orientation."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dsvl2_app.image.load import load_image
from dsvl2_app.text.boxes import LARGEST, Box, parse_boxes
from dsvl2_app.text.exports import FORMATS, Annotation, data_url, encode_jpeg, write_label_config, write_yolo_set

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
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:  # the apostrophe before what would be a formula is no part of it
        assert row["label"][:1] not in tuple("=+-@\t\r")
        row["label"] = re.sub(r"^'('*[=+\-@\t\r])", r"\1", row["label"])
    return [(row["label"], tuple(float(row[edge]) for edge in edges)) for row in rows]


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


def test_every_format_but_the_names_of_classes_has_boxes():
    assert {*READERS, "data.yaml", "Label Studio's labels"} == {*FORMATS}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@given(found=annotations())
def test_boxes_are_read_back_in_pixels(name, found):
    read = READERS[name](FORMATS[name].write(found), found)
    assert [label for label, _ in read] == [box.label.strip() or "object" for box in found.boxes]
    for (_, edges), box in zip(read, found.boxes, strict=True):
        assert edges == pytest.approx(found.pixels(box), abs=0.02)


@given(found=annotations())
def test_names_of_classes_are_read_by_yaml(found):
    assert yaml.safe_load(FORMATS["data.yaml"].write(found))["names"] == (dict(enumerate(found.labels)) or None)


@given(found=annotations())
def test_label_studio_s_interface_names_what_its_tasks_refer_to(found):
    image, (control, labels) = (view := ElementTree.fromstring(write_label_config(found)))[0], (view[1], [*view[1]])
    assert (image.tag, image.attrib["value"]) == ("Image", "$image")
    assert [label.attrib["value"] for label in labels] == [re.sub("[\ufffe\uffff]", "", each) for each in found.labels]
    assert all(re.fullmatch("#[0-9a-f]{6}", label.attrib["background"]) for label in labels)
    (task,) = json.loads(FORMATS["Label Studio"].write(replace(found, corrected=True)))
    assert task["data"].keys() == {"image"} and "predictions" not in task
    for result in task["annotations"][0]["result"]:
        assert (result["from_name"], result["to_name"]) == (control.attrib["name"], image.attrib["name"])
        assert control.attrib["toName"] == image.attrib["name"] and control.tag.lower() == result["type"]


HILL, LAKE = Box("hill", 0, 0, 99, 99), Box("lake", 0, 0, 500, 500)


def test_a_class_keeps_its_number_in_later_pictures():
    first = Annotation("a.png", 90, 60, (HILL, LAKE))
    second = Annotation("b.png", 90, 60, (LAKE, Box("boat", 1, 1, 2, 2)), names=tuple(first.labels))
    assert [line.split()[0] for line in FORMATS["YOLO"].write(second).splitlines()] == ["1", "2"]
    assert FORMATS["data.yaml"].write(second) == 'names:\n  0: "hill"\n  1: "lake"\n  2: "boat"\n'


def test_ids_of_two_pictures_never_meet():
    one, other = (
        json.loads(FORMATS["COCO"].write(Annotation(name, 90, 60, (HILL, LAKE)))) for name in ("a.png", "b.png")
    )
    ids = [[image["id"] for image in data["images"]] for data in (one, other)]
    assert ids[0] != ids[1] and all(0 <= number < 2**31 for (number,) in ids)
    assert not {each["id"] for each in one["annotations"]} & {each["id"] for each in other["annotations"]}
    assert one == json.loads(FORMATS["COCO"].write(Annotation("a.png", 90, 60, (HILL, LAKE))))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1:A9)", "'=1", "''@x"])
def test_no_cell_is_a_formula(text):
    table = FORMATS["CSV"].write(Annotation(f"{text}.png", 90, 60, (Box(text, 1, 2, 3, 4),)))
    name, label = list(csv.reader(io.StringIO(table)))[1][:2]
    assert (name, label) == (f"'{text}.png", f"'{text}")
    assert "'" not in FORMATS["CSV"].write(Annotation("it's.png", 90, 60, (Box("a=1", 1, 2, 3, 4),))).replace(
        "it's", ""
    )


def test_a_task_of_label_studio_brings_its_picture():
    picture = Image.effect_noise((90, 60), 60).convert("RGB")
    found = Annotation("a hill.png", 90, 60, (HILL,))
    (task,) = json.loads(FORMATS["Label Studio"].write(found))
    assert task["data"]["image"] == "/data/local-files/?d=a%20hill.png"
    (task,) = json.loads(FORMATS["Label Studio"].write(replace(found, address=data_url(picture))))
    head, _, content = task["data"]["image"].partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as read:
        assert read.size == (90, 60) and np.abs(np.asarray(read.convert("RGB")).astype(int) - picture).mean() < 5


# --- other tools ------------------------------------------------------------------------------------------

THEIRS = pytest.mark.filterwarnings("ignore")
SIZE = (640, 300)  # px, upright
THING = (400, 30, 560, 90)  # where the picture is red, right and bottom excluded
# The transposition that turns an upright picture into what is stored with that orientation.
STORED: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
LABELS = ("thing", "狗", "the <b> one")


def save_picture(folder: Path, orientation: int) -> Path:
    upright = Image.new("RGB", SIZE, "navy")
    upright.paste("red", THING)
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / "picture.jpg"
    stored = upright.transpose(turn) if turn is not None else upright
    stored.save(path, exif=exif, quality=95)
    assert ImageOps.exif_transpose(Image.open(path)).size == SIZE
    return path


def annotate(path: Path) -> Annotation:
    """An answer with a box around the red pixels, and two fixed boxes."""
    image = load_image(path)
    pixels = np.asarray(image).astype(int)
    rows, columns = np.nonzero(pixels[..., 0] - pixels[..., 2] > 60)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    corners = [round(edge * LARGEST / side) for edge, side in zip(edges, image.size * 2, strict=True)]
    boxes = (Box(LABELS[0], *corners), Box(LABELS[1], 0, 0, 999, 999), Box(LABELS[2], 7, 8, 9, 300))
    return Annotation(path.name, *image.size, boxes)


def is_red(image: np.ndarray, box: Any) -> bool:
    """Whether the pixels [height, width, BGR] inside the box, without its rim, are red, and none around it is."""
    left, top, right, bottom = (round(float(edge)) for edge in box)
    red = image[..., 2].astype(int) - image[..., 0] > 60
    inside = red[top + 2 : bottom - 2, left + 2 : right - 2]
    return bool(inside.all()) and red.sum() <= (bottom - top + 4) * (right - left + 4)


@pytest.mark.slow
@THEIRS
@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("format", ["COCO", "YOLO"])
def test_supervision_finds_the_thing_in_the_picture(tmp_path, orientation, format):
    supervision = pytest.importorskip("supervision")
    found = annotate(save_picture(tmp_path, orientation))
    written = tmp_path / f"picture{FORMATS[format].suffix}"
    written.write_text(FORMATS[format].write(found), encoding="utf-8")
    if format == "COCO":
        data = supervision.DetectionDataset.from_coco(str(tmp_path), str(written))
    else:
        names = tmp_path / "data.yaml"
        names.write_text(FORMATS["data.yaml"].write(found), encoding="utf-8")
        data = supervision.DetectionDataset.from_yolo(str(tmp_path), str(tmp_path), str(names))
    ((_, image, detections),) = list(data)
    assert image.shape[1::-1] == SIZE
    assert detections.xyxy == pytest.approx(np.array([found.pixels(box) for box in found.boxes]), abs=0.05)
    # COCO readers may number the classes anew, in the order of their names' ids
    assert [data.classes[number] for number in detections.class_id] == list(LABELS)
    assert is_red(image, detections.xyxy[0])


@THEIRS
def test_pycocotools_measures_full_agreement(tmp_path, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    found = annotate(save_picture(tmp_path, 6))
    written = tmp_path / "coco.json"
    written.write_text(FORMATS["COCO"].write(found), encoding="utf-8")
    truth = coco.COCO(str(written))
    assert [category["name"] for category in truth.loadCats(truth.getCatIds())] == list(LABELS)
    (picture,) = truth.getImgIds()
    guesses = [
        {"image_id": picture, "category_id": number, "score": 1.0, "bbox": [left, top, right - left, bottom - top]}
        for number, box in enumerate(found.boxes, start=1)
        for left, top, right, bottom in [found.pixels(box)]
    ]
    scores = evaluation.COCOeval(truth, truth.loadRes(guesses), "bbox")
    for step in (scores.evaluate, scores.accumulate, scores.summarize):
        step()
    assert scores.stats[0] == pytest.approx(1)  # average precision over IoU 0.5 to 0.95


@THEIRS
def test_supervision_reads_the_same_boxes_from_an_answer():
    supervision = pytest.importorskip("supervision")
    answer = "".join(
        f"<|ref|>{label}<|/ref|><|det|>[[{10 * at}, 20, 500, 999], [0, 0, 999, {at}]]<|/det|>"
        for at, label in enumerate(LABELS)
    )
    theirs = supervision.Detections.from_vlm(supervision.VLM.DEEPSEEK_VL_2, answer, resolution_wh=SIZE)
    ours = parse_boxes(answer).boxes
    assert theirs.xyxy == pytest.approx(np.array([box.pixels(*SIZE) for box in ours]), abs=1e-3)
    assert list(theirs.data["class_name"]) == [box.label for box in ours]


@pytest.mark.slow
def test_supervision_reads_a_whole_set(tmp_path):
    supervision = pytest.importorskip("supervision")
    box = Box("dog", 100, 100, 500, 600)
    pictures = [Image.new("RGB", (200, 100), "green"), Image.new("RGB", (90, 300), "blue")]
    found = [
        (Annotation("a.png", 200, 100, (box,)), encode_jpeg(pictures[0])),
        (Annotation("a.tif", 90, 300, (replace(box, label="cat"), box), page=2), encode_jpeg(pictures[1])),
        (Annotation("a.jpg", 200, 100, (replace(box, label="cat"),)), encode_jpeg(pictures[0])),
        (Annotation("a.gif", 90, 300, (box,), page=2, kind="frame"), encode_jpeg(pictures[1])),
    ]
    with zipfile.ZipFile(io.BytesIO(write_yolo_set(found))) as archive:
        archive.extractall(tmp_path)
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == ["a-3.jpg", "a-frame-2.jpg", "a-page-2.jpg", "a.jpg"]
    read = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "data.yaml")
    )
    assert read.classes == ["dog", "cat"]
    classes = {path.split("/")[-1]: detections.class_id.tolist() for path, _, detections in read}
    assert classes == {"a.jpg": [0], "a-page-2.jpg": [1, 0], "a-3.jpg": [1], "a-frame-2.jpg": [0]}


def test_a_set_has_the_classes_of_its_own_boxes_alone():
    """In a session some labels were searched in pictures that are in no set, or corrected since."""
    picture = encode_jpeg(Image.new("RGB", (90, 60)))
    first = Annotation("a.png", 90, 60, (LAKE,), names=("typo", "hill"))
    second = Annotation("b.png", 90, 60, (HILL, LAKE), names=("typo", "hill", "lake"))
    for found, classes in (([first], ["lake"]), ([first, second], ["lake", "hill"])):
        with zipfile.ZipFile(io.BytesIO(write_yolo_set([(each, picture) for each in found]))) as archive:
            data = yaml.safe_load(archive.read("data.yaml"))
            numbers = [archive.read(f"labels/{name}.txt").split()[::5] for name in ("a", "b")[: len(found)]]
        assert (data["nc"], data["names"]) == (len(classes), dict(enumerate(classes)))
        assert numbers == [[b"0"], [b"1", b"0"]][: len(found)]


@THEIRS
@pytest.mark.slow
def test_label_studio_reads_boxes_to_the_pixel(tmp_path):
    """By its own converter, with the numbers that it gives tasks when they are imported."""
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    converter = pytest.importorskip("label_studio_sdk.converter")
    boxes = tuple(Box(label, 10 * at, 20, 500 + at, 999) for at, label in enumerate(LABELS))
    found = Annotation("a hill.png", *SIZE, boxes, corrected=True)
    view = write_label_config(found)
    (task,) = json.loads(FORMATS["Label Studio"].write(found))
    assert interface.LabelInterface(view).validate_annotation(task["annotations"][0])
    (guess,) = json.loads(FORMATS["Label Studio"].write(replace(found, corrected=False)))
    assert interface.LabelInterface(view).validate_prediction(guess["predictions"][0], return_errors=True) == []
    task["id"] = task["annotations"][0]["id"] = 1
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    reader = converter.Converter(view, str(tmp_path), download_resources=False)
    reader.convert_to_coco(str(tmp_path / "tasks.json"), str(tmp_path), str(tmp_path / "images"), is_dir=False)
    read = json.loads((tmp_path / "result.json").read_text())
    names = {category["id"]: category["name"] for category in read["categories"]}
    assert [names[each["category_id"]] for each in read["annotations"]] == list(LABELS)
    for each, box in zip(read["annotations"], boxes, strict=True):
        left, top, width, height = each["bbox"]
        assert (left, top, left + width, top + height) == pytest.approx(found.pixels(box), abs=0.01)
