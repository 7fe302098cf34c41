"""What layers ask for on a GPU that takes torch many small kernels there, or wide copies of narrow weights: experts of
a prompt, attention, rotations and activations, in inference with bfloat16."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends.cuda import SDPAParams, can_use_cudnn_attention
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsvl2_app.model.operations import FEW_TOKENS, Operations, Stack
from dsvl2_app.model.rotary import Rotary
from dsvl2_app.runtime.cuda import groups, rows
from dsvl2_app.runtime.cuda.launcher import Launcher, has_triton

OWN_STACKS = frozenset((torch.bfloat16, torch.int8))  # formats of experts that have kernels for a prompt


class CudaOperations(Operations):
    def __init__(self) -> None:
        self._launchers: dict[torch.device, Launcher] = {}

    def linear_gelu(self, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The activation, by tanh, is part of the product; on a CPU this operator is the exact GELU."""
        if not self._supports(hidden):
            return super().linear_gelu(hidden, weight, bias)
        flat = torch.ops.aten._addmm_activation(bias, hidden.flatten(0, -2), weight.T, use_gelu=True)
        return flat.view(*hidden.shape[:-1], -1)

    def rotate_halves(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        if not self._supports(queries):
            return super().rotate_halves(queries, keys, rotary)
        return rows.turn(self._find_launcher(queries), queries, keys, rotary, pairs=False)

    def rotate_pairs(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        if not self._supports(queries):
            return super().rotate_pairs(queries, keys, rotary)
        return rows.turn(self._find_launcher(queries), queries, keys, rotary, pairs=True)

    def feed_forward(self, hidden: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        if not self._supports(hidden):
            return super().feed_forward(hidden, gate_up, down)
        inner = rows.swiglu(self._find_launcher(hidden), self.linear(hidden, *gate_up))
        return self.linear(inner, *down)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        """Values narrower than keys stay so where cuDNN takes them, which torch would pad for its own kernel."""
        new, total = queries.shape[2], keys.shape[2]
        narrow = values.shape[-1] < keys.shape[-1] and keys.shape[1] == queries.shape[1]
        if mask is None and narrow and new == total > 1 and self._supports(queries):
            asked = SDPAParams(queries, keys, values, None, 0.0, True, False)
            if can_use_cudnn_attention(asked):
                with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                    return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=scale)
        return super().attend(queries, keys, values, mask, scale)

    def choose_experts(
        self,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        active: int,
        scaling: float,
        *,
        sigmoid: bool,
        normalise: bool,
    ) -> tuple[Tensor, Tensor]:
        how = {"sigmoid": sigmoid, "normalise": normalise}
        if not self._supports(hidden) or weight.dtype != hidden.dtype:
            return super().choose_experts(hidden, weight, bias, active, scaling, **how)
        logits = torch.mm(hidden, weight.T, out_dtype=torch.float32)
        return groups.choose_each(self._find_launcher(hidden), logits, bias, active, scaling, **how)

    def run_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        own = {gate_up[0].dtype, down[0].dtype} <= OWN_STACKS
        if len(hidden) <= FEW_TOKENS or not self._supports(hidden) or not own:
            return super().run_experts(hidden, weights, experts, gate_up, down)
        return groups.run_groups(self._find_launcher(hidden), hidden, weights, experts, gate_up, down)

    def _supports(self, hidden: Tensor) -> bool:
        """Kernels have no gradients, and only bfloat16 gains from them."""
        inference = not torch.is_grad_enabled() and not torch.is_autocast_enabled("cuda")
        return hidden.is_cuda and hidden.dtype == torch.bfloat16 and inference and has_triton()

    def _find_launcher(self, hidden: Tensor) -> Launcher:
        if hidden.device not in self._launchers:
            self._launchers[hidden.device] = Launcher(hidden.device)
        return self._launchers[hidden.device]
