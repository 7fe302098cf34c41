#!/usr/bin/env bash
# supervision numbers the classes of DeepSeek-VL2's answers anew in each answer: perfect boxes of three pictures have a precision of a third.
#
# Expected: Detections.from_vlm of "cup" in two answers gives one class, as class_id is what supervision's metrics, filters, colours and
#   merging go by; or class_id is left out, as for other readers that know no list of classes.
# Happens: without `classes` the labels of one answer are sorted and counted from 0. "cup" is class 0 where it stands alone and 1 beside an
#   "apple". Merged, one class is apples here and cups there; drawn, a cup changes its colour from frame to frame; measured, right boxes are
#   wrong ones. The names stand beside (data["class_name"]), and nothing compares them. With `classes` all of it is right, but a
#   label that is not in the list word for word ("the cup", "Cup") is dropped without a word.
# Shown: answers in DeepSeek-VL2's own form about three pictures, read both ways: the classes, what merging gives, and the mean average
#   precision against a truth that has the same boxes.
# Matters here: this is the reader that people use for answers of this model, whose labels are the words of the question. Give
#   `classes`, or number the names oneself over all answers.
# Source: supervision 0.31.2, detection/vlm.py (from_deepseek_vl_2), metrics/mean_average_precision.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check supervision==0.31.2
cat > "$folder/show.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import supervision
from supervision.metrics import MeanAveragePrecision

warnings.filterwarnings("ignore")
CLASSES, SIZE = ["apple", "cup", "dog"], (999, 999)
PICTURES = [
    [("cup", (100, 100, 300, 300))],
    [("apple", (500, 500, 700, 700)), ("cup", (100, 100, 300, 300))],
    [("dog", (50, 400, 450, 900))],
]


def answer(objects):
    return "".join(f"<|ref|>{label}<|/ref|><|det|>[{list(box)}]<|/det|>" for label, box in objects)


def truth(objects):
    ids = np.array([CLASSES.index(label) for label, _ in objects])
    return supervision.Detections(xyxy=np.array([box for _, box in objects], float), class_id=ids)


def read(text, **options):
    return supervision.Detections.from_vlm("deepseek_vl_2", text, resolution_wh=SIZE, **options)


def precision(found):
    for each in found:
        each.confidence = np.ones(len(each))
    metric = MeanAveragePrecision()
    metric.update(found, [truth(objects) for objects in PICTURES])
    return round(float(metric.compute().map50_95), 3)


texts = [answer(objects) for objects in PICTURES]
plain, listed = [read(text) for text in texts], [read(text, classes=CLASSES) for text in texts]
print(f"supervision {version('supervision')}; names, class_id without and with classes")
for one, other in zip(plain, listed, strict=True):
    print(f"    {one.data['class_name'].tolist()}: {one.class_id.tolist()}, {other.class_id.tolist()}")
merged = supervision.Detections.merge(plain)
first = merged[merged.class_id == 0].data["class_name"].tolist()
dropped = len(read(answer([("the cup", (1, 2, 3, 4)), ("Cup", (5, 6, 7, 8))]), classes=CLASSES))
scores = precision(plain), precision(listed)
print(f"class 0 of all answers merged: {first}; average precision {scores[0]}, with classes {scores[1]}")
print(f"of two boxes of 'the cup' and 'Cup', with classes: {dropped}")
same = first == ["cup", "apple", "dog"] and scores[0] < 0.5 and scores[1] > 0.99 and dropped == 0
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
