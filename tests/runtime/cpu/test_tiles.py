"""What a matrix unit computes equals the plain layers, on one that is there and on one that is emulated."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from dsvl2_app.model.experts import MLP, Experts
from dsvl2_app.model.linear import narrow, turn_narrow
from dsvl2_app.model.operations import PLAIN, Stack
from dsvl2_app.runtime.cpu.library import FLAGS, SOURCES, Library, find_compiler
from dsvl2_app.runtime.cpu.operations import CpuOperations
from dsvl2_app.runtime.cpu.tiles import Tiles
from tests.kernels import watch
from tests.runtime.cpu.test_prefill import attend_exactly, distance, draw

EMULATED = (*FLAGS, "-DEMULATE_TILES", "-fno-associative-math", "-fsigned-zeros", "-ffp-contract=off")
ROUNDING = 5e-3  # of bfloat16, as a norm
NARROW = 2e-2  # of activations as int8 with a scale per token
NARROW_DTYPES = {"int8": torch.int8, "int4": torch.uint8}


@pytest.fixture(scope="module", params=["emulated", "real"])
def tiles(request: pytest.FixtureRequest, library: Library) -> Library:
    if request.param == "emulated":
        return Library.build(EMULATED)
    if not library.has_tiles:
        pytest.skip("this processor has no matrix unit, or this process may not use it")
    return library


@pytest.fixture
def operations(tiles: Library) -> CpuOperations:
    return CpuOperations(tiles)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def build_product(folder: Path, *flags: str) -> Callable[..., int]:
    target = folder / f"product{len(flags)}.so"
    source = Path(__file__).with_name("tile_product.c")
    command = [*find_compiler(), *FLAGS, *flags, f"-I{SOURCES}", "-o", str(target), str(source), "-lm"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    multiply = ctypes.CDLL(str(target)).multiply_one
    multiply.argtypes = ctypes.c_int, *(ctypes.c_void_p,) * 3
    return multiply


def test_emulated_instructions_equal_real_ones_bit_by_bit(library: Library, tmp_path: Path) -> None:
    if not library.has_tiles:
        pytest.skip("this processor has no matrix unit, or this process may not use it")
    real, emulated = build_product(tmp_path), build_product(tmp_path, *EMULATED[len(FLAGS) :])
    draw = np.random.default_rng(0)
    for number in range(200):
        int8 = number % 2
        # all bits are as likely: subnormal and huge numbers, infinities, numbers that are none
        left, right = draw.integers(0, 2**32, (2, 16, 16), dtype=np.uint32)
        sums = draw.integers(0, 2**32, (16, 16), dtype=np.uint32)
        if number % 4 == 2:  # numbers of one size, whose sums lose bits
            normal = draw.standard_normal((2, 16, 32)).astype(np.float32)
            left, right = (normal.view(np.uint32) >> 16).astype(np.uint16)
            sums = draw.standard_normal((16, 16)).astype(np.float32).view(np.uint32)
        found = [sums.copy(), sums.copy()]
        for multiply, into in zip((real, emulated), found, strict=True):
            assert multiply(int8, into.ctypes.data, left.ctypes.data, right.ctypes.data) == 1
        if int8:
            assert (found[0] == found[1]).all()
        else:
            one, other = (each.view(np.float32) for each in found)
            assert ((found[0] == found[1]) | (np.isnan(one) & np.isnan(other))).all()


def compare(operations: CpuOperations, name: str, tolerance: float, *given: Tensor | Stack | None) -> None:
    with torch.inference_mode():
        chosen = operations.choose(name, *given)
        assert isinstance(getattr(chosen, "__self__", None), Tiles)
        found = chosen(*given)
        expected = getattr(PLAIN, name)(*given)
    assert found.dtype == expected.dtype == torch.bfloat16 and found.shape == expected.shape
    assert distance(found, expected, expected) < tolerance


@pytest.mark.parametrize("rows", [17, 32, 61, 300])
@pytest.mark.parametrize("shape", [(64, 64), (34, 80), (2, 16), (160, 144), (31 * 2, 528)])
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_linear(operations: CpuOperations, rows: int, shape: tuple[int, int], quantize: str) -> None:
    weight = draw(*shape)
    int8, given = quantize == "int8", (weight, None)
    if quantize != "none":
        given = narrow(weight, NARROW_DTYPES[quantize])
    compare(operations, "linear", NARROW if int8 else ROUNDING, draw(rows, shape[1]), *given)


@pytest.mark.parametrize("name", ["linear_bias", "linear_gelu"])
@pytest.mark.parametrize("shape", [(64, 64), (34, 80), (6, 20)])
def test_bias_and_gelu(operations: CpuOperations, name: str, shape: tuple[int, int]) -> None:
    compare(operations, name, 2 * ROUNDING, draw(2, 27, shape[1]), draw(*shape) * shape[1] ** -0.5, draw(shape[0]))


@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_long_rows_are_multiplied_in_cuts(operations: CpuOperations, quantize: str) -> None:
    weight, bias = draw(70, 4304) * 4304**-0.5, draw(70)
    given = (weight, None) if quantize == "none" else narrow(weight, NARROW_DTYPES[quantize])
    compare(operations, "linear", NARROW if quantize == "int8" else ROUNDING, draw(150, 4304), *given)
    if quantize == "none":
        compare(operations, "linear_gelu", 2 * ROUNDING, draw(150, 4304), weight, bias)


@pytest.mark.parametrize("tokens", [17, 64, 75, 600])
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_feed_forward(operations: CpuOperations, tokens: int, quantize: str) -> None:
    block = MLP(128, 192).requires_grad_(False)
    for weight in block.parameters():
        weight.normal_(0, weight.shape[-1] ** -0.5)
    block.bfloat16()
    if quantize != "none":
        turn_narrow(block, quantize)
    stacks = [(layer.weight, layer.weight_scale) for layer in (block.gate_up, block.down)]
    int8 = quantize == "int8"
    compare(operations, "feed_forward", 2 * NARROW if int8 else 2 * ROUNDING, draw(1, tokens, 128), *stacks)


@pytest.mark.parametrize(
    ("tokens", "active", "count", "width", "inner"),
    [(17, 3, 8, 64, 64), (100, 2, 5, 128, 192), (40, 1, 64, 64, 128), (350, 1, 1, 64, 64), (700, 2, 2, 64, 64)],
)
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_experts(
    operations: CpuOperations, tokens: int, active: int, count: int, width: int, inner: int, quantize: str
) -> None:
    sizes = SimpleNamespace(n_routed_experts=count, hidden_size=width, moe_intermediate_size=inner)
    experts = Experts(sizes).requires_grad_(False)
    for weight in experts.parameters():
        weight.normal_(0, weight.shape[-1] ** -0.5)
    experts.bfloat16()
    if quantize != "none":
        turn_narrow(experts, quantize)
    stacks = (experts.gate_up, experts.gate_up_scale), (experts.down, experts.down_scale)
    chosen, weights = torch.rand(tokens, count).topk(active, sorted=False).indices, torch.rand(tokens, active)
    int8 = quantize == "int8"
    tolerance = 2 * NARROW if int8 else 2 * ROUNDING
    compare(operations, "run_experts", tolerance, draw(tokens, width), weights, chosen, *stacks)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("heads", "groups", "new", "total", "width", "value"),
    [
        (2, 2, 100, 100, 72, 72),  # of a tile
        (4, 2, 17, 130, 64, 64),
        (2, 2, 33, 33, 192, 128),  # latent attention, expanded
        (2, 1, 2, 3, 10, 7),
        (1, 1, 16, 16, 16, 16),
        (5, 5, 47, 96, 128, 100),
        (1, 1, 2, 49, 5, 1),
    ],
)
def test_attention(
    tiles: Library, heads: int, groups: int, new: int, total: int, width: int, value: int, causal: bool
) -> None:
    queries, keys, values = draw(2, heads, new, width), draw(2, groups, total, width), draw(2, groups, total, value)
    with torch.inference_mode():
        found = Tiles(tiles).attend(queries, keys, values, 0.15, causal=causal)
    expected, size = (attend_exactly(queries, keys, each, 0.15, causal=causal) for each in (values, values.abs()))
    assert found.shape == expected.shape and found.dtype == torch.bfloat16
    assert distance(found, expected, size) < ROUNDING


@pytest.mark.parametrize("causal", [True, False])
def test_attention_to_later_keys_that_outweigh_all_before(tiles: Library, causal: bool) -> None:
    """Weights that would be beyond float32 if they were counted from the first keys' scores."""
    queries, keys, values = draw(1, 2, 70, 64).abs(), draw(1, 2, 90, 64), draw(1, 2, 90, 32)
    keys[:, :, 75] = 20.0
    keys[:, 1, 40:] *= -30.0
    with torch.inference_mode():
        found = Tiles(tiles).attend(queries, keys, values, 0.5, causal=causal)
    expected, size = (attend_exactly(queries, keys, each, 0.5, causal=causal) for each in (values, values.abs()))
    assert distance(found, expected, size) < ROUNDING


def test_attention_reads_heads_where_they_lie(tiles: Library) -> None:
    """Three parts of one projection, and a cache with room for more tokens."""
    parts = draw(2, 50, 3 * 4 * 24).unflatten(-1, (3, 4, 24)).permute(2, 0, 3, 1, 4)
    room = draw(2, 4, 80, 24)[:, :, :50]
    with torch.inference_mode():
        found = Tiles(tiles).attend(parts[0], room, parts[2], 0.2, causal=True)
    expected = attend_exactly(parts[0], room, parts[2], 0.2, causal=True)
    assert distance(found, expected, expected) < 2 * ROUNDING


def test_what_tiles_do_not_take(operations: CpuOperations) -> None:
    ran = watch(operations)
    with torch.inference_mode():
        operations.linear(torch.randn(20, 64), torch.randn(64, 64))  # wide numbers
        operations.linear(draw(20, 64), draw(63, 64))  # outputs that make no pairs
        operations.linear(draw(20, 64), draw(64, 64).mT)
    operations.linear(draw(20, 64), draw(64, 64).requires_grad_())
    assert ran == ["operations.linear"] * 4
