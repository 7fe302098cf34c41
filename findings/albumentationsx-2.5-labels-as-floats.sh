#!/usr/bin/env bash
# Numbers that go with boxes through albumentationsx are carried as float32: ids change, two become one, and pairs fall apart.
#
# Expected: a label field is carried along untouched: each box that is left has the object that it came with, as names (strings) have.
# Happens: a list of numbers is made a float32 column beside the coordinates. 3 comes back as 3.0, which no list takes as an index; True
#   as 1.0. From 16,777,217 on an id comes back as another one, so that neighbours fall together; twelve digits are off by
#   thousands. In an integer array it keeps its dtype and is as wrong, which hides it. Pairs are laid out flat, so that two boxes have four
#   labels, and the second box the second half of the first one's pair. The boxes themselves are brought to 0..1 and back in float32:
#   without any change many a whole number comes back just below itself, and int() makes it a pixel less.
# Shown: what of several label fields comes back from a horizontal flip, and boxes of whole numbers from a transform that does nothing.
# Matters here: pictures with boxes are varied before the model is trained on them or asked again, and the ids say which answer
#   belongs to which mark. Carry names, or the position in a list of one's own (small numbers, through int), and round boxes.
# Source: albumentationsx 2.5.1, core/label_manager.py (numeric fields); run with lists, tuples and arrays.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "albumentationsx[headless]==2.5.1" torch==2.13.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import os
import sys
from importlib.metadata import version

os.environ |= {"NO_ALBUMENTATIONS_UPDATE": "1", "ALBUMENTATIONS_NO_TELEMETRY": "1"}
import albumentations
import numpy as np

picture = np.zeros((1080, 1920, 3), np.uint8)


def pass_through(transform, boxes, labels):
    about = albumentations.BboxParams(coord_format="coco", label_fields=["labels"])
    out = albumentations.Compose([transform], bbox_params=about)(image=picture, bboxes=boxes, labels=labels)
    return out["bboxes"], out["labels"]


print(f"albumentationsx {version('albumentationsx')}")
two = [[10, 20, 30, 40], [50, 60, 70, 80]]
same = True
for labels, described in (
    ([3, 4], "[3.0, 4.0]"),
    ([True, False], "[1.0, 0.0]"),
    (["cup", "dog"], "['cup', 'dog']"),
    ([16777216, 16777217], "[16777216.0, 16777216.0]"),
    (np.array([16777216, 16777217]), "array([16777216, 16777216])"),
    ([900100184613, 900100184614], "[900100194304.0, 900100194304.0]"),
    ([(1, 2), (3, 4)], "[1, 2, 3, 4]"),
):
    boxes, found = pass_through(albumentations.HorizontalFlip(p=1), two, labels)
    print(f"{labels!r} for two boxes: {found!r} for {len(boxes)}")
    same = same and len(boxes) == 2 and repr(found) == described
random = np.random.default_rng(0)
below = 0
for _ in range(300):
    left, top = random.integers(0, 1800), random.integers(0, 1000)
    box = [left, top, random.integers(1, 1920 - left + 1), random.integers(1, 1080 - top + 1)]
    out = pass_through(albumentations.NoOp(p=1), [box], ["cup"])[0][0]
    below += any(int(found) != int(given) for found, given in zip(out, box, strict=True))
print(f"of 300 boxes of whole numbers {below} are others after int(), though nothing was done to the picture")
same = same and below > 30
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
