"""Boxes on a picture -> the files that other tools read. Pixels are those of the upright picture."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dsvl2_app.text.boxes import Box

if TYPE_CHECKING:
    from PIL import Image

    from dsvl2_app.image.page_kinds import Kind

_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # the beginning of a cell that a spreadsheet would compute


_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # where YAML's strings are not those of JSON
_NO_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")  # what no attribute of it can hold
MOST_BOXES = 10_000  # in one picture


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was found on one picture."""

    picture: str  # its file name
    width: int
    height: int
    boxes: tuple[Box, ...]
    answer: str = ""  # the model's text
    address: str = ""  # of the picture: https://..., or its content as a data URL
    page: int = 0  # its number, of a document's page, a frame or a still; 0: of none
    kind: Kind = "page"  # what it is of these
    points: tuple[float, float] | None = None  # width and height of a PDF's page
    names: tuple[str, ...] = ()  # labels of pictures before it, which keep their numbers
    corrected: bool = False  # by a person, who has seen all of it

    @property
    def stem(self) -> str:
        """For names of files."""
        return PurePath(self.picture).stem + (f"-{self.kind}-{self.page}" if self.page else "")

    @property
    def labels(self) -> list[str]:
        """`names`, then every other label in order of appearance; a box without one is an "object"."""
        return list(dict.fromkeys((*self.names, *map(_label, self.boxes))))

    @property
    def number(self) -> int:
        """The same for the same picture and another for others, whenever they are written; below 2**31."""
        return zlib.crc32(f"{self.picture} {self.width}x{self.height}{self.page or ''}".encode("utf-8", "replace")) >> 1

    def pixels(self, box: Box) -> tuple[float, float, float, float]:
        return box.pixels(self.width, self.height)


def write_json(found: Annotation) -> str:
    size = found.width, found.height
    boxes = [{**asdict(box), "pixels": box.pixels(*size), "centre": box.centre(*size)} for box in found.boxes]
    if found.points:
        boxes = [{**each, "points": box.pixels(*found.points)} for each, box in zip(boxes, found.boxes, strict=True)]
    return _dump(
        {
            "picture": found.picture,
            **({"page": found.page} if found.page else {}),
            **({"points": found.points} if found.points else {}),
            "width": found.width,
            "height": found.height,
            "boxes": boxes,
            "answer": found.answer,
        }
    )


def write_csv(found: Annotation) -> str:
    """A row per box. A name or label that a spreadsheet would take for a formula has an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    more = [f"points {edge}" for edge in ("left", "top", "right", "bottom")] if found.points else []
    more += ["page"] if found.page else []
    writer.writerow(["picture", "label", "left", "top", "right", "bottom", "x1", "y1", "x2", "y2", "notes", *more])
    for box in found.boxes:
        edges = [f"{edge:.2f}" for edge in found.pixels(box)]
        texts = [_quote(found.picture), _quote(_label(box))]
        last = [f"{edge:.2f}" for edge in box.pixels(*found.points)] if found.points else []
        last += [str(found.page)] if found.page else []
        writer.writerow([*texts, *edges, *box.corners, "; ".join(box.notes), *last])
    return text.getvalue()


def write_coco(found: Annotation) -> str:
    """https://cocodataset.org/#format-data: bbox is left, top, width, height in pixels. Ids of pictures and boxes are
    those of no other picture, so that files can be joined."""
    labels = found.labels
    annotations: list[dict[str, Any]] = []
    for number, box in enumerate(found.boxes, start=1):
        left, top, width, height = _measure(found, box)
        annotations.append(
            {
                "id": found.number * MOST_BOXES + number,
                "image_id": found.number,
                "category_id": labels.index(_label(box)) + 1,
                "bbox": [left, top, width, height],
                "area": width * height,
                "segmentation": [],
                "iscrowd": 0,
            }
        )
    return _dump(
        {
            "images": [{"id": found.number, "file_name": found.picture, "width": found.width, "height": found.height}],
            "annotations": annotations,
            "categories": [
                {"id": number, "name": label, "supercategory": ""} for number, label in enumerate(labels, start=1)
            ],
        }
    )


def write_yolo(found: Annotation) -> str:
    """A line per box: its class, then centre and size as shares of the picture. The names of the classes are in a
    file of their own, `write_yolo_names`."""
    lines: list[str] = []
    for box in found.boxes:
        left, top, width, height = _measure(found, box)
        shares = (
            (left + width / 2) / found.width,
            (top + height / 2) / found.height,
            width / found.width,
            height / found.height,
        )
        lines.append(" ".join([str(found.labels.index(_label(box))), *(f"{share:.6f}" for share in shares)]))
    return "".join(f"{line}\n" for line in lines)


def write_yolo_names(found: Annotation) -> str:
    """https://docs.ultralytics.com/datasets/detect: the part of data.yaml that names the classes."""
    quoted = [json.dumps(label, ensure_ascii=False) for label in found.labels]
    quoted = [_NO_YAML.sub(lambda character: f"\\u{ord(character[0]):04x}", label) for label in quoted]
    return "names:\n" + "".join(f"  {number}: {label}\n" for number, label in enumerate(quoted))


