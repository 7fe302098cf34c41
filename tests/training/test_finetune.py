from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from PIL import Image

from dsvl2_app import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.__main__ import main
from dsvl2_app.model.weights import official_views
from dsvl2_app.training import finetune
from dsvl2_app.training.conversations import collate, read_conversations


@pytest.fixture
def data(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "a.png")
    picture = [{"type": "image", "path": "a.png"}, {"type": "text", "text": "\nWhat colour?"}]
    chats = [
        [{"role": "user", "content": picture}, {"role": "assistant", "content": "Red."}],
        [{"role": "user", "content": "What are you?"}, {"role": "assistant", "content": "A cat."}],
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps({"messages": chat}) for chat in chats), encoding="utf-8")
    return path


def tune(checkpoint: Path, data: Path, out: Path, *more: str) -> list[float]:
    """The losses of a short run."""
    flags = ["--model", str(checkpoint), "--data", str(data), "--out", str(out), "--batch", "2", "--epochs", "5"]
    assert main(["finetune", *flags, *more]) == 0
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def logits(model: Any, checkpoint: Path, data: Path) -> torch.Tensor:
    processor = DeepseekVL2Processor.from_pretrained(checkpoint)
    inputs = collate(read_conversations(data), processor, 4096)
    with torch.no_grad():
        return model(**inputs).logits[inputs["attention_mask"].bool()]


@pytest.mark.parametrize("variant", ["tiny", "small"])
def test_an_adapter_lowers_the_loss_and_loads_again(
    checkpoint: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    load_model: Callable[[str], DeepseekVL2ForConditionalGeneration],
    variant: str,
):
    learnt = []
    save = finetune.save
    monkeypatch.setattr(finetune, "save", lambda learner, *rest: (learnt.append(learner), save(learner, *rest)))
    losses = tune(checkpoint, data, tmp_path / "out", "--rate", "0.02")
    assert losses[-1] < 0.6 * losses[0]
    expected = logits(learnt[0], checkpoint, data)
    base = DeepseekVL2ForConditionalGeneration.from_pretrained(checkpoint)
    assert (logits(base, checkpoint, data) - expected).abs().max() > 0.1
    adapted = PeftModel.from_pretrained(base, tmp_path / "out").eval()
    assert torch.allclose(logits(adapted, checkpoint, data), expected, atol=1e-4)
    changed = {name.rpartition(".lora_A")[0] for name, _ in adapted.named_parameters() if "lora_A" in name}
    assert changed and all(".decoder.layers." in name and "kv_b_proj" not in name for name in changed)

    finetune.save(learnt[0], DeepseekVL2Processor.from_pretrained(checkpoint), checkpoint, _merged(tmp_path / "whole"))
    whole = DeepseekVL2ForConditionalGeneration.from_pretrained(tmp_path / "whole")
    assert whole.config.to_dict()["language_config"] == base.config.to_dict()["language_config"]
    assert torch.allclose(logits(whole, checkpoint, data), expected, atol=1e-3)
    assert DeepseekVL2Processor.from_pretrained(tmp_path / "whole")


def _merged(out: Path) -> Any:
    return type("Flags", (), {"out": str(out), "full": False, "merge": True})


@pytest.mark.parametrize("variant", ["base"])
def test_in_full_everything_learns_but_the_routers_bias(checkpoint: Path, data: Path, tmp_path: Path, variant: str):
    losses = tune(checkpoint, data, tmp_path / "out", "--full", "--rate", "0.01")
    assert losses[-1] < 0.6 * losses[0]
    before, after = (
        official_views(DeepseekVL2ForConditionalGeneration.from_pretrained(folder))
        for folder in (checkpoint, tmp_path / "out")
    )
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert {name for name in before if name.endswith("e_score_correction_bias")} <= same
    assert not any(".experts.gate_up" in name or "vision.blocks.0" in name for name in same)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [(["--epochs", "0"], "--epochs is 0"), (["--data", "none.jsonl"], "none.jsonl"), (["--model", "tinny"], "--model")],
)
def test_what_people_get_wrong_is_one_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
):
    assert main(["finetune", "--data", str(data), "--out", str(tmp_path / "out"), *flags]) == 2
    shown = capsys.readouterr().err
    assert sentence in shown and len(shown.splitlines()) == 1
