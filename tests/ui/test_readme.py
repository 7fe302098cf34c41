"""The examples of the README run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_examples_for_clients_run(trained, monkeypatch, capsys):
    section = README[README.index("## From another program") : README.index("## In a terminal")]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    monkeypatch.chdir(ROOT)
    names = {}
    exec(code.replace("http://127.0.0.1:7860", trained.url), names)
    assert "cyan" in names["answer"]
    (box,) = names["found"]["boxes"]
    assert 800 < box["x1"] < 850
    assert names["layouts"]["images"][0]["grid"] == [2, 2]
    printed = capsys.readouterr().out
    assert re.search(r"There are \d+ triangles", printed)  # streamed
    assert "The black triangle [" in printed
    assert "267 tokens, [2, 2] tiles" in printed
