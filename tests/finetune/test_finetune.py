from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from PIL import Image

from dsvl2_app import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.__main__ import main
from dsvl2_app.finetune import finetune
from dsvl2_app.finetune.conversations import collate, read_conversations
from dsvl2_app.model.weights import official_views


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def finetune_nano(data: Path, out: Path, *more: str) -> int:
    return main(["finetune", "--model", "nano", "--data", str(data), "--out", str(out), "--batch", "1", *more])


@pytest.mark.slow
def test_bad_lines_are_named_before_the_first_step_or_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lines = data.read_text().splitlines()
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:-40])
    data.write_text("\n".join([lines[0], "{", lines[0].replace("a.png", "cut.png"), lines[1], '{"messages": []}']))
    assert finetune_nano(data, tmp_path / "out") == 2
    shown = capsys.readouterr().err
    assert "data.jsonl, line 2: this is no JSON" in shown and "Nor can number 3, 5. --skip-bad" in shown
    assert not (tmp_path / "out").exists()
    assert finetune_nano(data, tmp_path / "out", "--skip-bad", "--epochs", "1") == 0
    shown = capsys.readouterr().err
    assert [f"Left out: data.jsonl, line {number}: " in shown for number in (2, 3, 5)] == [True] * 3
    assert len((tmp_path / "out" / "log.jsonl").read_text().splitlines()) == 2
    data.write_text("{\n")
    assert finetune_nano(data, tmp_path / "out", "--skip-bad") == 2
    assert "holds nothing that can be learnt" in capsys.readouterr().err


@pytest.mark.slow
def test_an_adapter_folder_names_its_base_and_has_its_words(data: Path, tmp_path: Path):
    assert finetune_nano(data, tmp_path / "out", "--epochs", "1") == 0
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert Path(config["base_model_name_or_path"]).samefile(finetune.NANO)
    processor = DeepseekVL2Processor.from_pretrained(tmp_path / "out")
    assert processor.tokenizer.get_vocab() == DeepseekVL2Processor.from_pretrained(finetune.NANO).tokenizer.get_vocab()


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch, happen: Callable[[], Any]) -> None:
    """Call `happen` when the batch of this step is made."""
    collate, calls = finetune.collate, []

    def watched(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == step:
            happen()
        return collate(*given)

    monkeypatch.setattr(finetune, "collate", watched)


@pytest.mark.slow
@pytest.mark.parametrize("merge", [False, True])
def test_ctrl_c_saves_what_was_learnt(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merge: bool):
    kill_at(3, monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert finetune_nano(data, tmp_path / "out", "--epochs", "50", *["--merge"] * merge) == 130
    assert len((tmp_path / "out" / "log.jsonl").read_text().splitlines()) in (3, 4)
    base = DeepseekVL2ForConditionalGeneration.from_pretrained(finetune.NANO, dtype="float32")
    before = logits(base, finetune.NANO, data)
    if merge:
        learnt = DeepseekVL2ForConditionalGeneration.from_pretrained(tmp_path / "out", dtype="float32")
    else:
        learnt = PeftModel.from_pretrained(base, tmp_path / "out")
    assert (logits(learnt.eval(), finetune.NANO, data) - before).abs().max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--merge"], ["--full"]])
def test_an_error_in_the_middle_loses_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
):
    """A picture that goes away after it was checked."""
    kill_at(5, monkeypatch, (tmp_path / "a.png").unlink)
    monkeypatch.setattr(finetune, "SAVE_SECONDS", 0)  # and saving on the way changes nothing of what is learnt
    assert finetune_nano(data, tmp_path / "out", "--epochs", "50", *flags) == 2
    names = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    weights = {"": "adapter_model", "--merge": "adapter/adapter_model", "--full": "model"}["".join(flags)]
    assert {f"{weights}.safetensors", "log.jsonl"} <= names and not any(".saving" in name for name in names)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    monkeypatch.setattr(finetune, "SAVE_SECONDS", 600)
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "a.png")
    kill_at(5, monkeypatch, (tmp_path / "a.png").unlink)
    finetune_nano(data, tmp_path / "again", "--epochs", "50", *flags)
    again = [json.loads(line)["loss"] for line in (tmp_path / "again" / "log.jsonl").read_text().splitlines()]
    assert losses == again[: len(losses)]


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_and_stays_out_of_the_log(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert finetune_nano(data, tmp_path / "out", "--epochs", "20", "--full", "--rate", "1e30") == 2
    assert "is no number; give a lower --rate than 1e+30" in capsys.readouterr().err
    text = (tmp_path / "out" / "log.jsonl").read_text()
    assert text and "NaN" not in text
    assert not (tmp_path / "out" / "model.safetensors").exists()
