"""A graph does again what was recorded, with what its inputs hold by then."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dsvl2_app.runtime.cuda.graphs import WARM_UPS, Recorded, record
from dsvl2_app.runtime.cuda.runner import GraphVision


class Doubled:
    """The first `size` of its numbers, doubled; `runs` counts how often Python ran it."""

    def __init__(self, device: torch.device) -> None:
        self.numbers, self.runs = torch.zeros(8, device=device), 0

    def __call__(self, size: int) -> Tensor:
        self.runs += 1
        return self.numbers[:size] * 2


def test_elsewhere_than_on_a_gpu_it_just_runs() -> None:
    doubled = Doubled(torch.device("cpu"))
    recorded = Recorded(doubled, torch.device("cpu"))
    for number in range(4):
        doubled.numbers.fill_(number)
        assert recorded(3).tolist() == [2 * number] * 3
    assert doubled.runs == 4


@pytest.mark.gpu
def test_the_second_time_records_and_the_third_replays(device: torch.device) -> None:
    doubled = Doubled(device)
    recorded = Recorded(doubled, device)
    runs = []
    for number in range(5):
        doubled.numbers.fill_(number)
        assert recorded(3).tolist() == [2 * number] * 3
        runs.append(doubled.runs)
    assert runs == [1, *[1 + WARM_UPS + 1] * 4]
    assert recorded(5).tolist() == [8] * 5  # another size is another graph
    assert list(recorded._graphs) == [3]


@pytest.mark.gpu
def test_a_replay_leaves_its_outputs_where_they_were(device: torch.device) -> None:
    doubled = Doubled(device)
    replay, found = record(lambda: doubled(8), torch.cuda.graph_pool_handle())
    doubled.numbers.copy_(torch.arange(8.0))
    replay()
    assert found.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


@pytest.mark.gpu
@torch.inference_mode()
def test_tiles_of_a_graph_are_those_of_the_encoder(device: torch.device) -> None:
    layer = torch.nn.Conv2d(3, 5, 4, 4, device=device)
    vision = GraphVision(lambda tiles: layer(tiles).flatten(2).mT, most=4, side=16, device=device)
    for _ in range(3):
        tiles = torch.randn(3, 3, 16, 16, device=device)
        torch.testing.assert_close(vision(tiles), layer(tiles).flatten(2).mT)
