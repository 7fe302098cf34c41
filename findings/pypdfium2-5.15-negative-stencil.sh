#!/usr/bin/env bash
# pypdfium2 takes a scanned text layer out of a PDF as its negative, white on black, though it draws the page right.
#
# Expected: the picture of an image object looks as it does on the page; what pikepdf and pypdf take out of the same file does.
# Happens: a stencil (/ImageMask, one bit a pixel, which is how scanners that split text from its paper store the text) paints where
#   the bit is 0. get_bitmap() hands the bits on as grey, so that the text is white on black. extract() writes that negative into a
#   file, and makes one of an ordinary picture of one bit with /Decode [1 0], too, which get_bitmap() gives right. get_bitmap(render=True) and the drawn page are right. Nothing in either result tells.
# Shown: four pictures of one bit, black in their left quarter, taken out by six ways: stencils and plain ones, with either /Decode.
# Matters here: pages of scans are often read from the pictures in them, without drawing them, to keep the scanner's pixels. A model reads white
#   on black worse, and nobody who looks at the page sees why. We draw pages and take no picture out of them.
# Source: pypdfium2 5.15.2 (PdfImage.get_bitmap, PdfImage.extract), pikepdf 10.18.0, pypdf 7.1.1; ISO 32000-2, 8.9.6.2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pypdfium2==5.15.2 pikepdf==10.18.0 pypdf==7.1.1 pillow==13.0.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import io
import os
import sys
from importlib.metadata import version

import numpy as np
import pikepdf
import pypdf
import pypdfium2
from PIL import Image

os.chdir(sys.argv[1])
WIDTH, HEIGHT = 64, 32
LEFT, RIGHT = (4, 16), (48, 16)  # a point in the black quarter and one in the white rest


def page_with(stencil, decode):
    """A PDF whose one picture is to be black in its left quarter."""
    bits = np.zeros((HEIGHT, WIDTH), bool)
    bits[:, WIDTH // 4 :] = True  # 0 is black, or painted; with [1 0] the other way round
    if decode == [1, 0]:
        bits = ~bits
    file = pikepdf.new()
    picture = file.make_stream(np.packbits(bits, axis=1).tobytes())
    about = {"Type": pikepdf.Name.XObject, "Subtype": pikepdf.Name.Image, "Width": WIDTH, "Height": HEIGHT}
    about |= {"BitsPerComponent": 1, "Decode": pikepdf.Array(decode)}
    about |= {"ImageMask": True} if stencil else {"ColorSpace": pikepdf.Name.DeviceGray}
    for name, value in about.items():
        picture["/" + name] = value
    page = file.add_blank_page(page_size=(WIDTH, HEIGHT))
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=picture))
    page.Contents = file.make_stream(b"q 64 0 0 32 0 0 cm /Im Do Q")
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def told(picture):
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture.convert("RGBA"))
    left, right = (paper.getpixel(point)[0] for point in (LEFT, RIGHT))
    return {(0, 255): "right", (255, 0): "negative"}.get((left, right), f"{left}, {right}")


def ways(pdf):
    page = pypdfium2.PdfDocument(pdf)[0]
    (image,) = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE])
    yield "drawn page", page.render(scale=1).to_pil()
    yield "pypdfium2 get_bitmap()", image.get_bitmap().to_pil()
    yield "get_bitmap(render=True)", image.get_bitmap(render=True).to_pil()
    image.extract("taken")
    yield "extract()", Image.open("taken.png")
    with pikepdf.open(io.BytesIO(pdf)) as file:
        yield "pikepdf", pikepdf.PdfImage(file.pages[0].Resources.XObject.Im).as_pil_image()
    yield "pypdf", pypdf.PdfReader(io.BytesIO(pdf)).pages[0].images[0].image


print(", ".join(f"{name} {version(name)}" for name in ("pypdfium2", "pikepdf", "pypdf")))
same = True
for stencil in (False, True):
    for decode in ([0, 1], [1, 0]):
        found = {way: told(picture) for way, picture in ways(page_with(stencil, decode))}
        print(f"{'stencil' if stencil else 'picture'} with /Decode {decode}: {found}")
        wrong = {way for way, result in found.items() if result == "negative"}
        described = {"pypdfium2 get_bitmap()"} if stencil else set()
        described |= {"extract()"} if stencil or decode == [1, 0] else set()
        same = same and wrong == described and set(found.values()) <= {"right", "negative"}
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$folder"
