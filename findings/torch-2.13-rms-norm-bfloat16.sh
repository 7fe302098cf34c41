#!/usr/bin/env bash
# On the CPU, F.rms_norm of bfloat16 is a chain of float32 operations; F.layer_norm of the same tensor is one kernel.
#
# Expected: rms_norm does less than layer_norm (no mean to take off), and PyTorch has aten::_fused_rms_norm, so it costs as
#   much at most.
# Happens: below that name the CPU has no kernel of its own. The tensor is widened to float32, squared, averaged and
#   multiplied twice, each over memory, and narrowed again.
# Shown: what the profiler sees below F.rms_norm and F.layer_norm of [650, 1280] in bfloat16, and the processor time of
#   both (the least of fifty calls).
# Matters here: DeepSeek-VL2's decoder takes two such norms a layer. Once the products of a prompt ran on matrix units, the
#   norms were the largest part of what was left; ours are one kernel.
# Source: torch 2.13.0; found with torch.profiler.
set -euo pipefail
TORCH=2.13.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==$TORCH" numpy
cat > "$folder/show.py" <<'PYTHON'
import sys
import time

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

torch.set_num_threads(1)
WIDTH = 1280
x = torch.randn(650, WIDTH).bfloat16()
w = torch.randn(WIDTH).bfloat16()
WORK = {"aten::pow", "aten::mean", "aten::mul", "aten::copy_", "aten::native_layer_norm"}


def look(norm):
    norm()
    with profile(activities=[ProfilerActivity.CPU]) as seen, torch.no_grad():
        norm()
    found = [event.name for event in seen.events() if event.name in WORK]
    times = []
    for _ in range(50):
        began = time.process_time()
        norm()
        times.append(time.process_time() - began)
    return found, 1e3 * min(times)


rms, rms_ms = look(lambda: F.rms_norm(x, (WIDTH,), w))
layer, layer_ms = look(lambda: F.layer_norm(x, (WIDTH,), w, w))
print(f"torch {torch.__version__}: rms_norm {rms_ms:.2f} ms is {rms}; layer_norm {layer_ms:.2f} ms is {layer}")
same = len(rms) >= 5 and "aten::pow" in rms and layer == ["aten::native_layer_norm"] and rms_ms > 1.5 * layer_ms
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
