#!/usr/bin/env bash
# A product fused with its GELU, aten::_addmm_activation, is another function on a CPU than on a GPU.
#
# Expected: `use_gelu=True` means one GELU, exact or by tanh, wherever the tensors are; F.gelu has an argument for it.
# Happens: on a CPU it is the exact one, to the bit; what torch traces for a GPU says approximate="tanh", as cuBLASLt's
#   epilogue computes. So a program that was traced on a CPU computes another activation than the same call on a GPU.
# Shown: the largest distance of the CPU's result from both GELUs in float64, and what the operator is taken apart into
#   for tensors of a CPU and of a GPU (which need not be there: the tensors are fake).
# Matters here: SigLIP's GELU is the one by tanh. On a GPU this operator saves a pass over the widest activations of the
#   encoder; on a CPU it would give features of another model, so ours uses it on a GPU alone, and the exact tests of the
#   encoder run where it is not used.
# Source: torch 2.13.0, torch/_decomp/decompositions.py; found while fusing the encoder's products.
set -euo pipefail
TORCH=2.13.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "torch==$TORCH" numpy
cat > "$folder/show.py" <<'PYTHON'
import sys

import torch
import torch.nn.functional as F
from torch._decomp import get_decompositions
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

fused = torch.ops.aten._addmm_activation.default
x = torch.linspace(-4, 4, 4001, dtype=torch.float64)[:, None]
one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
found = fused(zero, x, one, use_gelu=True)
exact, tanh = ((found - F.gelu(x, approximate=how)).abs().max().item() for how in ("none", "tanh"))


def trace(device):
    with FakeTensorMode():
        sizes = ((4,), (3, 5), (5, 4))
        tensors = [torch.empty(size, device=device) for size in sizes]
        graph = make_fx(lambda *all: fused(*all, use_gelu=True), decomposition_table=get_decompositions([fused]))
        return [dict(node.kwargs) for node in graph(*tensors).graph.nodes if "gelu" in str(node.target)]


traced = {device: trace(device) for device in ("cpu", "cuda")}
print(f"torch {torch.__version__}: {exact:.1e} from the exact GELU, {tanh:.1e} from the one by tanh; traced as {traced}")
same = exact == 0 and tanh > 1e-4 and traced == {"cpu": [{}], "cuda": [{"approximate": "tanh"}]}
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
