#!/usr/bin/env bash
# A 16-bit picture that goes to NumPy and back is white in pyvips' PNG and thumbnails, and right in its TIFF and JPEG.
#
# Expected: new_from_array() of a uint16 array is a 16-bit picture, as new_from_file() of a 16-bit PNG is; so image -> numpy() -> image is the same
#   picture, whatever it is saved as.
# Happens: a picture has a numeric format and, beside it, what its numbers mean. From an array with one channel that is "b-w", with three "srgb", and both
#   mean 8 bits, whatever the dtype. What comes next goes by one or by the other: a grey PNG and every thumbnail are cut at 255, so that all
#   but the darkest 0.4 % is white; JPEG divides by 256; TIFF, and in colour PNG, keep what they are given. Nothing warns. With
#   interpretation="grey16" or "rgb16" all of it is right.
# Shown: a 16-bit PNG of the value 40,000 (156 in 8 bits), read and saved by pyvips; its array made a picture again, with and without the
#   name, saved as PNG, TIFF and JPEG and made a thumbnail; then the same in colour.
# Matters here: depth maps, X-ray and scanner files have 16 bits, and pyvips is taken for pages too large for Pillow. After a step in NumPy a
#   page comes out white for a model, while the same code with a JPEG looks right.
# Source: pyvips 3.2.0, vimage.py (new_from_array) and numpy's typestr table; libvips 8.18.7.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyvips==3.2.0 pyvips-binary==8.18.7 pillow==13.0.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import os
import sys
from importlib.metadata import version

import numpy as np
import pyvips
from PIL import Image

os.chdir(sys.argv[1])
VALUE = 40_000


def saved(picture):
    found = {}
    for ending in ("png", "tif", "jpg"):
        picture.write_to_file(f"saved.{ending}")
        again = pyvips.Image.new_from_file(f"saved.{ending}", revalidate=True)  # not the one read before
        found[ending] = (again.format, again(0, 0)[0])
    thumbnail = picture.thumbnail_image(5)
    return found | {"thumbnail": (thumbnail.format, thumbnail(0, 0)[0])}


def right(where):
    wide = ("ushort", float(VALUE))
    return where["png"] == where["tif"] == wide and where["jpg"] == ("uchar", 156.0) and 155 <= where["thumbnail"][1] <= 156


Image.fromarray(np.full((10, 10), VALUE, np.uint16)).save("grey.png")
read = pyvips.Image.new_from_file("grey.png")
array = read.numpy()
colour = np.full((10, 10, 3), VALUE, np.uint16)
pictures = {
    "as read": read,
    "through NumPy": pyvips.Image.new_from_array(array),
    "through NumPy, named grey16": pyvips.Image.new_from_array(array, interpretation="grey16"),
    "colour from NumPy": pyvips.Image.new_from_array(colour),
    "colour from NumPy, named rgb16": pyvips.Image.new_from_array(colour, interpretation="rgb16"),
}
found = {name: saved(picture) for name, picture in pictures.items()}
print(f"pyvips {version('pyvips')}, libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}: a value of {VALUE:,}")
for name, where in found.items():
    picture = pictures[name]
    print(f"    {name} ({picture.format}, {picture.interpretation}): {where}")
same = right(found["as read"]) and right(found["through NumPy, named grey16"]) and right(found["colour from NumPy, named rgb16"])
through = found["through NumPy"]
same = same and through["png"] == ("uchar", 255.0) and through["thumbnail"][1] == 255 and through["tif"] == ("ushort", float(VALUE))
same = same and through["jpg"] == ("uchar", 156.0)
in_colour = found["colour from NumPy"]
same = same and in_colour["png"] == in_colour["tif"] == ("ushort", float(VALUE)) and in_colour["thumbnail"][1] == 255
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/show.py" "$folder"
