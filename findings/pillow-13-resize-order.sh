#!/usr/bin/env bash
# Pillow 13.0 resizes some pictures in another order of its two passes than every release before, so pixels change.
#
# Expected: Image.resize with the same filter gives the same bytes in every release; the release notes of a decoder
#   library are where such a change would be looked for, not the resampler, which had kept its order for ten years.
# Happens: up to 12.3 the horizontal pass always comes first. 13.0 takes the vertical pass first where the height
#   shrinks much more than the width. Each pass rounds to 8 bits, so the results differ: by one level in a sixth of the values
#   when both sides shrink, by up to 23 levels in a third of the values when the width grows while the height shrinks.
# Matters: preprocessing that is pinned to the bit (hashes of the tiles of tall pictures, features compared with the
#   official code's) depends on the installed Pillow. The cure is to make the two passes by two calls, in a fixed order.
# Source: run below; Pillow's src/libImaging/Resample.c chooses the order.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/probe.py" <<'P'
import numpy as np, PIL
from PIL import Image

noise = np.random.default_rng(0).integers(0, 256, (1301, 333, 3), dtype=np.uint8)
picture, bicubic = Image.fromarray(noise), Image.Resampling.BICUBIC
for width, height in ((98, 384), (600, 1200)):
    whole = np.asarray(picture.resize((width, height), bicubic))
    vertical = np.asarray(picture.resize((333, height), bicubic).resize((width, height), bicubic))
    horizontal = np.asarray(picture.resize((width, 1301), bicubic).resize((width, height), bicubic))
    order = "vertical" if (whole == vertical).all() else "horizontal" if (whole == horizontal).all() else "neither"
    apart = np.abs(vertical.astype(int) - horizontal.astype(int))
    print(f"pillow {PIL.__version__}: 333x1301 -> {width}x{height} {order} first, "
          f"orders differ in {(apart > 0).mean():.0%} of the values by up to {apart.max()}")
P
for version in 12.3.0 13.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -q "pillow==$version" "numpy==2.3.5"
    "$folder/$version/bin/python" "$folder/probe.py" | tee -a "$folder/output"
done
grep -q "pillow 12.3.0: 333x1301 -> 98x384 horizontal first" "$folder/output"
grep -q "pillow 12.3.0: 333x1301 -> 600x1200 horizontal first" "$folder/output"
grep -q "pillow 13.0.0: 333x1301 -> 98x384 vertical first" "$folder/output"
grep -q "pillow 13.0.0: 333x1301 -> 600x1200 vertical first" "$folder/output"