def write_yolo_set(found: Sequence[tuple[Annotation, bytes]]) -> bytes:
    """A .zip of pictures (as JPEG) with a file of boxes each, and one data.yaml with the classes of these boxes alone,
    in order of appearance, as https://docs.ultralytics.com/datasets/detect describes it. Pictures of the same name are
    numbered."""
    labels = list(dict.fromkeys(_label(box) for annotation, _ in found for box in annotation.boxes))
    stream, taken = io.BytesIO(), set[str]()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (annotation, picture) in enumerate(found, start=1):
            named = replace(annotation, names=tuple(labels))  # in place of those of pictures that are not in the set
            stem = annotation.stem
            stem = f"{stem}-{number}" if stem in taken else stem
            taken.add(stem)
            archive.writestr(f"images/{stem}.jpg", picture)
            archive.writestr(f"labels/{stem}.txt", write_yolo(named))
        names = write_yolo_names(replace(found[0][0], names=tuple(labels)))
        archive.writestr("data.yaml", f"path: .\ntrain: images\nval: images\nnc: {len(labels)}\n{names}")
    return stream.getvalue()


def write_label_studio(found: Annotation) -> str:
    """https://labelstud.io/guide/predictions: per cent of the picture's sides. What a person has corrected is an
    annotation, all else a prediction. Without an address the picture is named as a file of Label Studio's local
    storage. `write_label_config` has the interface that shows them."""
    results: list[dict[str, Any]] = []
    for number, box in enumerate(found.boxes, start=1):
        left, top, width, height = _measure(found, box)
        results.append(
            {
                "id": str(number),
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": found.width,
                "original_height": found.height,
                "image_rotation": 0,
                "value": {
                    "x": 100 * left / found.width,
                    "y": 100 * top / found.height,
                    "width": 100 * width / found.width,
                    "height": 100 * height / found.height,
                    "rotation": 0,
                    "rectanglelabels": [_label(box)],
                },
            }
        )
    return _dump(
        [
            {
                "data": {"image": found.address or f"/data/local-files/?d={quote(found.picture)}"},
                "annotations" if found.corrected else "predictions": [{"result": results}],
            }
        ]
    )


def write_label_config(found: Annotation) -> str:
    """https://labelstud.io/guide/setup: the interface of a project that such tasks are imported into, with the names
    that they refer to and the labels in their colours."""
    from dsvl2_app.image.overlay import label_colours  # which imports NumPy and Pillow: --help lists these formats

    colours = label_colours(found.labels)
    labels = "".join(
        f'    <Label value="{escape(_NO_XML.sub("", label))}" background="#{red:02x}{green:02x}{blue:02x}"/>\n'
        for label, (red, green, blue) in colours.items()
    )
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}  </RectangleLabels>\n</View>\n'
    )


@dataclass(frozen=True, slots=True)
class Format:
    suffix: str
    write: Callable[[Annotation], str]


FORMATS: dict[str, Format] = {
    "JSON": Format(".json", write_json),
    "CSV": Format(".csv", write_csv),
    "COCO": Format("-coco.json", write_coco),
    "YOLO": Format(".txt", write_yolo),
    "data.yaml": Format(".yaml", write_yolo_names),
    "Label Studio": Format("-label-studio.json", write_label_studio),
    "Label Studio's labels": Format("-label-studio.xml", write_label_config),
}


def data_url(image: Image.Image) -> str:
    """The picture itself as an address, upright, as the boxes are."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(image)).decode()}"


def encode_jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _quote(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _label(box: Box) -> str:
    return box.label.strip() or "object"


def _measure(found: Annotation, box: Box) -> tuple[float, float, float, float]:
    """Left, top, width, height in pixels."""
    left, top, right, bottom = found.pixels(box)
    return left, top, right - left, bottom - top


def _dump(value: Sequence[Any] | dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
