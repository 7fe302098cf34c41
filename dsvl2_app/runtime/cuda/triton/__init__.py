"""Kernels of a GPU, in Triton: those of one decode step, and in `groups` and `rows` those of a prompt.

For a single row, a layer of a decode step is six to nine kernels. With few rows a step costs as many launches as it has
operations and one reading of the active weights, so what belongs together is one kernel: a norm with the projections
behind it, rotation and cache with attention, the choice of experts with their products, and every sum with the residual
stream. Sums are float32. `step` puts them in order; their plain equivalents are the layers' own forward.

On GPUs that can, a kernel starts before the one ahead of it has ended (`OVERLAP`): it loads weights and earlier tokens,
which are nobody's output, and waits (`await_inputs`) before it touches anything else. Only then may the next one
start, so whatever lies two kernels back is complete before the wait. Where a kernel has to see all of what its programs
made, the one that is last with its part goes on (`arrives_last`): that costs less than a kernel more.

Names in capitals are constants of a compiled kernel; one letter is a size, which the head of each file explains.
"""

from dsvl2_app.runtime.cuda.triton.experts import (
    choose_experts,
    enter_experts,
    join_experts,
    leave_experts,
    multiply_groups,
    route,
)
from dsvl2_app.runtime.cuda.triton.groups import (
    choose_each,
    count_pairs,
    enter_groups,
    leave_groups,
    place_pairs,
    sum_pairs,
)
from dsvl2_app.runtime.cuda.triton.heads import attend_heads
from dsvl2_app.runtime.cuda.triton.latent import absorb, attend_latents, expand
from dsvl2_app.runtime.cuda.triton.project import project
from dsvl2_app.runtime.cuda.triton.rows import swiglu, turn

__all__ = [
    "absorb",
    "attend_heads",
    "attend_latents",
    "choose_each",
    "choose_experts",
    "count_pairs",
    "enter_experts",
    "enter_groups",
    "expand",
    "join_experts",
    "leave_experts",
    "leave_groups",
    "multiply_groups",
    "place_pairs",
    "project",
    "route",
    "sum_pairs",
    "swiglu",
    "turn",
]
