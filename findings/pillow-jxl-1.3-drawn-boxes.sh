#!/usr/bin/env bash
# A JPEG that was opened, drawn on and saved as JPEG XL is the JPEG without the drawing: pillow-jxl-plugin writes the file, not the picture.
#
# Expected: `image.save("boxes.jxl")` writes what the picture shows, as it does for PNG, WebP and AVIF. A JPEG that is packed without loss, which JPEG
#   XL can do, is packed where nothing has changed.
# Happens: a picture that Pillow opened from a path and that still says format "JPEG" is taken as the file of that name, read anew and
#   packed. All that changes a picture in place leaves both as they were: ImageDraw, paste, thumbnail, draft, ImageOps.exif_transpose with
#   in_place. So boxes are missing, a thumbnail has its first size, a photo turned upright is turned again; `exif=` and `quality=` count for nothing. The
#   warning speaks of a lossless image. A copy, or lossless_jpeg=False, is written right.
# Shown: a white JPEG of 400 x 300, changed in five ways and saved as JPEG XL, as it is, as a copy and with the option: what is read back.
# Matters here: boxes that a model found are drawn on the photo that was opened, and thumbnails are made in place. The file that is kept shows
#   neither, and its name and size look right. Save a copy: `image.copy().save(...)`.
# Source: pillow-jxl-plugin 1.3.8, JpegXLImagePlugin.py (_save); Pillow 13.0.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow-jxl-plugin==1.3.8 pillow==13.0.0
cat > "$folder/show.py" <<'PYTHON'
import os
import sys
import warnings
from importlib.metadata import version

import pillow_jxl  # noqa: F401
from PIL import Image, ImageDraw, ImageOps

warnings.simplefilter("ignore")  # of "JPEG reconstruction", at every save
os.chdir(sys.argv[1])
TURNED = 0x0112
exif = Image.Exif()
exif[TURNED] = 6
Image.new("RGB", (400, 300), "white").save("plain.jpg")
Image.new("RGB", (400, 300), "white").save("turned.jpg", exif=exif.tobytes())


def draw(picture):
    ImageDraw.Draw(picture).rectangle((20, 20, 120, 120), fill="red")


def seen(path):
    with Image.open(path) as picture:
        red, green, _ = picture.convert("RGB").getpixel((50, 50))
        return picture.size, "red" if red - green > 200 else "white", picture.getexif().get(TURNED)


def ways(path, change):
    found = []
    for name, options in (("a.jxl", {}), ("b.jxl", {"lossless_jpeg": False}), ("a.webp", {})):
        with Image.open(path) as picture:
            change(picture)
            picture.save(name, **options)
        found.append(seen(name))
    with Image.open(path) as picture:
        change(picture)
        picture.copy().save("c.jxl")
    return [*found, seen("c.jxl")]


print(f"pillow-jxl-plugin {version('pillow-jxl-plugin')}: saved as JPEG XL; with lossless_jpeg=False; as WebP; a copy as JPEG XL")
same = True
for name, path, change, wanted in (
    ("a box drawn", "plain.jpg", draw, ((400, 300), "red")),
    ("pasted", "plain.jpg", lambda picture: picture.paste("red", (0, 0, 100, 100)), ((400, 300), "red")),
    ("a thumbnail", "plain.jpg", lambda picture: picture.thumbnail((100, 100)), ((100, 75), "white")),
    ("a draft", "plain.jpg", lambda picture: picture.draft("RGB", (100, 100)), ((200, 150), "white")),
    ("turned upright", "turned.jpg", lambda picture: ImageOps.exif_transpose(picture, in_place=True), ((300, 400), "white")),
):
    jxl, *others = ways(path, change)
    print(f"    {name}: {jxl}; {others}")
    tag = 6 if path == "turned.jpg" else None
    same = same and jxl == ((400, 300), "white", tag) and all(other == (*wanted, None) for other in others)
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$folder"
