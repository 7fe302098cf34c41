#!/usr/bin/env bash
# Label Studio's converter writes a picture that nobody has looked at yet as one without objects.
#
# Expected: tasks that hold predictions alone are left out of a data set, or their predictions are written; a picture in which a
#   person found nothing is written as empty. The two are kept apart, as in Label Studio itself.
# Happens: YOLO gets an empty file of labels for both, so that training takes the objects in pictures that wait for review for
#   background. COCO lists both without boxes, and with null for width and height, which readers of COCO compute with. The log
#   has the same line for both, "No annotations found" or "No completions found", and nothing fails.
# Shown: a task that was annotated, one annotated as empty, and one with a prediction of the same box, converted to both formats.
# Matters here: our export for Label Studio holds predictions, so that this is the state of every project that is half reviewed.
#   Take out tasks without annotations before converting; Label Studio's own page does so unless it is told otherwise.
# Source: label-studio-sdk 2.1.2, converter/converter.py (convert_to_yolo, convert_to_coco); the reference of Label Studio's API
#   on download_all_tasks, https://api.labelstud.io/api-reference/api-reference/projects/exports/download-sync.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2
cat > "$folder/show.py" <<'PYTHON'
import json
import os
import sys
from importlib.metadata import version

from label_studio_sdk.converter import Converter

os.chdir(sys.argv[1])
box = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["cup"]}
found = {"id": "1", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": box}
found |= {"original_width": 200, "original_height": 100}


def task(number, name, **more):
    return {"id": number, "data": {"image": f"/data/upload/1/{name}.png"}, "annotations": [], **more}


tasks = [
    task(1, "annotated", annotations=[{"id": 1, "result": [found]}]),
    task(2, "empty", annotations=[{"id": 2, "result": []}]),
    task(3, "waiting", predictions=[{"id": 3, "result": [found]}]),
]
with open("tasks.json", "w") as file:
    json.dump(tasks, file)
labels = '<RectangleLabels name="label" toName="image"><Label value="cup"/></RectangleLabels>'
converter = Converter(f'<View><Image name="image" value="$image"/>{labels}</View>', ".", download_resources=False)
for kind in ("YOLO", "COCO"):
    converter.convert("tasks.json", kind, kind, is_dir=False)
print(f"label-studio-sdk {version('label-studio-sdk')}")
yolo = {}
for name in sorted(os.listdir("YOLO/labels")):
    with open(f"YOLO/labels/{name}") as file:
        yolo[name.split(".")[0]] = file.read().strip()
print("YOLO:", yolo)
with open("COCO/result.json") as file:
    coco = json.load(file)
sizes = {os.path.basename(each["file_name"]).split(".")[0]: (each["width"], each["height"]) for each in coco["images"]}
print("COCO:", sizes, "boxes on", [each["image_id"] for each in coco["annotations"]])
same = bool(yolo["annotated"]) and yolo["empty"] == yolo["waiting"] == ""
same = same and sizes["empty"] == sizes["waiting"] == (None, None) and len(coco["annotations"]) == 1
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py" "$folder"
