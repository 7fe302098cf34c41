"""The budget's constants are those of the released configurations."""

from __future__ import annotations

import pytest

from dsvl2_app.image.tiles import TileGeometry, lay_out
from dsvl2_app.ui.budget import RELEASED, Released, show_budget


@pytest.mark.parametrize("released", RELEASED, ids=lambda released: released.name)
def test_constants_follow_from_the_configuration(released: Released):
    from dsvl2_app.evaluation.bench.costs import cache_width, tile_flops
    from dsvl2_app.model.configuration import DeepseekVL2Config

    config = DeepseekVL2Config.preset(released.name)
    decoder = config.language_config
    values = decoder.v_head_dim if decoder.use_mla else decoder.head_dim
    assert released.cache == cache_width(decoder)
    assert released.plain == decoder.num_hidden_layers * decoder.num_attention_heads * (decoder.head_dim + values)
    assert released.tile == pytest.approx(tile_flops(config), rel=1e-3)


def test_tiles_of_another_size_have_no_budget():
    small = TileGeometry(tile=28, candidates=((28, 28),))
    assert show_budget(lay_out(100, 50, small)) == ""
