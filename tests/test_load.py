"""`dsvl2_app.load`: a model as the page runs it, from Python."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
import torch
from PIL import Image

import dsvl2_app
from dsvl2_app.bundled import NANO
from dsvl2_app.errors import SettingsError

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "assets" / "examples" / "one.png"


@pytest.mark.slow
def test_it_says_what_generate_says():
    picture = {"type": "image", "image": Image.open(EXAMPLE).convert("RGB")}
    messages = [{"role": "user", "content": [picture, {"type": "text", "text": "What do you see?"}]}]
    with closing(dsvl2_app.load("nano", compile="off", device="cpu", cache_mb=0)) as nano:
        request = dsvl2_app.Request(messages, dsvl2_app.Sampling(max_new_tokens=64))
        said = "".join(event.text for event in nano.submit(request))
    processor = dsvl2_app.DeepseekVL2Processor.from_pretrained(NANO)
    model = dsvl2_app.DeepseekVL2ForConditionalGeneration.from_pretrained(NANO, dtype="float32")
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=64, do_sample=False)
    generated = processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said == generated != ""


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"dtpye": "float16"}, "There is no setting 'dtpye'"),
        ({"quantize": "int3"}, "--quantize is 'int3', but must be one of"),
        ({"model": "no-such-model"}, "--model is 'no-such-model', but must be"),
        ({"cache_mb": -1}, "--cache-mb is '-1', but must be"),
    ],
)
def test_what_is_not_understood_is_refused(settings, sentence):
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        dsvl2_app.load(**settings)


def test_the_readmes_example(library, capsys, monkeypatch):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(import dsvl2_app\n.*?)```", readme, re.S)
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})
    assert "triangle" in capsys.readouterr().out
