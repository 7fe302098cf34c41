#!/usr/bin/env bash
# A bfloat16 product of the CPU compiles code anew for every number of rows that it has not seen yet.
#
# Expected: F.linear with one weight and 30, 31, 32 ... rows runs the code it has; the number of rows is an argument.
# Happens: oneDNN keys its cache of primitives by the exact shapes. Each new number of rows is a miss that generates machine
#   code, and the cache holds 1,024 of them by default. A mixture of experts meets new numbers in every layer of every
#   prompt, since each expert gets as many rows as tokens chose it.
# Shown: oneDNN's own log of what it makes (ONEDNN_VERBOSE=profile_create) for 64 numbers of rows, twice over: misses in
#   the first round, hits in the second, and milliseconds of both.
# Matters here: on a processor with matrix units two thirds of the first product with an expert's rows was the making of
#   code. Our kernels for prompts take any number of rows.
# Source: torch 2.13.0 with its bundled oneDNN; found while timing the experts of a prompt.
set -euo pipefail
TORCH=2.13.0
grep -qE 'avx512_core_bf16|avx512_bf16|amx_bf16' /proc/cpuinfo || { echo "needs a processor with bfloat16 products"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==$TORCH" numpy
cat > "$folder/show.py" <<'PYTHON'
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
weight = torch.randn(1792, 1280).bfloat16()
x = torch.randn(94, 1280).bfloat16()
print(f"torch {torch.__version__}", flush=True)
for round in ("first", "second"):
    print(f"round {round}", flush=True)
    for rows in range(30, 94):
        F.linear(x[:rows], weight)
PYTHON
ONEDNN_VERBOSE=profile_create "$folder/venv/bin/python" "$folder/show.py" > "$folder/log"
awk '/^torch/ { print; next } /^round/ { round = $2; next }
    /create:cache_miss/ && /matmul|inner_product/ { split($0, part, ","); miss[round]++; ms[round] += part[length(part)] }
    /create:cache_hit/ && /matmul|inner_product/ { split($0, part, ","); hit[round]++; ms[round] += part[length(part)] }
    END {
        printf "first round: %d made, %.1f ms; second round: %d made, %d found, %.1f ms\n",
            miss["first"], ms["first"], miss["second"], hit["second"], ms["second"]
        if (miss["first"] >= 64 && !miss["second"] && hit["second"] >= 64) print "as described"
        else { print "NOT as described any more"; exit 1 }
    }' "$folder/log"
