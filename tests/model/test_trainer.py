"""transformers' Trainer over the model: gradients as they are meant, and weights that come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from dsvl2_app import DeepseekVL2ForConditionalGeneration
from dsvl2_app.errors import SettingsError
from dsvl2_app.model.modeling import CACHE_NAME

if TYPE_CHECKING:
    from tests.conftest import Reference

Model = DeepseekVL2ForConditionalGeneration


@pytest.fixture
def load(reference_folder: Path) -> Callable[[str], Model]:
    """A model of one's own, to be trained."""
    return lambda name="small": Model.from_pretrained(reference_folder / name / "checkpoint").train()


@pytest.fixture
def text_ids() -> Tensor:
    return torch.randint(3, 580, (1, 20), generator=torch.Generator().manual_seed(7))


def samples(count: int) -> list[dict[str, Tensor]]:
    """Of one length, but with ever fewer labels, so that the mean over samples is not the mean over labels."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 580, (count, 9), generator=generator)
    labels = ids.masked_fill(torch.arange(9) < torch.arange(count)[:, None], -100)
    mask = torch.ones(9, dtype=torch.bool)
    return [{"input_ids": row, "attention_mask": mask, "labels": each} for row, each in zip(ids, labels, strict=True)]


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    fixed = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1}
    return TrainingArguments(str(folder), **{**fixed, **options})


class Watch(TrainerCallback):
    """Each step's gradient of the input embeddings."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def on_pre_optimizer_step(self, *_: Any, model: Model, **__: Any) -> None:
        self.seen.append(model.decoder.embed_tokens.weight.grad.clone())


# -- the loss ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_accumulated_gradients_are_those_of_one_batch(
    checkpointing: bool, load: Callable[[], Model], tmp_path: Path
) -> None:
    gradients, losses = [], []
    for batch, steps in ((4, 1), (1, 4)):
        options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps, "max_steps": 1}
        watch, model = Watch(), load()
        if checkpointing and batch == 1:
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        given = arguments(tmp_path, **options, max_grad_norm=0, learning_rate=0)
        trainer = Trainer(model, given, train_dataset=samples(4), callbacks=[watch])
        losses.append(trainer.train().training_loss)
        gradients += watch.seen
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@torch.no_grad()
def test_labels_that_are_shifted_already(load: Callable[[], Model], text_ids: Tensor) -> None:
    model = load().eval()
    labels = text_ids.clone()
    labels[:, :12] = -100
    loss = model(input_ids=text_ids, labels=labels).loss
    shifted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    torch.testing.assert_close(model(input_ids=text_ids, shift_labels=shifted).loss, loss)
    parts = model(input_ids=text_ids, labels=labels, num_items_in_batch=torch.tensor(32)).loss
    torch.testing.assert_close(parts, loss * 8 / 32)


# -- gradient checkpointing ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["small"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_changes_no_gradient_of_a_picture(
    reentrant: bool, load: Callable[[], Model], open_reference: Callable[[str, str], Reference], variant: str
) -> None:
    inputs, gradients = open_reference(variant, "c_tall_ref").inputs, []
    for checkpointing in (False, True):
        model = load()
        model.enable_input_require_grads()
        if checkpointing:
            enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
            enable({"use_reentrant": reentrant})
        # use_cache has no place in training; the configuration's True must not break it
        output = model(**inputs, labels=inputs["input_ids"])
        assert (CACHE_NAME in output) is not checkpointing
        output.loss.backward()
        gradients.append([each.grad for each in model.parameters()])
    for found, expected in zip(*gradients, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-4)


def test_checkpointing_and_a_cache_are_refused_together(load: Callable[[], Model], text_ids: Tensor) -> None:
    model = load()
    cache = model(input_ids=text_ids)[CACHE_NAME]
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    with pytest.raises(SettingsError, match="a cache"):
        model(input_ids=text_ids, cache=cache)
    with torch.no_grad():  # then nothing is computed twice
        assert model(input_ids=text_ids)[CACHE_NAME].get_seq_length() == text_ids.shape[1]


# -- weights -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "base"])
def test_training_resumes_with_every_weight(name: str, load: Callable[[str], Model], tmp_path: Path) -> None:
    """Two steps, then two more in a model made anew, are four in one go."""
    options = {"per_device_train_batch_size": 2, "save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    options |= {"learning_rate": 1e-2, "lr_scheduler_type": "constant"}
    whole = Trainer(load(name), arguments(tmp_path / "whole", **options), train_dataset=samples(8))
    whole.train()
    again = Trainer(load(name), arguments(tmp_path / "again", **options), train_dataset=samples(8))
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    for (key, found), expected in zip(again.model.named_parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5, msg=key)
    start = load(name)
    assert not torch.equal(start.decoder.layers[1].mlp.experts.down, again.model.decoder.layers[1].mlp.experts.down)


@pytest.mark.slow
def test_the_best_model_is_loaded_at_the_end(load: Callable[[], Model], tmp_path: Path) -> None:
    """The highest loss is called best here, and the loss falls: it is the first that is loaded."""
    options: dict[str, Any] = {"per_device_train_batch_size": 2, "max_steps": 3, "learning_rate": 1e-2}
    options |= {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": True}
    trainer = Trainer(load(), arguments(tmp_path, **options), train_dataset=samples(2), eval_dataset=samples(2))
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses[0] > losses[1] > losses[2]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[0], rel=1e-4)
    best = Model.from_pretrained(trainer.state.best_model_checkpoint)
    assert all(map(torch.equal, best.parameters(), trainer.model.parameters()))
