"""Why a grid won, in words that the table of candidates bears out."""

from __future__ import annotations

import pytest

from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.image.tiles import TileLayout, lay_out
from dsvl2_app.ui.tabs.tiles.layout_figures import explain_choice, name_table, tabulate


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (
            lay_out(3000, 3000),
            "<strong>Why 3 × 3?</strong> It keeps 1,327,104 px of the picture, more than any other grid",
        ),
        (lay_out(1000, 400), "wastes the least: 484,736 px of its canvas, against 779,648 for 4 × 2."),
        (
            lay_out(384, 384),
            "It keeps 147,456 px of the picture, as 22 other grids do, and of these wastes the least: 0",
        ),
        (lay_out(500, 500, max_tiles=1), "It is the only grid that is allowed."),
        (
            TileLayout((100, 100), TileGeometry(28, candidates=((56, 28), (28, 56))), (2, 1)),
            "It keeps 784 px of the picture and wastes 784 px, just as 1 × 2; it comes first in the model's list.",
        ),
    ],
)
def test_the_reason_is_what_decided(layout: TileLayout, said: str):
    assert said in explain_choice(layout, tiling=True)


def test_many_pictures_leave_no_choice():
    assert "a single tile" in explain_choice(lay_out(3000, 2000, tiling=False), tiling=False)


def test_the_table_is_ranked_and_names_the_chosen():
    rows = tabulate(lay_out(1000, 400))
    assert [row[0] for row in rows] == list(range(1, 24))
    assert [row[1] for row in rows if "chosen" in row[1]] == ["3 × 2 (chosen)"]


def test_the_table_says_what_it_lists_and_begins_with_the_chosen():
    all_, few, single = lay_out(1000, 400), lay_out(1000, 400, max_tiles=2), lay_out(1000, 400, tiling=False)
    assert "All grids" in name_table(all_, tiling=True, limited=False)
    assert "The 3 grids that the limit" in name_table(few, tiling=True, limited=True)
    assert "The grid that is used" in name_table(single, tiling=False, limited=False)
    assert tabulate(few)[0][1] == "2 × 1 (chosen)" and len(tabulate(few)) == 3
    assert tabulate(single)[0][1] == "1 × 1 (chosen)"


def test_one_other_grid_that_keeps_as_much_is_named():
    layout = TileLayout((20, 20), TileGeometry(28, candidates=((56, 28), (28, 28))), (1, 1))
    assert "as 2 × 1 does, and wastes less: 384 px of its canvas, against 1,168." in explain_choice(layout, tiling=True)
