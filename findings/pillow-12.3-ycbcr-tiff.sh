#!/usr/bin/env bash
# Pillow cannot read the uncompressed YCbCr TIFF that it writes itself.
#
# Expected: what Image.save writes, Image.open reads.
# Happens: "image file is truncated". The reader takes the three bytes of a pixel for four ("RGBX"); with LZW or deflate,
#   which libtiff unpacks, the same picture is read, its colours a level off.
# Matters here: such files were called damaged. The mode of the raw decoder is put right before they are loaded.
# Source: Pillow 12.3.0, TiffImagePlugin.py; found by writing a picture in every mode of every format.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pillow==12.3.0"
cat > "$folder/show.py" <<'PYTHON'
import io

from PIL import Image

picture = Image.new("YCbCr", (96, 64), (100, 90, 200))
outcomes = {}
for compression in (None, "tiff_lzw", "tiff_adobe_deflate"):
    file = io.BytesIO()
    picture.save(file, "TIFF", compression=compression)
    try:
        outcomes[compression] = Image.open(io.BytesIO(file.getvalue())).convert("RGB").getpixel((5, 5))
    except OSError as error:
        outcomes[compression] = str(error)
print("meant:", picture.convert("RGB").getpixel((5, 5)), "read:", outcomes)
assert "truncated" in outcomes[None] and outcomes["tiff_lzw"] == outcomes["tiff_adobe_deflate"] == (201, 62, 33)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
