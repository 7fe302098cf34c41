"""Each compiled kernel equals its plain equivalent, for every shape and number format that it may meet."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock, patch

import pytest
import torch
from torch import Tensor

from dsvl2_app.errors import SettingsError
from dsvl2_app.model import compiled, kernels

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


pytestmark = pytest.mark.usefixtures("built_kernels")


def plainly(run: object, *arguments: object) -> Tensor:
    """What torch alone makes of it."""
    with compiled.paused():
        return run(*arguments)  # type: ignore[operator]


def compare(run: object, *arguments: object, dtype: torch.dtype) -> None:
    with torch.inference_mode(), patch.object(compiled, "multiply", wraps=compiled.multiply) as multiply:
        found = run(*arguments)  # type: ignore[operator]
        multiply.assert_called_once()
        expected = plainly(run, *arguments)
        multiply.assert_called_once()
    assert found.dtype == expected.dtype == dtype
    spread = expected.float().abs().max()
    torch.testing.assert_close(found.float() / spread, expected.float() / spread, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7, 13, 16])
@pytest.mark.parametrize("shape", [(8, 64), (7, 48), (33, 37), (2, 5)])
def test_linear(dtype: torch.dtype, rows: int, shape: tuple[int, int]) -> None:
    hidden, weight = torch.randn(rows, 1, shape[1], dtype=dtype), torch.randn(shape, dtype=dtype)
    compare(kernels.linear, hidden, weight, dtype=dtype)
    compare(kernels.linear, hidden, *kernels.quantise(weight), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 3, 9, 16])
def test_linear_each(dtype: torch.dtype, tokens: int) -> None:
    hidden, weights = torch.randn(tokens, 40, dtype=dtype), torch.randn(6, 22, 40, dtype=dtype)
    experts = torch.randint(6, (tokens * 3,))  # some experts several times, some never
    compare(kernels.linear_each, hidden, weights, None, experts, dtype=dtype)
    compare(kernels.linear_each, hidden, *kernels.quantise(weights), experts, dtype=dtype)


@pytest.mark.parametrize(("heads", "groups", "rope"), [(10, 10, 0), (6, 2, 0), (5, 1, 16), (4, 1, 7)])
def test_attend_one_is_attend_without_a_batch(heads: int, groups: int, rope: int) -> None:
    query = torch.randn(heads, 40 + rope)
    keys, values = (torch.randn(groups, 30, width)[:, :21] for width in (40 + rope, 24))
    parts = (query[:, 40:], keys[..., 40:]) if rope else None
    found = kernels.attend_one(query[:, :40], keys[..., :40], values, 0.2, parts)
    expected = kernels.attend(query[None, :, None], keys[None], values[None], None, 0.2)
    torch.testing.assert_close(found, expected[0, :, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_gelu_is_both_steps(dtype: torch.dtype) -> None:
    rows, weight, bias = (torch.randn(shape, dtype=dtype) for shape in ((2, 9, 24), (36, 24), (36,)))
    plain = torch.nn.functional.gelu(torch.nn.functional.linear(rows, weight, bias), approximate="tanh")
    with torch.inference_mode():
        found = kernels.linear_gelu(rows, weight, bias)
    torch.testing.assert_close(found, plain, atol=4 * TOLERANCE[dtype], rtol=TOLERANCE[dtype])
    assert kernels.linear_gelu(rows, weight.requires_grad_(), bias).grad_fn is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("new", "total", "groups"), [(5, 5, 4), (1, 9, 4), (300, 300, 2), (200, 331, 4), (2, 140, 1)])
def test_attend_looks_back_only(dtype: torch.dtype, new: int, total: int, groups: int) -> None:
    queries, keys = torch.randn(2, 4, new, 24, dtype=dtype), torch.randn(2, groups, total, 24, dtype=dtype)
    values = torch.randn(2, groups, total, 16, dtype=dtype)
    wide = [part.double().repeat_interleave(4 // groups, dim=1) for part in (keys, values)]
    scores = queries.double() @ wide[0].mT / 5
    scores += torch.full((new, total), float("-inf")).triu(total - new + 1)
    expected = scores.softmax(-1) @ wide[1]
    with torch.inference_mode():
        found = kernels.attend(queries, keys, values, None, 0.2)
    assert found.dtype == dtype
    assert (found - expected).norm() / expected.norm() < (1e-6 if dtype == torch.float32 else 2e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attend_all_is_softmax_attention(dtype: torch.dtype) -> None:
    parts = torch.randn(3, 2, 6, 49, 16, dtype=dtype).unbind()  # six heads: the last group is smaller
    queries, keys, values = (part.double() for part in parts)
    expected = ((queries @ keys.mT / 4).softmax(-1) @ values).transpose(1, 2)
    with torch.inference_mode():
        found = kernels.attend_all(*parts)
    assert found.dtype == dtype
    assert (found - expected).norm() / expected.norm() < (1e-6 if dtype == torch.float32 else 2e-2)


def test_int8_is_within_half_a_step_of_every_weight() -> None:
    weight = torch.randn(5, 12, 64) * torch.rand(5, 12, 1) * 3
    weight[2, 3] = 0
    numbers, scale = kernels.quantise(weight)
    assert numbers.dtype == torch.int8 and scale.shape == (5, 12)
    assert ((numbers * scale[..., None] - weight).abs() <= scale[..., None] * 0.5001).all()


def test_tiny_numbers_survive_in_the_rest_of_the_process() -> None:
    assert float.fromhex("0x1p-1074") * 1.0 > 0  # what -ffast-math would take away


def test_gradients_go_through_torch() -> None:
    weight = torch.randn(4, 8, requires_grad=True)
    kernels.linear(torch.randn(1, 8), weight).sum().backward()
    assert weight.grad is not None


def test_without_a_compiler_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match="install gcc"):
        compiled.build()


@pytest.mark.slow
def test_kernels_are_kept_where_there_is_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with compiled._open_cache() as folder:
        assert folder == tmp_path / "cache" / "dsvl2" and folder.is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # in which no folder can be made
    with compiled._open_cache() as folder:
        assert os.access(folder, os.W_OK)
    assert not folder.exists()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("no home")))
    compiled.build()
    assert compiled.is_built()


def test_a_compiler_may_have_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "ccache gcc -m64")
    assert compiled.find_compiler() == ["ccache", "gcc", "-m64"]


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SettingsError, match="false"):
        compiled.build()
    assert compiled.is_built()  # what worked before goes on
