"""What a run trains: the model, its learner, and their optimizer."""

from __future__ import annotations

from pathlib import Path

from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.text.processor import DeepseekVL2Processor
from nano.coordinates import NUMBERS, smooth
from nano.learner import Learner
from nano.muon import Muon


def build_model(start: Path | None, seed: int) -> DeepseekVL2ForConditionalGeneration:
    if start:
        return DeepseekVL2ForConditionalGeneration.from_pretrained(start, dtype="float32").train()
    config = DeepseekVL2Config.preset("nano")
    return DeepseekVL2ForConditionalGeneration.from_random(config, "float32", seed=seed).train()


def build_learner(
    model: DeepseekVL2ForConditionalGeneration, processor: DeepseekVL2Processor, *, fresh: bool
) -> Learner:
    """`fresh` weights get smooth number rows to begin with; those of a checkpoint are left as they are."""
    vocabulary = processor.tokenizer.get_vocab()
    number_ids = [vocabulary[str(number)] for number in range(NUMBERS)]
    for module in (model.decoder.embed_tokens, model.lm_head):
        smooth(module, number_ids, 0.02 if fresh else 0.0)
    return Learner(model, number_ids)


def build_optimizer(learner: Learner, rate: float) -> Muon:
    """Muon for the matrices inside the model, AdamW at half the rate for embeddings, heads, norms and biases."""
    matrices, others = [], []
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        inside = any(part in name for part in (".blocks.", ".layers.", ".mlp.")) and "router" not in name
        (matrices if inside and parameter.dim() > 1 else others).append(parameter)
    optimizer = Muon(matrices, others, lr=rate, other_lr=rate / 2)
    for group in optimizer.param_groups:
        group["full_lr"] = group["lr"]
    return optimizer


def compile_blocks(model: DeepseekVL2ForConditionalGeneration) -> None:
    for block in model.vision.blocks:
        block.compile(dynamic=True)
    for layer in model.decoder.layers:
        layer.compile(dynamic=False)
