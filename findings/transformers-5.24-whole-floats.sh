#!/usr/bin/env bash
# transformers tells whether floats are 0..1 or 0..255 by whether they are whole, so a white picture of ones comes out black.
#
# Expected: how bright a float array is shown depends on its range, so that 1.0 everywhere is about as bright as 0.99.
# Happens: an array is multiplied by 255 unless all of its values are whole numbers. All of 0.99 is grey level 252, all of
#   1.0 is grey level 1, in 5.24.0 and in 5.20.2. One pixel of 0.5 among the ones makes them white again. A
#   whole number above 1 is right, so the ambiguity is met by masks, line drawings and blank pages alone.
# Matters: who hands masks as floats to a processor gets a black picture and no error; they are read here as transformers
#   reads them, so that both agree, and have to be multiplied by 255 by their owner.
# Source: run below; image_transforms.py, `to_pil_image`.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/probe.py" <<'P'
import numpy as np
import PIL
import transformers
from transformers.image_transforms import to_pil_image

ones = np.ones((2, 2, 3), np.float32)
almost, mixed = ones * 0.99, ones.copy()
mixed[0, 0, 0] = 0.5
levels = {name: to_pil_image(each).getpixel((1, 1)) for name, each in (("1.0", ones), ("0.99", almost), ("1.0 beside 0.5", mixed))}
print(f"transformers {transformers.__version__}, pillow {PIL.__version__}:", levels)
P
for version in 5.20.2 5.24.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -q "transformers==$version" "numpy==2.3.5" "pillow==12.3.0"
    "$folder/$version/bin/python" "$folder/probe.py" 2> "$folder/errors" | tee -a "$folder/output" || cat "$folder/errors"
done
for version in 5.20.2 5.24.0; do
    grep -q "transformers $version, .*'1.0': (1, 1, 1), '0.99': (252, 252, 252), '1.0 beside 0.5': (255, 255, 255)" "$folder/output"
done
