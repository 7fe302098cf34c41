"""Names of uploads."""

from __future__ import annotations

from typing import Any

import pytest

from dsvl2_app.ui.uploads import LONGEST_NAME, uploaded_name


def upload(name: Any) -> dict[str, Any]:
    return {"path": "/cache/kept.png", "orig_name": name, "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("name", ["cost$3{b}.png", "100% #图.png", ".hidden.png"])
def test_a_file_keeps_its_name(name):
    assert uploaded_name(upload(name)) == name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/hill.png", "hill.png"),
        ("C:\\pictures\\hill.png", "hill.png"),
        ("hi\nll\0.png", "hill.png"),
        ("half \ud83d.png", "half ?.png"),
        ("..", "kept.png"),
        ("hills/", "kept.png"),
        ("x" * (LONGEST_NAME + 1), "kept.png"),
        (None, "kept.png"),
        (7, "kept.png"),
    ],
)
def test_no_name_leads_elsewhere(name, kept):
    assert uploaded_name(upload(name)) == kept
