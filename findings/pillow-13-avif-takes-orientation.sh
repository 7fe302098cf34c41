#!/usr/bin/env bash
# Saving a photo as AVIF takes the orientation out of the Exif object that it is given, and the next file lies on its side.
#
# Expected: Image.save reads its arguments. `exif = photo.getexif()` may be given to one save after another: a large picture, a
#   small one, a copy in another format.
# Happens: AVIF keeps the orientation in a property of its own, so Pillow removes it from the EXIF that it writes; but from the
#   caller's object, not from a copy. `photo.getexif()` is the same object each time, so asking for it again does not help. The
#   AVIF is right, whatever is saved after it has no orientation, a second AVIF too. With WebP in its place nothing is lost.
# Shown: a JPEG with orientation 6, saved with one Exif object as WebP and then JPEG, and as AVIF and then JPEG and AVIF; size of
#   each once upright, with Pillow 12.3.0 and 13.0.0.
# Matters here: pictures for a page are made in several formats and sizes by such a loop. Those after the AVIF are shown on their
#   side, and the model sees them so. Turn the pixels first (exif_transpose), as we do with all that comes in, or give bytes.
# Source: run below; Pillow's AvifImagePlugin.py, `_save`.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'P'
import io

import PIL
from PIL import Image, ImageOps

turned = Image.Exif()
turned[0x0112] = 6  # to be turned by a quarter
jpeg = io.BytesIO()
Image.new("RGB", (64, 32), "white").save(jpeg, "JPEG", exif=turned)
for kinds in (("WEBP", "JPEG", "WEBP"), ("AVIF", "JPEG", "AVIF")):
    photo, sizes = Image.open(jpeg), []
    for kind in kinds:
        file = io.BytesIO()
        photo.save(file, kind, exif=photo.getexif())
        sizes.append(ImageOps.exif_transpose(Image.open(file)).size)
    print(f"pillow {PIL.__version__}: {', '.join(f'{kind} {w}x{h}' for kind, (w, h) in zip(kinds, sizes))}")
P
for version in 12.3.0 13.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -q --disable-pip-version-check "pillow==$version"
    timeout 60 "$folder/$version/bin/python" "$folder/show.py" | tee -a "$folder/output"
done
for version in 12.3.0 13.0.0; do
    grep -qF "pillow $version: WEBP 32x64, JPEG 32x64, WEBP 32x64" "$folder/output"
    grep -qF "pillow $version: AVIF 32x64, JPEG 64x32, AVIF 64x32" "$folder/output"
done
echo "as described"
