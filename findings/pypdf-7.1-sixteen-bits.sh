#!/usr/bin/env bash
# Of a picture of 16 bits in a PDF pypdf gives its upper half, torn into two narrow pictures side by side, and no error.
#
# Expected: page.images gives the picture at eight bits a colour, as Pillow needs it, or refuses it as it does other kinds.
# Happens: the samples of two bytes are read as samples of one. Width and height stay, so that every row of the result is half a row of the
#   picture: a row's left half, each value twice (high byte, low byte), then its right half below it, and nothing of the lower half.
#   Mode and size are as they should be. Grey and RGB alike. PDFium and pikepdf give the picture.
# Shown: a picture of four colours, one in each quarter, stored with 8 and with 16 bits: what pypdf, pikepdf and the drawn page have there.
# Matters here: scanners and plots of microscopy write 16 bits, and loaders of documents take pictures from pages by pypdf. The model describes stripes, and size and mode pass every check. We draw pages.
# Source: pypdf 7.1.1 (page.images), pikepdf 10.18.0 (as_pil_image), pypdfium2 5.15.2; ISO 32000-2, table 87 (BitsPerComponent 16).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pypdf==7.1.1 pikepdf==10.18.0 pypdfium2==5.15.2 pillow==13.0.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import io
import sys
from importlib.metadata import version

import numpy as np
import pikepdf
import pypdf
import pypdfium2

QUARTERS = {"DeviceRGB": [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)], "DeviceGray": [(40,), (90,), (140,), (220,)]}
POINTS = [(16, 8), (48, 8), (16, 24), (48, 24)]


def page_with(space, bits):
    colours = QUARTERS[space]
    samples = np.empty((32, 64, len(colours[0])), np.uint8)
    for colour, (x, y) in zip(colours, POINTS, strict=True):
        samples[y - 8 : y + 8, x - 16 : x + 16] = colour
    stored = samples if bits == 8 else (257 * samples.astype(">u2")).astype(">u2")
    file = pikepdf.new()
    picture = file.make_stream(stored.tobytes())
    about = {"Type": pikepdf.Name.XObject, "Subtype": pikepdf.Name.Image, "Width": 64, "Height": 32}
    about |= {"BitsPerComponent": bits, "ColorSpace": pikepdf.Name("/" + space)}
    for name, value in about.items():
        picture["/" + name] = value
    page = file.add_blank_page(page_size=(64, 32))
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=picture))
    page.Contents = file.make_stream(b"q 64 0 0 32 0 0 cm /Im Do Q")
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def found(picture):
    samples = np.asarray(picture)
    samples = samples >> 8 if samples.dtype.itemsize > 1 else samples
    return [tuple(int(value) for value in np.atleast_1d(samples[y, x])) for x, y in POINTS]


print(", ".join(f"{name} {version(name)}" for name in ("pypdf", "pikepdf", "pypdfium2")))
same = True
for space, colours in QUARTERS.items():
    for bits in (8, 16):
        pdf = page_with(space, bits)
        drawn = found(pypdfium2.PdfDocument(pdf)[0].render(scale=1).to_pil().convert("RGB" if space == "DeviceRGB" else "L"))
        by_pypdf = pypdf.PdfReader(io.BytesIO(pdf)).pages[0].images[0].image
        with pikepdf.open(io.BytesIO(pdf)) as file:
            by_pikepdf = found(pikepdf.PdfImage(file.pages[0].Resources.XObject.Im).as_pil_image())
        print(f"{space}, {bits} bits: pypdf {by_pypdf.mode} {by_pypdf.size} {found(by_pypdf)}, pikepdf {by_pikepdf}, drawn {drawn}")
        same = same and drawn == by_pikepdf == colours and by_pypdf.size == (64, 32)
        same = same and (found(by_pypdf) == colours) == (bits == 8)
        if bits == 16 and space == "DeviceGray":
            rows = np.asarray(by_pypdf)
            same = same and set(rows[::2].ravel().tolist()) == {40} and set(rows[1::2].ravel().tolist()) == {90}
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
