"""The kernels compile for a GPU, whether or not there is one, and choose the experts that a router does; all else that
they compute is in test_step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

from dsvl2_app.model.attention import RMSNorm
from dsvl2_app.model.experts import Router
from dsvl2_app.model.sections import DecoderConfig
from dsvl2_app.runtime.cuda import triton as kernels


@pytest.mark.slow
def test_kernels_compile() -> None:
    """For the last generations, within the shared memory that each has."""
    wanted = ["tiny,1,none,90", "tiny,8,int8,80", "base,1,int8,86", "base,8,none,120"]
    command = [sys.executable, str(Path(__file__).with_name("compile_kernels.py")), *wanted]
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(
    ("scoring", "method", "normalise"), [("softmax", "greedy", False), ("sigmoid", "noaux_tc", True)]
)
def test_the_last_program_chooses_for_all(scoring: str, method: str, normalise: bool, device: torch.device) -> None:
    config = DecoderConfig(
        hidden_size=48, n_routed_experts=10, num_experts_per_tok=3, scoring_func=scoring, topk_method=method,
        norm_topk_prob=normalise, routed_scaling_factor=2.5,
    )  # fmt: skip
    norm, router = RMSNorm(48, 1e-6).to(device), Router(config).to(device)
    for parameter in (norm.weight, router.weight, router.bias):
        if parameter is not None:
            parameter.normal_()
    logits, weights = torch.empty(10, device=device), torch.empty(3, device=device)
    experts, arrivals = torch.empty(3, dtype=torch.int32, device=device), logits.new_zeros(1, dtype=torch.int32)
    for _ in range(3):  # with what the launch before left
        row = torch.randn(1, 48, device=device)
        kernels.route[(5,)](
            *(row, norm.weight, router.weight, logits if router.bias is None else router.bias),
            *(logits, experts, weights, arrivals, norm.eps, router.scaling),
            D=48, E=10, K=3, E_WIDE=16, SIGMOID=router.sigmoid, BIASED=router.bias is not None,
            NORMALISE=router.normalise, OUTPUTS=2, WIDTH=64, OVERLAP=False,
        )  # fmt: skip
        expected, chosen = router(norm(row))
        pairs = dict(zip(chosen[0].tolist(), expected[0].tolist(), strict=True))
        assert pairs == pytest.approx(dict(zip(experts.tolist(), weights.tolist(), strict=True)), rel=1e-4)
