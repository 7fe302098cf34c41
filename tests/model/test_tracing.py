"""torch.export and torch.compile without a break in the graph, of text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dsvl2_app import DeepseekVL2ForConditionalGeneration

Model = DeepseekVL2ForConditionalGeneration


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize(("variant", "masked"), [("tiny", False), ("tiny", True), ("small", True), ("base", False)])
def test_text_can_be_exported(masked: bool, variant: str, load_model: Callable[[str], Model]) -> None:
    model, ids = load_model(variant), torch.arange(5, 13)[None].expand(2, -1).contiguous()
    given = {"input_ids": ids, "use_cache": False}
    if masked:
        given["attention_mask"] = torch.arange(8) >= torch.tensor([[0], [3]])
    program = torch.export.export(model, (), given, strict=False).module()
    other = {**given, "input_ids": ids + 7}
    expected, found = model(**other).logits, program(**other).logits
    where = given.get("attention_mask", torch.ones_like(ids).bool())
    torch.testing.assert_close(found[where], expected[where], atol=2e-5, rtol=0)
