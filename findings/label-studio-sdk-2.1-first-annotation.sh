#!/usr/bin/env bash
# The first box of a COCO file that Label Studio's converter writes can be found by nobody: pycocotools counts it as missed.
#
# Expected: predictions that repeat the boxes of a truth exactly have an average precision of 1.
# Happens: the converter numbers annotations from 0. COCOeval keeps, for each prediction, the id of the box that it matched, in
#   an array of zeros, and reads zero as "none": a match with annotation 0 is a false alarm, and that box a miss. With the usual
#   handful of boxes in a class that is a large part of its score; in one of a thousand it hides. pycocotools says nothing;
#   faster-coco-eval scores the same, but warns.
# Shown: three pictures labelled in Label Studio's own format, converted by its SDK, and evaluated with their own boxes as
#   predictions; then with every id one higher.
# Matters here: boxes corrected in Label Studio come back as such a file and are the natural truth to measure the model against.
#   Number the annotations anew first. Ours begin at 1 (text/exports.py).
# Source: label-studio-sdk 2.1.2, converter/converter.py (annotation_id); pycocotools 2.0.11, cocoeval.py (dtMatches).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2 pycocotools==2.0.11 faster-coco-eval==1.8.0
cat > "$folder/show.py" <<'PYTHON'
import contextlib
import copy
import io
import json
import os
import sys
from importlib.metadata import version

import faster_coco_eval
import pycocotools.coco
import pycocotools.cocoeval
from label_studio_sdk.converter import Converter

os.chdir(sys.argv[1])
box = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["cup"]}
result = {"id": "1", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": box}
result |= {"original_width": 200, "original_height": 100}
tasks = [
    {"id": n, "data": {"image": f"/data/local-files/?d={n}.png"}, "annotations": [{"id": n, "result": [result]}]}
    for n in (1, 2, 3)
]
with open("tasks.json", "w") as file:
    json.dump(tasks, file)
labels = '<RectangleLabels name="label" toName="image"><Label value="cup"/></RectangleLabels>'
config = f'<View><Image name="image" value="$image"/>{labels}</View>'
Converter(config, ".", download_resources=False).convert("tasks.json", "coco", "COCO", is_dir=False)
with open("coco/result.json") as file:
    written = json.load(file)
print(f"label-studio-sdk {version('label-studio-sdk')} numbers annotations {[a['id'] for a in written['annotations']]}")
raised = copy.deepcopy(written)
for annotation in raised["annotations"]:
    annotation["id"] += 1
predictions = [
    {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1.0}
    for a in written["annotations"]
]
evaluators = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
}
found = []
for name, (coco, evaluate) in evaluators.items():
    for how, truth in (("as written", written), ("each id one higher", raised)):
        with open("truth.json", "w") as file:
            json.dump(truth, file)
        with contextlib.redirect_stdout(io.StringIO()):
            boxes = coco("truth.json")
            score = evaluate(boxes, boxes.loadRes(copy.deepcopy(predictions)), "bbox")
            score.evaluate()
            score.accumulate()
            score.summarize()
        found.append(float(score.stats[0]))
        print(f"{name} {version(name)}, {how}: AP {found[-1]:.3f}")
as_written, higher = found[::2], found[1::2]
same = min(higher) > 0.99 and max(as_written) < 0.7
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py" "$folder"
