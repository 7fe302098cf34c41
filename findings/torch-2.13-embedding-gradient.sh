#!/usr/bin/env bash
# On the CPU the bfloat16 gradient of an embedding stops growing: a token that stands 1,000 times in a batch counts for 256.
#
# Expected: sums of bfloat16 are taken in float32 and rounded at the end, as torch.sum, cumsum, scatter_add_ and EmbeddingBag do on
#   the same machine: a thousand ones are 1,000.
# Happens: the backward pass of nn.Embedding, index_add_ and index_put_(accumulate=True) add row after row to a bfloat16 and round
#   each time. Its eight bits of precision cannot tell 257 from 256, so that ones are lost from there on; of real gradients,
#   which have either sign, what is small beside the sum so far is lost. No warning, whatever the number of threads.
# Shown: a thousand ones summed in seven ways, and in float32 by nn.Embedding; with one thread and with two.
# Matters here: in a batch of documents one token, the comma or the placeholder of a picture, stands thousands of times. Who trains
#   embeddings in bfloat16 on a CPU gives it a part of its gradient. Our fine-tuning leaves them alone, and outputs of experts are
#   added with index_add_ to float32 (model/operations.py).
# Source: torch 2.13.0, run on x86-64; found while looking for kernels that round in between.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import sys

import torch

COUNT = 1000
print(f"torch {torch.__version__}")


def embedding_gradient(dtype):
    embedding = torch.nn.Embedding(2, 8, dtype=dtype)
    embedding(torch.zeros(COUNT, dtype=torch.long)).sum().backward()
    return embedding.weight.grad[0, 0].item()


def bag():
    layer = torch.nn.EmbeddingBag(2, 8, mode="sum", dtype=torch.bfloat16)
    layer.weight.data.fill_(1)
    return layer(torch.zeros(1, COUNT, dtype=torch.long))[0, 0].item()


def sums():
    ones, zero = torch.ones(COUNT, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.bfloat16)
    places = torch.zeros(COUNT, dtype=torch.long)
    return {
        "sum": ones.sum().item(),
        "cumsum": ones.cumsum(0)[-1].item(),
        "scatter_add_": zero.clone().scatter_add_(0, places, ones).item(),
        "EmbeddingBag": bag(),
        "Embedding's gradient in float32": embedding_gradient(torch.float32),
        "Embedding's gradient": embedding_gradient(torch.bfloat16),
        "index_add_": zero.clone().index_add_(0, places, ones).item(),
        "index_put_": zero.clone().index_put_((places,), ones, accumulate=True).item(),
    }


same = True
for threads in (1, 2):
    torch.set_num_threads(threads)
    found = sums()
    print(f"{threads} threads: {found}")
    same = same and list(found.values()) == [COUNT] * 5 + [256] * 3
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
