"""DeepSeekMoE feed-forward (DeepSeek-V2 paper, section 2.2; bias correction: DeepSeek-V3 paper, section 2.1.2).

T tokens, D decoder width, E routed experts, K active ones per token, F width inside an expert.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsvl2_app.model.linear import Linear, is_bare
from dsvl2_app.model.operations import Operated, swiglu
from dsvl2_app.model.sections import DecoderConfig


class MLP(Operated):
    """SwiGLU feed-forward; gate and up projections are one matrix."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up = Linear(width, 2 * inner)
        self.down = Linear(inner, width)

    def forward(self, hidden: Tensor) -> Tensor:
        gate_up, down = self.gate_up, self.down
        if is_bare(gate_up) and is_bare(down):
            stacks = (gate_up.weight, gate_up.weight_scale), (down.weight, down.weight_scale)
            return self.operations.feed_forward(hidden, *stacks)
        return down(swiglu(gate_up(hidden)))


class Router(Operated):
    """Chooses K experts per token and weighs them, in float32."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.active = config.num_experts_per_tok
        self.sigmoid = config.scoring_func == "sigmoid"
        self.normalise = config.norm_topk_prob and self.active > 1
        self.scaling = config.routed_scaling_factor
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        if config.topk_method == "noaux_tc":
            self.bias = nn.Parameter(torch.empty(config.n_routed_experts, dtype=torch.float32), requires_grad=False)
        else:
            self.bias = None

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden [T, D] -> weights [T, K] float32 and experts [T, K]."""
        if not hidden.is_meta and torch.is_autocast_enabled(hidden.device.type):  # which knows no meta device
            with torch.autocast(hidden.device.type, enabled=False):
                return self(hidden)
        choose, how = self.operations.choose_experts, {"sigmoid": self.sigmoid, "normalise": self.normalise}
        return choose(hidden, self.weight, self.bias, self.active, self.scaling, **how)


class Experts(Operated):
    """The routed experts' weights as two stacks."""

    stacks = ("gate_up", "down")
    gate_up_scale: Tensor | None
    down_scale: Tensor | None

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        experts, width, inner = config.n_routed_experts, config.hidden_size, config.moe_intermediate_size
        self.gate_up = nn.Parameter(torch.empty(experts, 2 * inner, width))
        self.down = nn.Parameter(torch.empty(experts, width, inner))
        self.register_parameter("gate_up_scale", None)
        self.register_parameter("down_scale", None)

    def forward(self, hidden: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """Hidden [T, D], weights and experts [T, K] -> weighted sum of the chosen experts' outputs [T, D]."""
        stacks = (self.gate_up, self.gate_up_scale), (self.down, self.down_scale)
        return self.operations.run_experts(hidden, weights, experts, *stacks)


class MixtureOfExperts(nn.Module):
    """Routed experts plus the shared ones, which every token passes (together one MLP of their summed width)."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.router = Router(config)
        self.experts = Experts(config)
        self.shared_experts = None
        if config.n_shared_experts:
            inner = config.n_shared_experts * config.moe_intermediate_size
            self.shared_experts = MLP(config.hidden_size, inner)

    def forward(self, hidden: Tensor) -> Tensor:
        tokens = hidden.flatten(0, -2)  # [T, D]
        routed = self.experts(tokens, *self.router(tokens)).view_as(hidden)
        return routed if self.shared_experts is None else routed + self.shared_experts(hidden)
