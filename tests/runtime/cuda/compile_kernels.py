"""Compile the kernels for GPUs that need not be there: `python compile_kernels.py tiny,8,int8,90`, for one decode step
of eight rows, and those of prompts, on compute capability 9.0.

The interpreter runs kernels as Python; only compiling finds what their types and shapes forbid.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.rotary import rotary_angles
from dsvl2_app.runtime.cuda import groups, rows
from dsvl2_app.runtime.cuda import triton as kernels
from dsvl2_app.runtime.cuda.attention import SHARED_BYTES
from dsvl2_app.runtime.cuda.launcher import Launcher
from dsvl2_app.runtime.cuda.step import FusedStep

SHARED = {80: 163, 86: 99, 89: 99, 90: 227, 120: 99}  # kB of a program at most, by compute capability
LAYERS, LENGTH, CONTEXT = 2, 1024, 4096  # one dense layer, one with experts
PROMPTS = (650, 2000)  # tokens, for both numbers of rows of a program
TYPES = {
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.int8: "*i8",
    torch.int32: "*i32",
    torch.int64: "*i64",
}


class Compiled:
    """A kernel that is compiled where it would be launched."""

    def __init__(self, kernel: Any, capability: int) -> None:
        self.kernel, self.capability = kernel, capability

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return self.compile

    def compile(
        self, *arguments: Any, num_warps: int = 4, num_stages: int = 3, launch_pdl: bool = False, **constants: Any
    ) -> None:
        given = dict(zip(self.kernel.arg_names, arguments, strict=False)) | constants
        signature, constexprs = {}, {}
        for place, parameter in enumerate(self.kernel.params):
            value = given[parameter.name]
            if parameter.is_constexpr:
                signature[parameter.name] = "constexpr"
                constexprs[(place,)] = value
            elif isinstance(value, torch.Tensor):
                signature[parameter.name] = TYPES[value.dtype]
            else:
                signature[parameter.name] = "fp32" if isinstance(value, float) else "i32"
        source = ASTSource(self.kernel, signature, constexprs)
        options = {"num_warps": num_warps, "num_stages": num_stages}
        compiled = triton.compile(source, target=GPUTarget("cuda", self.capability, 32), options=options)
        shared = compiled.metadata.shared
        assert shared <= SHARED[self.capability] * 1024, f"{self.kernel.__name__} needs {shared} bytes of shared memory"


def compile_all(preset: str, rows: int, quantize: str, capability: int) -> None:
    config = DeepseekVL2Config.preset(preset)
    decoder = config.language_config
    decoder.num_hidden_layers = LAYERS
    model = DeepseekVL2ForConditionalGeneration.on_meta(config, "bfloat16", quantize)
    heads, widths = decoder.num_key_value_heads, [decoder.head_dim] * 2
    if decoder.use_mla:
        heads, widths = 1, [decoder.kv_lora_rank, decoder.qk_rope_head_dim]
    pair = tuple(torch.empty(rows, heads, CONTEXT, width, dtype=torch.bfloat16, device="meta") for width in widths)
    run = FusedStep(model.decoder, model.lm_head, [pair] * LAYERS, LENGTH)
    if SHARED[capability] * 1024 < SHARED_BYTES:
        run.attend.block //= 2
    launcher = run.launcher
    launcher.overlap = capability >= 90
    compiled = {name: Compiled(getattr(kernels, name), capability) for name in kernels.__all__}
    launcher.kernels = SimpleNamespace(**compiled)
    with torch.inference_mode():
        run(*torch.zeros(2, rows, dtype=torch.long, device="meta"))
    for tokens in PROMPTS:
        compile_prompt(launcher, model, tokens, capability)


def compile_prompt(
    launcher: Launcher, model: DeepseekVL2ForConditionalGeneration, tokens: int, capability: int
) -> None:
    """The kernels of a prompt's layers, and those of patches."""
    config = model.config.language_config
    block = model.decoder.layers[1].mlp
    numbers = {"dtype": torch.bfloat16, "device": "meta"}
    hidden = torch.empty(tokens, config.hidden_size, **numbers)
    router = block.router
    logits = torch.empty(tokens, config.n_routed_experts, device="meta")
    how = {"sigmoid": router.sigmoid, "normalise": router.normalise}
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        if SHARED[capability] * 1024 < groups.SHARED_BYTES:
            patch.setattr(groups, "ENTER_STAGES", 2)
            patch.setattr(groups, "LEAVE_STAGES", 2)
        weights, experts = groups.choose_each(launcher, logits, router.bias, router.active, 1.0, **how)
        stacks = [
            (getattr(block.experts, name), getattr(block.experts, f"{name}_scale")) for name in ("gate_up", "down")
        ]
        groups.run_groups(launcher, hidden, weights, experts, *stacks)
        rows.swiglu(launcher, torch.empty(tokens, 2 * config.moe_intermediate_size, **numbers))
        width = config.qk_rope_head_dim if config.use_mla else config.head_dim
        queries = torch.empty(1, config.num_attention_heads, tokens, width, **numbers)
        keys = torch.empty(1, 1 if config.use_mla else config.num_key_value_heads, tokens, width, **numbers)
        rotary = rotary_angles(torch.zeros(1, tokens, dtype=torch.long, device="meta"), width, config.rope_theta)
        rows.turn(launcher, queries, keys, rotary, pairs=config.use_mla)


if __name__ == "__main__":
    for preset, batch, quantize, capability in (word.split(",") for word in sys.argv[1:]):
        print(preset, batch, quantize, capability, flush=True)
        compile_all(preset, int(batch), quantize, int(capability))
