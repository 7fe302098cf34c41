from __future__ import annotations

import json

from dsvl2_app.ui.examples import Example, read_examples


def test_examples_of_a_tab(tmp_path):
    listed = [
        {"tab": "chat", "text": "What is it?", "pictures": ["a.png", "b.png"], "truth": {}},
        {"tab": "tiles", "text": "", "pictures": ["c.png"]},
    ]
    (tmp_path / "examples.json").write_text(json.dumps(listed))
    pictures = (str(tmp_path / "a.png"), str(tmp_path / "b.png"))
    assert read_examples("chat", tmp_path) == [Example("What is it?", pictures)]
    assert read_examples("grounding", tmp_path) == []


def test_no_folder_no_examples(tmp_path):
    assert read_examples("chat", tmp_path / "none") == []
