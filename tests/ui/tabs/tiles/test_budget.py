"""The budget's constants are those of the released configurations."""

from __future__ import annotations

import pytest

from dsvl2_app.image.tiles import lay_out_all
from dsvl2_app.ui.tabs.tiles.budget import RELEASED, Released, show_budget


@pytest.mark.parametrize("released", RELEASED, ids=lambda released: released.name)
def test_constants_follow_from_the_configuration(released: Released):
    from bench.costs import cache_width, tile_flops
    from dsvl2_app.model.configuration import DeepseekVL2Config

    config = DeepseekVL2Config.preset(released.name)
    decoder = config.language_config
    values = decoder.v_head_dim if decoder.use_mla else decoder.head_dim
    assert released.cache == cache_width(decoder)
    assert released.plain == decoder.num_hidden_layers * decoder.num_attention_heads * (decoder.head_dim + values)
    assert released.tile == pytest.approx(tile_flops(config), rel=1e-3)


def test_several_pictures_are_added_up():
    layouts = lay_out_all([(1000, 400), (384, 384)], tiling=True, max_tiles=9)
    assert [layout.num_tokens for layout in layouts] == [1415, 421]
    shown = show_budget(layouts)
    assert "these 2 pictures cost the released models together" in shown
    assert "<td>1,836</td><td>45%</td><td>57.1 MB</td><td>507.6 MB</td>" in shown
    assert "too many" not in shown
    assert "9 tiles" in shown


def test_more_than_the_context_holds_is_said():
    layouts = lay_out_all([(384, 3456)] * 2, tiling=True, max_tiles=9)
    assert "107 tokens too many" in show_budget(layouts)
