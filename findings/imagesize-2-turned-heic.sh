#!/usr/bin/env bash
# imagesize 2 knows the size of no HEIC or AVIF photo that was taken upright: it gives (-1, -1).
#
# Expected: `imagesize.get`, which reads HEIC and AVIF and has `exif_rotation=True` as its default, gives the size as
#   shown: a photo of 64 x 32 that is to be turned by a quarter is 32 x 64.
# Happens: the turn is stored in a box "irot" of one byte. imagesize takes it for a box with a version and flags before that
#   byte, finds it too short, and gives up the whole file; get() turns any exception into (-1, -1). `exif_rotation=False` does
#   not help. Of a HEIC that is not turned it reads the size that the encoder padded to, since it does not look at the "clap"
#   box: 1001 x 701 is 1002 x 702. A JPEG's turn is honoured; that of a PNG or WebP is not.
# Shown: a picture with orientation 6 as JPEG, PNG, WebP, AVIF and HEIC, and one of odd sides as HEIC, measured by imagesize and,
#   once turned upright, by Pillow.
# Matters here: phones turn HEIC photos in this way. Catalogues and converters of data sets (datumaro measures by imagesize)
#   turn boxes into shares of these sides. A size of -1 has to be asked for, and one pixel too many is not noticed at all. We
#   measure by Pillow and pillow-heif (image/reference.py).
# Source: imagesize 2.0.1 (imagesize.py, _parse_iprp); ISO/IEC 23008-12, 6.5.10 (irot is an ItemProperty, no ItemFullProperty).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imagesize==2.0.1 pillow-heif==1.8.1 pillow==12.3.0
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

import imagesize
import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
print(f"imagesize {version('imagesize')}, pillow-heif {pillow_heif.__version__}")
turned = Image.Exif()
turned[0x0112] = 6  # to be turned by a quarter
exif = turned.tobytes()
measured = {}
for kind, size, extra in (
    ("JPEG", (64, 32), {"exif": exif}),
    ("PNG", (64, 32), {"exif": exif}),
    ("WEBP", (64, 32), {"exif": exif}),
    ("AVIF", (64, 32), {"exif": exif}),
    ("HEIF", (64, 32), {"exif": exif}),
    ("HEIF", (1001, 701), {}),
):
    file = f"{sys.argv[1]}/picture"
    Image.new("RGB", size, "white").save(file, kind, **extra)
    measured[kind, size] = imagesize.get(file)
    shown = ImageOps.exif_transpose(Image.open(file)).size
    print(f"{kind} {size}{' turned' if extra else ''}: imagesize {measured[kind, size]}, Pillow {shown}")
    assert shown == (size[::-1] if extra else size)
same = list(measured.values()) == [(32, 64), (64, 32), (64, 32), (-1, -1), (-1, -1), (1002, 702)]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$folder"
