#!/usr/bin/env bash
# OpenCV turns a JPEG, PNG or WebP upright and leaves an AVIF on its side.
#
# Expected: cv2.imread and cv2.imdecode apply the orientation of a picture unless IMREAD_IGNORE_ORIENTATION forbids it, as the
#   documentation says of both without naming formats.
# Happens: OpenCV looks for it in the EXIF. AVIF has properties of its own for turning and mirroring, to which writers move the
#   orientation, and its decoder (libavif) leaves it to the caller to apply them; OpenCV does not. Browsers do, and so does
#   Pillow's exif_transpose, which gets an orientation made from them.
# Shown: the same picture with orientation 6 in four formats, read by OpenCV and by Pillow.
# Matters here: supervision and most trainers of detectors read pictures by OpenCV. Boxes on an upright AVIF, which is how our
#   page shows it and measures them, lie elsewhere there, in a picture of other proportions. Save such pictures as JPEG
#   or PNG before boxes are exported with them.
# Source: opencv-python-headless 5.0.0.93, modules/imgcodecs/src/grfmt_avif.cpp; libavif's avif.h on transformFlags.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 pillow==12.3.0
cat > "$folder/show.py" <<'PYTHON'
import io
import sys

import cv2
import numpy as np
from PIL import Image, ImageOps

print(f"OpenCV {cv2.__version__}")
turned = Image.Exif()
turned[0x0112] = 6  # to be turned by a quarter
found = {}
for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
    file = io.BytesIO()
    Image.new("RGB", (64, 32), "white").save(file, kind, exif=turned)
    height, width = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR).shape[:2]
    found[kind] = (width, height), ImageOps.exif_transpose(Image.open(file)).size
    print(f"{kind}: OpenCV {found[kind][0]}, Pillow {found[kind][1]}")
upright = (32, 64)
same = found.pop("AVIF") == ((64, 32), upright) and all(sizes == (upright, upright) for sizes in found.values())
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
