#!/usr/bin/env bash
# safetensors 0.8 writes a transposed or sliced NumPy array with other numbers in it, and no error.
#
# Expected: `save_file({"w": a.T}, path)` of safetensors.numpy stores what `a.T` is, as 0.7.0 does, or refuses it, as the same
#   release does for torch: "You are trying to save a non contiguous tensor".
# Happens: 0.8.0 hands the address of the array's memory and its shape on, and not how it is laid out. The bytes are written as
#   they lie: of a transpose those of the original under the transposed shape, of every second column those of the first
#   ones. The file is valid, its shapes are right, loading it raises nothing.
# Shown: a matrix, its transpose, every second column of it and a copy in Fortran's order, saved and loaded by NumPy with 0.7.0
#   and 0.8.0, and the transpose by torch.
# Matters here: converters between layouts of weights turn matrices (the factors of adapters, heads of attention), and NumPy's
#   transpose is a view. A model converted so loads and talks nonsense. Our files are written through torch alone; whoever
#   writes some through NumPy calls ascontiguousarray first.
# Source: https://github.com/safetensors/safetensors/issues/825; safetensors 0.8.0, safetensors/numpy.py (_flatten).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

a = np.arange(12, dtype=np.float32).reshape(3, 4)
for name, array in {"whole": a, "transpose": a.T, "columns": a[:, ::2], "fortran": np.asfortranarray(a)}.items():
    back = load(save({"w": array}))["w"]
    state = "same" if np.array_equal(back, array) else f"CHANGED, its first row {array[0].tolist()} is {back[0].tolist()}"
    print(f"{safetensors.__version__} numpy {name}: {state}")
try:
    import torch
    from safetensors.torch import save as save_torch

    save_torch({"w": torch.from_numpy(a).T})
    print(f"{safetensors.__version__} torch transpose: taken")
except ImportError:
    pass
except ValueError:
    print(f"{safetensors.__version__} torch transpose: refused")
PYTHON
for version in 0.7.0 0.8.0; do
    python3 -m venv "$folder/$version"
    more=$([ "$version" = 0.8.0 ] && echo torch==2.13.0 || true)
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.3.5 $more
    "$folder/$version/bin/python" "$folder/show.py" | tee -a "$folder/output"
done
[ "$(grep -c '^0.7.0 numpy .*: same' "$folder/output")" = 4 ]
grep -q '^0.8.0 numpy whole: same' "$folder/output"
[ "$(grep -c '^0.8.0 numpy .*: CHANGED' "$folder/output")" = 3 ]
grep -q '^0.8.0 torch transpose: refused' "$folder/output"
echo "as described"
