#!/usr/bin/env bash
# The check of a whole task in Label Studio's SDK fails on every task that has predictions or annotations, right or wrong.
#
# Expected: `LabelInterface(config).validate_task(task)` is True for a task as Label Studio imports it, and False for one whose box has a
#   label that the configuration does not have; validate_prediction(prediction) beside it tells the two apart.
# Happens: it raises a TypeError about a missing argument. The check of data alone works, so that a first try without boxes passes;
#   then the methods for annotations and predictions are called without one. An empty list, which is what Label Studio itself exports for a
#   task without predictions, is enough. Nothing is checked for any list, so each entry has to be given to the methods by its owner.
# Shown: a task with data alone, with an empty list, with a prediction whose box is right, and with one that is wrong; for each
#   what validate_task does, and what validate_prediction says of its predictions.
# Matters here: boxes that the model found are exported as such tasks (text/exports.py), and this is the function by which one would
#   check a file before it is uploaded, or an exporter in a test.
# Source: label-studio-sdk 2.1.2, label_interface/interface.py (validate_task).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

from label_studio_sdk.label_interface import LabelInterface

labels = '<RectangleLabels name="label" toName="image"><Label value="cup"/></RectangleLabels>'
interface = LabelInterface(f'<View><Image name="image" value="$image"/>{labels}</View>')


def prediction(label):
    box = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": [label]}
    region = {"id": "1", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": box}
    return {"model_version": "model", "result": [region | {"original_width": 200, "original_height": 100}]}


def checked(task):
    try:
        return interface.validate_task(task)
    except TypeError as error:
        return f"TypeError: {error}"


found = {}
for key in ("predictions", "annotations"):
    for name, given in {"an empty list": [], "a right box": [prediction("cup")], "a wrong box": [prediction("mug")]}.items():
        alone = [interface.validate_prediction(entry) for entry in given]
        found[key, name] = checked({"data": {"image": "cup.png"}, key: given}), alone
        print(f"label-studio-sdk {version('label-studio-sdk')}, {key}, {name}: {found[key, name][0]}; one by one {alone}")
bare = checked({"data": {"image": "cup.png"}}), checked({"data": {}})
print(f"data alone: {bare[0]}; without the picture: {bare[1]}")
same = bare == (True, False) and all("missing 1 required" in str(whole) for whole, _ in found.values())
same = same and all(alone == ([] if "empty" in name else ["right" in name]) for (_, name), (_, alone) in found.items())
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
