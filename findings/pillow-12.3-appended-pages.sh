#!/usr/bin/env bash
# A picture that was appended to a PDF keeps that PDF's options: later saves of it ignore their own, and bring the other pages along.
#
# Expected: Image.save reads the pictures in `append_images`; afterwards `b.save(f, "JPEG", quality=95)` is quality 95, as before.
# Happens: for a PDF each appended picture is given a copy of the options as its `encoderinfo` and keeps it. What an image has there is
#   stronger than the arguments of save (that is what it is for: options of a single page), so the quality of the PDF holds for
#   every later JPEG, WebP and AVIF of that picture, whatever is asked for. `append_images` is among the options: a PDF or TIFF of the one
#   picture by itself, with save_all, has all the pages appended before. The first picture of the PDF is left as it was; GIF, WebP,
#   PNG and TIFF leave appended ones alone too.
# Shown: two pictures of noise; bytes of the second as JPEG and WebP of quality 95, and its pages as PDF and TIFF, before and
#   after both were saved as a PDF of quality 10. In Pillow 12.3 and 13.0.
# Matters here: pages of a document are shown, kept and sent to a model as pictures after they were put into a PDF, one loop after
#   the other over the same list. All but the first are then blurred, and a page sent alone carries the others with it.
#   Append copies: `append_images=[page.copy() for page in pages]`.
# Source: Pillow 12.3.0 and 13.0.0, PdfImagePlugin.py (_save) and Image.py (_attach_default_encoderinfo).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import io
import sys

import PIL
from PIL import Image


def saved(picture, form, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file


def of(picture):
    """Bytes as JPEG and WebP of quality 95, pages as PDF and TIFF."""
    sizes = [len(saved(picture, form, quality=95).getvalue()) for form in ("JPEG", "WEBP")]
    pages = saved(picture, "PDF", save_all=True).getvalue().count(b"/Type /Page\n")
    return *sizes, pages, Image.open(saved(picture, "TIFF", save_all=True)).n_frames


first, second = (Image.effect_noise((256, 256), 50).convert("RGB") for _ in range(2))
before = of(first), of(second)
saved(first, "PDF", save_all=True, append_images=[second], quality=10)
after = of(first), of(second)
for name, was, now in zip(("first", "appended"), before, after, strict=True):
    print(f"Pillow {PIL.__version__}, {name} picture: JPEG, WebP, pages of PDF, of TIFF: {was} before, {now} after")
same = before[0] == after[0] and before[1][2:] == (1, 1) and after[1][2:] == (2, 2)
same = same and after[1][0] < before[1][0] / 3 and after[1][1] < before[1][1] / 2
for form in ("GIF", "WEBP", "PNG", "TIFF"):
    third = second.copy()
    saved(first, form, save_all=True, append_images=[third], **{} if form != "WEBP" else {"quality": 10})
    same = same and of(third) == before[1]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
for version in 12.3.0 13.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "pillow==$version"
    timeout 120 "$folder/$version/bin/python" "$folder/show.py"
done
