#!/usr/bin/env bash
# pipeline("image-text-to-text", batch_size=2) ends in a NameError where the processor has no image processor beside it.
#
# Expected: a processor that makes pixel_values itself answers in batches as it does one by one; the pipeline hands over
#   what it made, and pictures are not padded in any case.
# Happens: batch_size=1 never collates and works. From 2 on the pipeline builds a function that pads each key by a value; the
#   one for "pixel_values" is set only where there is an image processor or feature extractor, but read for every batch
#   with pixel_values: "cannot access free variable 'f_padding_value'". Beside any object, even one without a padding value,
#   the same batch is stacked. Nothing earlier warns of it, so it is met in production, where batches are.
# Matters: the processor here has an `image_processor` for this alone, outside of `attributes`, so that it is not saved twice.
# Source: run below; pipelines/base.py, `pad_collate_fn`.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/probe.py" <<'P'
import torch
import transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.pipelines.base import pad_collate_fn

tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0, "a": 1})), pad_token="<pad>")
rows = [{"input_ids": torch.ones(1, length, dtype=torch.long), "pixel_values": torch.zeros(1, 3, 4, 4)} for length in (2, 3)]
for beside in (None, object()):
    try:
        batch = pad_collate_fn(tokenizer, beside)(rows)
        told = ", ".join(f"{name} {tuple(batch[name].shape)}" for name in sorted(batch))
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    print(f"transformers {transformers.__version__}, beside {type(beside).__name__}: {told}")
P
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "torch==2.13.0" "transformers==5.24.0" "numpy==2.3.5"
"$folder/venv/bin/python" "$folder/probe.py" 2> "$folder/errors" | tee "$folder/output" || cat "$folder/errors"
grep -q "beside NoneType: NameError: .*'f_padding_value'" "$folder/output"
grep -q "beside object: input_ids (2, 3), pixel_values (2, 3, 4, 4)" "$folder/output"
