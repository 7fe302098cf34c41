"""Boxes on a picture -> the files that other tools read. Pixels are those of the upright picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dsvl2_app.text.boxes import Box


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was found on one picture."""

    picture: str  # its file name
    width: int
    height: int
    boxes: tuple[Box, ...]
    answer: str = ""  # the model's text

    @property
    def labels(self) -> list[str]:
        """Every different label, in order of appearance; a box without one is an "object"."""
        return list(dict.fromkeys(map(_label, self.boxes)))

    def pixels(self, box: Box) -> tuple[float, float, float, float]:
        return box.pixels(self.width, self.height)


def write_json(found: Annotation) -> str:
    boxes = [{**asdict(box), "pixels": found.pixels(box)} for box in found.boxes]
    return _dump(
        {
            "picture": found.picture,
            "width": found.width,
            "height": found.height,
            "boxes": boxes,
            "answer": found.answer,
        }
    )


def write_csv(found: Annotation) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "label", "left", "top", "right", "bottom", "x1", "y1", "x2", "y2", "notes"])
    for box in found.boxes:
        edges = [f"{edge:.2f}" for edge in found.pixels(box)]
        writer.writerow([found.picture, _label(box), *edges, box.x1, box.y1, box.x2, box.y2, "; ".join(box.notes)])
    return text.getvalue()


def write_coco(found: Annotation) -> str:
    """https://cocodataset.org/#format-data: bbox is left, top, width, height in pixels."""
    labels = found.labels
    annotations = []
    for number, box in enumerate(found.boxes, start=1):
        left, top, width, height = _measure(found, box)
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": labels.index(_label(box)) + 1,
                "bbox": [left, top, width, height],
                "area": width * height,
                "segmentation": [],
                "iscrowd": 0,
            }
        )
    return _dump(
        {
            "images": [{"id": 1, "file_name": found.picture, "width": found.width, "height": found.height}],
            "annotations": annotations,
            "categories": [
                {"id": number, "name": label, "supercategory": ""} for number, label in enumerate(labels, start=1)
            ],
        }
    )


def write_yolo(found: Annotation) -> str:
    """A line per box: its class, then centre and size as shares of the picture. Classes are numbered in order of
    appearance; the format has no place for their names."""
    lines = []
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


def write_label_studio(found: Annotation) -> str:
    """https://labelstud.io/guide/predictions: per cent of the picture's sides."""
    results = []
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
    return _dump([{"data": {"image": found.picture}, "predictions": [{"result": results}]}])


@dataclass(frozen=True, slots=True)
class Format:
    suffix: str
    write: Callable[[Annotation], str]


FORMATS: dict[str, Format] = {
    "JSON": Format(".json", write_json),
    "CSV": Format(".csv", write_csv),
    "COCO": Format("-coco.json", write_coco),
    "YOLO": Format(".txt", write_yolo),
    "Label Studio": Format("-label-studio.json", write_label_studio),
}


def _label(box: Box) -> str:
    return box.label.strip() or "object"


def _measure(found: Annotation, box: Box) -> tuple[float, float, float, float]:
    """Left, top, width, height in pixels."""
    left, top, right, bottom = found.pixels(box)
    return left, top, right - left, bottom - top


def _dump(value: Sequence[Any] | dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
