"""Products of a prompt with narrow weights: on a GPU, else in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from dsvl2_app.model.linear import quantise
from dsvl2_app.model.operations import Operations
from dsvl2_app.runtime.cuda import operations
from dsvl2_app.runtime.cuda.launcher import Launcher
from dsvl2_app.runtime.cuda.operations import CudaOperations, multiply_narrow


@torch.inference_mode()
@pytest.mark.parametrize("counts", [[3, 0, 21, 8], [0, 0, 0, 32], [32, 0, 0, 0], [0, 0, 0, 0]])
def test_narrow_groups_are_the_plain_products(
    counts: list[int], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("ROWS", 16), ("OUTPUTS", 16), ("WIDTH", 32)):
        monkeypatch.setattr(operations, name, size)
    weights, scales = quantise(torch.randn(4, 24, 40, device=device))  # neither is a multiple of a program's share
    rows, sizes = torch.randn(sum(counts), 40, device=device), torch.tensor(counts, device=device)
    found = multiply_narrow(Launcher(device), rows, weights, scales, sizes)
    torch.testing.assert_close(found, Operations().linear_groups(rows, weights, scales, sizes), atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
@torch.inference_mode()
@pytest.mark.parametrize("shape", [(64, 1792, 1280), (64, 1280, 896), (72, 3072, 2560)])
def test_bfloat16_prompts_take_narrow_weights_as_they_are(shape: tuple[int, int, int], device: torch.device) -> None:
    weights, scales = quantise(torch.randn(*shape, device=device) / shape[2] ** 0.5)
    sizes = torch.randint(0, 130, (shape[0],), device=device)
    rows = torch.randn(int(sizes.sum()), shape[2], dtype=torch.bfloat16, device=device)
    found = CudaOperations().linear_groups(rows, weights, scales, sizes)
    expected = Operations().linear_groups(rows, weights, scales, sizes)
    assert (found - expected).norm() < 1e-2 * expected.norm()
