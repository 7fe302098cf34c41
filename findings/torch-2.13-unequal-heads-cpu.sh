#!/usr/bin/env bash
# On a CPU, attention whose values are narrower than its keys leaves the fast kernel without a word; padded with zeros it is many times faster.
#
# Expected: scaled_dot_product_attention on a CPU takes queries and keys of 192 beside values of 128, as latent attention has them
#   (DeepSeek-V2 and V3, DeepSeek-VL2 small and base), at the speed of equal widths, or says that it cannot.
# Happens: the CPU's flash kernel wants one width for all three; otherwise the plain formula runs, which writes every score into memory.
#   Values padded with 64 zero columns that are cut off again give the same numbers: 12 times faster for 1,024 tokens of 16 heads in
#   bfloat16, 33 times for 2,048 (one thread of an Intel processor with matrix units), 9 times in float32.
# Shown: the flash kernel alone refuses unequal widths and takes padded ones; both results are compared, and both are timed.
# Matters here: this is how transformers' deepseek_v2 calls it, so that a long prompt on a CPU spends much of its time there. Our
#   plain attention pads (model/operations.py).
# Source: torch 2.13.0, aten/src/ATen/native/transformers (sdp_utils_cpp.cpp chooses the kernel), run on x86-64.
set -euo pipefail
TORCH=2.13.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==$TORCH" numpy
cat > "$folder/show.py" <<'PYTHON'
import sys
import time
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

torch.manual_seed(0)
torch.set_num_threads(1)
tokens, keys, values = 2048, 192, 128
query, key = (torch.randn(1, 16, tokens, keys, dtype=torch.bfloat16) for _ in range(2))
value = torch.randn(1, 16, tokens, values, dtype=torch.bfloat16)


def unequal() -> torch.Tensor:
    return scaled_dot_product_attention(query, key, value, is_causal=True)


def padded() -> torch.Tensor:
    return scaled_dot_product_attention(query, key, pad(value, (0, keys - values)), is_causal=True)[..., :values]


def is_flash(attend: Callable[[], torch.Tensor]) -> bool:
    try:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            attend()
    except RuntimeError:
        return False
    return True


def best(attend: Callable[[], torch.Tensor]) -> float:
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        attend()
        times.append(time.perf_counter() - begin)
    return min(times)


apart = (unequal().float() - padded().float()).abs().max().item()
print(f"torch {torch.__version__}, {tokens} tokens, 16 heads, bfloat16")
print(f"flash kernel takes 192/192/128: {is_flash(unequal)}; 192/192/192: {is_flash(padded)}")
print(f"largest difference {apart:.4f}; unequal {best(unequal):.2f} s, padded {best(padded):.2f} s")
same = not is_flash(unequal) and is_flash(padded) and apart < 0.05
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
