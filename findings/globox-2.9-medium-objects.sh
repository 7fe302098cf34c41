#!/usr/bin/env bash
# globox and pycocotools disagree about the same boxes at the border of two sizes, and globox's recall of each label is its precision.
#
# Expected: COCOEvaluator computes the twelve numbers of the COCO evaluation, so they are those of pycocotools; in the table and the CSV file the
#   columns "AR" hold recall, in each label's row as in the total.
# Happens: (1) an object outside the range that is measured is set aside, and so is the box that finds it. globox looks for a box's best object
#   from an overlap of zero up, and stops at the first object set aside once it has one that counts, even one that the box does not touch. A
#   box a pixel wider than its object, over the border where the object is below it, is a wrong one then, as soon as the picture
#   has another object of that label. Alone in its picture the same box is left out, as in pycocotools.
#   (2) Rows of labels show average precision under "AR 1", "AR 10" and "AR 100". The total below them is recall.
# Shown: two objects, one of 60 x 60 and one of 20 x 50 (small; medium begins at 1,024), found exactly and a pixel wider, together in a picture and in
#   two: AP of medium objects from both packages. Then three objects of which two are found: the row of the only label, and the total.
# Matters here: globox is the short way from files of any format to the numbers of COCO, which boxes of this model are judged by. What it
#   calls medium can be half of what is published, and a label's recall has to be computed anew.
# Source: globox 2.9.0, evaluation.py (evaluate_boxes, show_summary, save_csv); pycocotools 2.0.11, cocoeval.py (evaluateImg).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check globox==2.9.0 pycocotools==2.0.11
cat > "$folder/show.py" <<'PYTHON'
import contextlib
import csv
import io
import sys
from importlib.metadata import version

from globox import Annotation, AnnotationSet, BoundingBox, BoxFormat, COCOEvaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def evaluator(truth, found):
    objects, boxes = AnnotationSet(), AnnotationSet()
    for number, (wanted, given) in enumerate(zip(truth, found, strict=True)):
        objects.add(Annotation(str(number), (640, 640), [box(each) for each in wanted]))
        boxes.add(Annotation(str(number), (640, 640), [box(each, 0.9 - each[1] / 1000) for each in given]))
    return COCOEvaluator(ground_truths=objects, predictions=boxes)


def box(corners, confidence=None):
    return BoundingBox.create(label="cup", coords=corners, confidence=confidence, box_format=BoxFormat.LTWH)


def by_pycocotools(truth, found):
    objects = [(number, list(each)) for number, wanted in enumerate(truth) for each in wanted]
    boxes = [(number, list(each)) for number, given in enumerate(found) for each in given]
    about = {"category_id": 1, "iscrowd": 0}
    with contextlib.redirect_stdout(io.StringIO()):
        file = COCO()
        file.dataset = {"info": {}, "images": [{"id": n} for n in range(len(truth))], "categories": [{"id": 1, "name": "cup"}]}
        file.dataset["annotations"] = [
            about | {"id": n, "image_id": picture, "bbox": each, "area": each[2] * each[3]} for n, (picture, each) in enumerate(objects, 1)
        ]
        file.createIndex()
        results = file.loadRes([about | {"image_id": n, "bbox": each, "score": 0.9 - each[1] / 1000} for n, each in boxes])
        measured = COCOeval(file, results, "bbox")
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    return measured.stats[4]


LARGER, SMALL, WIDER = (10, 100, 60, 60), (200, 10, 20, 50), (200, 10, 21, 50)
print(f"globox {version('globox')}, pycocotools {version('pycocotools')}: AP of medium objects")
medium = []
for how, truth, found in (
    ("found exactly", [[LARGER, SMALL]], [[LARGER, SMALL]]),
    ("one box a pixel wider", [[LARGER, SMALL]], [[LARGER, WIDER]]),
    ("the same in two pictures", [[LARGER], [SMALL]], [[LARGER], [WIDER]]),
):
    medium.append((round(evaluator(truth, found).ap_medium(), 3), round(float(by_pycocotools(truth, found)), 3)))
    print(f"    {how}: {medium[-1][0]}, {medium[-1][1]}")
same = medium == [(1.0, 1.0), (0.5, 1.0), (1.0, 1.0)]

third, wrong = (300, 300, 60, 60), (500, 50, 60, 60)
two_of_three = evaluator([[LARGER, SMALL, third]], [[LARGER, SMALL, wrong]])
two_of_three.save_csv(sys.argv[1] + "/table.csv")
with open(sys.argv[1] + "/table.csv", newline="") as file:
    row = next(csv.DictReader(file))
of_label, total = round(float(row["AR 100"]), 3), round(two_of_three.ar_100(), 3)
precision = round(two_of_three.ap(), 3)
print(f"two of three objects found: AR 100 in the row of the only label {of_label}, in the total {total}; AP {precision}")
same = same and total == 0.667 and of_label == precision != total
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$folder"
