#!/usr/bin/env bash
# Of a box that begins a pixel outside of the picture gr.AnnotatedImage draws a stripe of three pixels; one that ends far outside is whole.
#
# Expected: a box is drawn as far as it lies on the picture, on all four sides alike, or it is refused.
# Happens: the box is made a mask with slices of NumPy, where what is beyond the end is cut and a negative beginning counts from the
#   other end. So of a box with a left or upper edge of -1 the opposite border alone is left, three pixels of it, and a beginning further
#   outside colours a piece at the wrong end of the picture. Corners in another order give nothing. The label stands in the legend all
#   the same. Edges that are floats, which is what detectors compute, end in a TypeError.
# Shown: boxes on a picture of 100 x 60, and what the mask that the browser gets covers of each.
# Matters here: detectors put edges of things that the picture cuts at -1 or below, models that speak their boxes give them in any
#   order, and "3 cups" in the legend with two of them shown looks like the model's fault. Clip and round boxes before they are handed over.
# Source: gradio 6.31.0, components/annotated_image.py (postprocess).
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import sys

import gradio
import numpy as np
from PIL import Image

picture = Image.new("RGB", (100, 60), "grey")
component = gradio.AnnotatedImage(render=False)


def covered(box):
    try:
        annotation = component.postprocess((picture, [(box, "cup")])).annotations[0]
    except TypeError as error:
        return f"TypeError: {error}"
    rows, columns = np.nonzero(np.asarray(Image.open(annotation.image.path).convert("RGBA"))[..., 3])
    if not len(rows):
        return f"nothing, with {annotation.label!r} in the legend"
    return tuple(int(edge) for edge in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))


expected = {
    (10, 10, 30, 30): (10, 10, 30, 30),
    (90, 10, 1000, 30): (90, 10, 100, 30),
    (10, 50, 30, 1000): (10, 50, 30, 60),
    (-1, 10, 30, 30): (27, 10, 30, 30),
    (10, -1, 30, 30): (10, 27, 30, 30),
    (-30, 10, 80, 30): (70, 10, 80, 30),
    (30, 30, 10, 10): "nothing",
    (10.5, 10.5, 30.5, 30.5): "TypeError",
}
same = True
for box, known in expected.items():
    found = covered(box)
    print(f"gradio {gradio.__version__}: box {box} covers {found}")
    same = same and (found.startswith(known) if isinstance(found, str) and isinstance(known, str) else found == known)
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
GRADIO_TEMP_DIR="$folder/files" timeout 120 "$folder/venv/bin/python" "$folder/show.py"
