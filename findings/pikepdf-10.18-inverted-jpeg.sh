#!/usr/bin/env bash
# pikepdf takes one picture out of a PDF right or as its negative, by whether it is stored as JPEG: there /Decode counts for nothing.
#
# Expected: as the documentation of PdfImage says: as_pil_image() gives the picture as viewers draw it, and extract_to(), which copies a JPEG as it is
#   where it can, writes a PNG or TIFF where /Decode turns it around.
# Happens: both leave /Decode out for JPEG (and JPEG 2000), on the ground that Pillow minds the inversion that Adobe marks in a JPEG.
#   That is of CMYK alone. A grey scan or a photo in colours that is stored the other way round comes out as its negative, as ".jpg"; and a
#   CMYK JPEG whose marker stands without /Decode, which viewers do not turn, is turned and comes out black. Nothing warns, as it does for palettes.
# Shown: a ramp in grey, colours and CMYK, with /Decode turned around and not, stored plainly and as JPEG: drawn by PDFium, and what
#   as_pil_image() and extract_to() give.
# Matters here: the pictures of a page are taken out for a model without drawing the page, and a negative is described as one.
#   Compare with /Decode on the object, or draw the page. We draw pages.
# Source: pikepdf 10.18.0, models/image/_postprocess.py (apply_decode_array) and the docstrings of PdfImage; pypdfium2 5.15.2 as the viewer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pikepdf==10.18.0 pypdfium2==5.15.2 pillow==13.0.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import io
import sys
from importlib.metadata import version

import numpy as np
import pikepdf
import pypdfium2
from PIL import Image

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (32, 1))
SPACES = {"L": "DeviceGray", "RGB": "DeviceRGB", "CMYK": "DeviceCMYK"}


def page_with(mode, turned, jpeg):
    planes = len(Image.new(mode, (1, 1)).getbands())
    black = np.full_like(RAMP, 0 if turned == jpeg else 255)  # Adobe's CMYK JPEG, as Pillow writes it, is turned around once
    samples = RAMP if planes == 1 else np.dstack([RAMP] * 3 + [black] * (planes - 3))
    stored = io.BytesIO(samples.tobytes())
    if jpeg:
        stored = io.BytesIO()
        Image.fromarray(samples, mode).save(stored, "JPEG", quality=95, subsampling=0)
    file = pikepdf.new()
    picture = file.make_stream(stored.getvalue())
    about = {"Type": pikepdf.Name.XObject, "Subtype": pikepdf.Name.Image, "Width": 64, "Height": 32}
    about |= {"BitsPerComponent": 8, "ColorSpace": pikepdf.Name("/" + SPACES[mode])}
    about |= {"Filter": pikepdf.Name.DCTDecode} if jpeg else {}
    about |= {"Decode": pikepdf.Array([1, 0] * planes)} if turned else {}
    for name, value in about.items():
        picture["/" + name] = value
    page = file.add_blank_page(page_size=(64, 32))
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=picture))
    page.Contents = file.make_stream(b"q 64 0 0 32 0 0 cm /Im Do Q")
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def runs(picture):
    grey = np.asarray(picture.convert("RGB").convert("L"), int)
    step = grey[16, 60] - grey[16, 4]
    return "nowhere" if abs(step) < 40 else "up" if step > 0 else "down"


def take(pdf):
    drawn = pypdfium2.PdfDocument(pdf)[0].render(scale=1).to_pil()
    with pikepdf.open(io.BytesIO(pdf)) as file:
        image = pikepdf.PdfImage(file.pages[0].Resources.XObject.Im)
        written = io.BytesIO()
        kind = image.extract_to(stream=written)
        return runs(drawn), runs(image.as_pil_image()), runs(Image.open(written)), kind


print(f"pikepdf {version('pikepdf')}; where a ramp runs: drawn, as_pil_image(), extract_to()")
same = True
for mode in SPACES:
    for jpeg in (False, True):
        for turned in (False, True):
            drawn, taken, written, kind = take(page_with(mode, turned, jpeg))
            how = f"{mode}, {'JPEG' if jpeg else 'plain'}, {'/Decode turned around' if turned else 'no /Decode'}"
            print(f"{how}: {drawn}, {taken}, {written} {kind}{'' if drawn == taken == written else '  <- wrong'}")
            wrong = jpeg and turned != (mode == "CMYK")
            same = same and taken == written and (drawn != taken) == wrong and (kind == ".jpg") == jpeg
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
