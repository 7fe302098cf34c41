#!/usr/bin/env bash
# torchmetrics hands pycocotools its thresholds rounded to float32: three objects found of five are 0.594 there and 0.604 in pycocotools.
#
# Expected: MeanAveragePrecision with the backend "pycocotools" (or "faster_coco_eval") gives what that package gives for the same boxes,
#   up to the last digits.
# Happens: the default thresholds are made by torch.linspace in float32 and handed on as Python floats, so that 0.6 becomes
#   0.60000002 and 0.58 becomes 0.57999998. A recall of 3 in 5 no longer reaches the threshold 0.6 (the point is worth a hundredth), 7 in 10
#   reaches one more than it should, and a box that overlaps by 0.6 exactly is a miss at 0.6. Small sets of whole boxes, the usual
#   check of a model on one's own pictures, meet such ratios all the time. Both backends are given the same numbers, so they agree.
# Shown: pictures of one object each, of which some are found, and one box of overlap 0.6, evaluated by pycocotools, by torchmetrics
#   with either backend, and by torchmetrics with pycocotools' own thresholds.
# Matters here: boxes of the model are scored against marked ones, and training code reports torchmetrics where papers report
#   pycocotools. Between the two a hundredth is no gain. Give `rec_thresholds` and `iou_thresholds` as numpy makes them.
# Source: torchmetrics 1.9.0, detection/mean_ap.py (MeanAveragePrecision.__init__); pycocotools 2.0.11, cocoeval.py (Params).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.14.1 torchvision==0.29.1 \
    pycocotools==2.0.11 faster-coco-eval==1.8.0
cat > "$folder/show.py" <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params
from torchmetrics.detection import MeanAveragePrecision

TRUE, FAR, PART = [10, 10, 50, 50], [210, 210, 50, 50], [10, 10, 50, 30]  # left, top, width, height; PART overlaps by 0.6
own = {"iou_thresholds": Params("bbox").iouThrs.tolist(), "rec_thresholds": Params("bbox").recThrs.tolist()}


def by_pycocotools(boxes):
    truth, results = COCO(), []
    images = [{"id": n + 1, "width": 640, "height": 480} for n in range(len(boxes))]
    marked = [
        {"id": n + 1, "image_id": n + 1, "category_id": 1, "bbox": TRUE, "area": 2500, "iscrowd": 0}
        for n in range(len(boxes))
    ]
    truth.dataset = {"images": images, "annotations": marked, "categories": [{"id": 1, "name": "cup"}]}
    for n, box in enumerate(boxes):
        results.append({"image_id": n + 1, "category_id": 1, "bbox": box, "score": 1 - n / 100})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 3)


def by_torchmetrics(boxes, **options):
    metric = MeanAveragePrecision(box_format="xywh", **options)
    label = torch.tensor([1])
    for n, box in enumerate(boxes):
        found = {"boxes": torch.tensor([box]).float(), "scores": torch.tensor([1 - n / 100]), "labels": label}
        metric.update([found], [{"boxes": torch.tensor([TRUE]).float(), "labels": label}])
    return round(float(metric.compute()["map"]), 3)


print(f"torchmetrics {version('torchmetrics')}, pycocotools {version('pycocotools')}")
cases = {
    "3 of 5 found": ([TRUE] * 3 + [FAR] * 2, 0.604, 0.594),
    "7 of 10 found": ([TRUE] * 7 + [FAR] * 3, 0.693, 0.703),
    "12 of 20 found": ([TRUE] * 12 + [FAR] * 8, 0.604, 0.594),
    "1 of 2 found": ([TRUE, FAR], 0.505, 0.505),
    "overlap of 0.6": ([PART], 0.3, 0.2),
}
same = True
for name, (boxes, wanted, described) in cases.items():
    coco, torched = by_pycocotools(boxes), by_torchmetrics(boxes, backend="pycocotools")
    faster, given = by_torchmetrics(boxes, backend="faster_coco_eval"), by_torchmetrics(boxes, **own)
    print(f"{name}: pycocotools {coco}; torchmetrics {torched}, on faster-coco-eval {faster}, with own thresholds {given}")
    same = same and (coco, torched, faster, given) == (wanted, described, described, wanted)
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
