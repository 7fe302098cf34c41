#!/usr/bin/env bash
# A map of `datasets` that only looks at a JPEG writes it again at quality 75, in place of the original.
#
# Expected: `rows.map(lambda row: {"width": row["image"].width})` adds a column; the pictures, which the function does not give
#   back, stay the bytes that they were, as they do where a function does not look at them or names its `input_columns`.
# Happens: a row that a map hands out is filled in as it is read. Whatever was decoded on the way stands in it as a PIL picture
#   afterwards, and the whole row is written: as a JPEG with Pillow's default quality, below half of the bytes here. Nothing is
#   said, and each further map that looks does it again. Only pictures that are kept as bytes are met, which is how they come
#   from parquet files and so from the Hub; those named by a path stay. `filter` looks and changes nothing.
# Shown: a JPEG of quality 95 after maps that do not look, look, look in batches, and look through `input_columns`: bytes, and
#   by how much pixels differ.
# Matters here: questions and training data come as such tables, and a map that measures or counts pictures is a usual first
#   step. Small print loses most of it. Name `input_columns`, or cast to Image(decode=False) for the map.
# Source: datasets 5.2.0, arrow_dataset.py (map merges the row it handed out), features/image.py (image_to_bytes).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pillow==12.3.0 "numpy<2.4"
cat > "$folder/show.py" <<'PYTHON'
import io
import sys

import datasets
import numpy as np
from PIL import Image

datasets.disable_progress_bars()
print(f"datasets {datasets.__version__}")
noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
file = io.BytesIO()
Image.fromarray(noise).resize((384, 256)).save(file, "JPEG", quality=95)
jpeg = file.getvalue()
table = datasets.Dataset.from_dict(
    {"image": [{"bytes": jpeg, "path": None}], "n": [1]},
    features=datasets.Features({"image": datasets.Image(), "n": datasets.Value("int64")}),
)


def stored(rows: datasets.Dataset) -> bytes:
    return rows.cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


looked = table.map(lambda row: {"width": row["image"].width})
results = {
    "does not look": table.map(lambda row: {"width": row["n"]}),
    "looks": looked,
    "looks in batches": table.map(lambda rows: {"width": [each.width for each in rows["image"]]}, batched=True),
    "looks at input_columns": table.map(lambda image: {"width": image.width}, input_columns=["image"]),
    "filter looks": table.filter(lambda row: row["image"].width > 0),
}
changed = []
for name, rows in results.items():
    data = stored(rows)
    apart = np.abs(pixels(data) - pixels(jpeg)).max()
    print(f"{name}: {len(jpeg)} bytes are {len(data)}, values differ by up to {apart}")
    if data != jpeg:
        assert len(data) < 0.6 * len(jpeg) and apart > 20
        changed.append(name)
same = changed == ["looks", "looks in batches"]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
HF_HOME="$folder/home" timeout 300 "$folder/venv/bin/python" "$folder/show.py"
