#!/usr/bin/env bash
# A HEIC file that is saved with `exif=picture.getexif()` lies on its side; with the same EXIF as bytes it stands upright.
#
# Expected: Image.save takes `exif` as bytes or as Pillow's Exif object, for HEIF as for other formats, and a picture that was
#   upright before is upright afterwards.
# Happens: HEIF turns pictures by a property of its own, which pillow-heif sets from the orientation in the EXIF. It looks for
#   that in bytes; an Exif object fails there, and the failure is swallowed. The picture is written unturned, with an orientation
#   in its EXIF that every reader of HEIF ignores and pillow-heif sets to 1. With no `exif` at all it is right again, since the
#   EXIF of the opened file is taken. Pillow's own formats are the other way round: without `exif` they lose the orientation.
# Shown: a JPEG with orientation 6, as phones write it, saved as PNG, WebP, AVIF and HEIF in the three ways; size once upright.
# Matters here: this is how photos are made smaller before they are sent, and the usual line for Pillow is the one that fails.
#   The model sees the picture on its side, reads badly, and the boxes are those of that picture.
# Source: pillow-heif 1.8.1 (as_plugin.py, _pil_encode_image; misc.py, _get_orientation), Pillow 12.3.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow-heif==1.8.1 pillow==12.3.0
cat > "$folder/show.py" <<'PYTHON'
import io
import sys

import PIL
import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
print(f"pillow {PIL.__version__}, pillow-heif {pillow_heif.__version__}")
turned = Image.Exif()
turned[0x0112] = 6  # to be turned by a quarter
jpeg = io.BytesIO()
Image.new("RGB", (64, 32), "white").save(jpeg, "JPEG", exif=turned)
print("JPEG, upright:", ImageOps.exif_transpose(Image.open(jpeg)).size)
found = {}
for kind in ("PNG", "WEBP", "AVIF", "HEIF"):
    for way in ("an Exif object", "bytes", "nothing"):
        photo, file = Image.open(jpeg), io.BytesIO()  # anew, since saving an AVIF changes the Exif object that it is given
        exif = photo.getexif() if way == "an Exif object" else photo.getexif().tobytes()
        photo.save(file, kind, **({} if way == "nothing" else {"exif": exif}))
        found[kind, way] = ImageOps.exif_transpose(Image.open(file)).size
        print(f"{kind}, saved with {way}, upright: {found[kind, way]}")
upright, side = (32, 64), (64, 32)
same = all(
    found[kind, "an Exif object"] == found[kind, "bytes"] == upright and found[kind, "nothing"] == side
    for kind in ("PNG", "WEBP", "AVIF")
)
same = same and [found["HEIF", way] for way in ("an Exif object", "bytes", "nothing")] == [side, upright, upright]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
