from __future__ import annotations

from random import Random

import numpy as np
import pytest

from nano.scenes import Level, charts

SEEDS = range(15)


@pytest.mark.parametrize("variety", charts.VARIETIES)
def test_one_value_is_the_highest_and_each_has_its_part(variety: str):
    for seed in SEEDS:
        scene = charts.render(Random(seed), Level(), variety)
        values = sorted(scene.facts["values"].values())
        assert values[-1] > values[-2] and values[0] >= 0
        parts = [item.name for item in scene.objects if item.kind == scene.facts["part"]]
        assert parts == list(scene.facts["values"])
        assert set(scene.facts["readable"]) <= set(parts)


def test_bars_are_as_tall_as_their_values():
    for seed in SEEDS:
        scene = charts.render(Random(seed), Level(), "bar")
        bars = {item.name: item.box[3] - item.box[1] for item in scene.objects if item.kind == "bar"}
        scale = [bars[name] / value for name, value in scene.facts["values"].items() if value]
        tallest = max(bars.values())
        assert max(scale) - min(scale) < 2 * max(scale) * (2 / tallest + 1e-3) * len(bars) + 0.2 * max(scale)
        assert max(bars, key=bars.get) == max(scene.facts["values"], key=scene.facts["values"].get)


def test_points_rise_and_fall_with_their_values():
    for seed in SEEDS:
        scene = charts.render(Random(seed), Level(), "line")
        points = [item.centre[1] for item in scene.objects if item.kind == "point"]
        values = list(scene.facts["values"].values())
        for place in range(len(values) - 1):
            assert np.sign(values[place + 1] - values[place]) == -np.sign(round(points[place + 1] - points[place]))


def test_slices_sum_to_a_hundred_and_own_their_share():
    for seed in SEEDS:
        scene = charts.render(Random(seed), Level(), "pie")
        assert sum(scene.facts["values"].values()) == 100
        slices = [(number, item) for number, item in enumerate(scene.objects, start=1) if item.kind == "slice"]
        for number, item in slices:
            left, top, right, bottom = item.box
            rows, columns = np.nonzero(scene.owner == number)
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)
