#!/usr/bin/env bash
# A model whose forward names `shift_labels` beside `labels` is evaluated without a loss, and nothing says so.
#
# Expected: `shift_labels` is what the loss functions of transformers take themselves, so a model of one's own may name it
#   in forward() as it names `labels`; Trainer.evaluate() gives eval_loss as before.
# Happens: training goes on as ever, evaluate() returns no eval_loss, and load_best_model_at_end ends in a KeyError after the
#   first evaluation. Trainer takes every parameter of forward with "label" in its name as a label of the data, and
#   computes a loss only where all of them are in the batch, which no data set has. Taken out of **kwargs instead, the
#   same argument does no harm.
# Matters: forward() here takes shift_labels from its keyword arguments, out of the signature; `label_names=["labels"]` in
#   TrainingArguments is the cure for models that cannot be changed.
# Source: run below; `find_labels` in utils/generic.py, `prediction_step` in trainer.py.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/probe.py" <<'P'
import sys

import torch
import transformers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, Trainer, TrainingArguments
from transformers.modeling_outputs import CausalLMOutput


class WithKeywords(PreTrainedModel):
    config_class = PreTrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.head = nn.Embedding(9, 9)
        self.post_init()

    def score(self, input_ids, labels, shift_labels):
        logits = self.head(input_ids)
        loss = None
        if labels is not None or shift_labels is not None:
            targets = nn.functional.pad(labels[:, 1:], (0, 1), value=-100) if shift_labels is None else shift_labels
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return CausalLMOutput(loss=loss, logits=logits)

    def forward(self, input_ids=None, labels=None, **kwargs):
        return self.score(input_ids, labels, kwargs.get("shift_labels"))


class WithName(WithKeywords):
    def forward(self, input_ids=None, labels=None, shift_labels=None, **kwargs):
        return self.score(input_ids, labels, shift_labels)


rows = [{"input_ids": torch.arange(1, 7), "labels": torch.arange(1, 7)}] * 4
for kind, more in ((WithKeywords, {}), (WithName, {}), (WithName, {"label_names": ["labels"]})):
    arguments = TrainingArguments(sys.argv[1], use_cpu=True, report_to=[], disable_tqdm=True, max_steps=1, **more)
    trainer = Trainer(kind(PreTrainedConfig()), arguments, train_dataset=rows, eval_dataset=rows)
    trained, found = trainer.train().training_loss > 0, trainer.evaluate()
    print(f"transformers {transformers.__version__}, {kind.__name__}{more or ''}: labels {trainer.label_names},",
          "trains," if trained else "trains not,", "eval_loss" if "eval_loss" in found else "no eval_loss")
P
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "torch==2.13.0" "transformers==5.24.0" "accelerate==1.15.0" "numpy==2.3.5"
"$folder/venv/bin/python" "$folder/probe.py" "$folder/out" 2> "$folder/errors" | tee "$folder/output" || cat "$folder/errors"
grep -q "WithKeywords: labels \['labels'\], trains, eval_loss" "$folder/output"
grep -q "WithName: labels \['labels', 'shift_labels'\], trains, no eval_loss" "$folder/output"
grep -q "WithName{.*}: labels \['labels'\], trains, eval_loss" "$folder/output"
