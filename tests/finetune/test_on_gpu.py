"""An adapter learns on a GPU, in bfloat16, and works where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from PIL import Image

from dsvl2_app import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.__main__ import main
from dsvl2_app.finetune.conversations import collate, read_conversations


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["tiny", "small"])
def test_an_adapter_learns(checkpoint: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "a.png")
    question = [{"type": "image", "path": "a.png"}, {"type": "text", "text": "\nWhat colour?"}]
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": "Red."}]
    data, out = tmp_path / "data.jsonl", tmp_path / "out"
    data.write_text(json.dumps({"messages": chat}), encoding="utf-8")
    flags = ["--model", str(checkpoint), "--data", str(data), "--out", str(out), "--batch", "1", "--epochs", "10"]
    assert main(["finetune", *flags, "--rate", "0.02"]) == 0
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert losses[-1] < 0.6 * losses[0]

    inputs = collate(read_conversations(data), DeepseekVL2Processor.from_pretrained(checkpoint), 4096)
    base = DeepseekVL2ForConditionalGeneration.from_pretrained(checkpoint)
    with torch.no_grad():
        plain = base(**inputs).loss
        adapted = PeftModel.from_pretrained(base, out).eval()(**inputs).loss
    assert adapted < 0.7 * plain
