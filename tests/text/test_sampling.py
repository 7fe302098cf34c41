"""How the next token is chosen."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor

from dsvl2_app.request import Sampling
from dsvl2_app.text.sampling import Likeliest, Ranking, Sampler

CPU = torch.device("cpu")
LOGITS = torch.tensor([0.0, 1.0, 2.0, -1.0, 0.5])
DRAWS = 4000


def draw(sampling: Sampling, logits: Tensor = LOGITS, draws: int = 1, prompt: tuple[int, ...] = (0,)) -> list[int]:
    sampler = Sampler(sampling, list(prompt), CPU)
    return [sampler.choose(logits).read() for _ in range(draws)]


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.integers(0, 9))
def test_temperature_zero_is_greedy(values: list[float], seed: int) -> None:
    logits = torch.tensor(values)
    assert draw(Sampling(seed=seed, top_p=0.1), logits) == [int(logits.argmax())]


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_probabilities(temperature: float) -> None:
    counts = Counter(draw(Sampling(temperature=temperature, seed=0), draws=DRAWS))
    for token, chance in enumerate((LOGITS / temperature).softmax(-1).tolist()):
        # five standard deviations of a count
        assert abs(counts[token] - DRAWS * chance) <= 5 * (DRAWS * chance * (1 - chance)) ** 0.5


def refuse_float64(self: Tensor) -> Tensor:
    raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")


@pytest.mark.parametrize("temperature", [1e-320, 1e-40, 0.5, 2.0, 5.0])
def test_a_device_without_float64_draws_in_float32(temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Apple's; with the same draws where the formats do not differ."""
    chances = (LOGITS.double() / max(temperature, 1e-300)).softmax(-1).tolist()
    wide = draw(Sampling(temperature=temperature, seed=0), draws=200)
    monkeypatch.setattr(Tensor, "double", refuse_float64)
    narrow = draw(Sampling(temperature=temperature, seed=0), draws=200)
    if temperature < 1:
        assert set(draw(Sampling(temperature=temperature, seed=0), LOGITS * 1e30, 20)) == {2}
    for found in (wide, narrow):
        counts = Counter(found)
        for token, chance in enumerate(chances):
            assert abs(counts[token] - 200 * chance) <= 5 * (200 * chance * (1 - chance)) ** 0.5 + 1e-6


@pytest.mark.slow
def test_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    """Probabilities 0.4, 0.3, 0.2, 0.1, in another order."""
    logits = torch.tensor([0.2, 0.4, 0.1, 0.3]).log()
    nuclei = {0.0: {1}, 0.39: {1}, 0.41: {1, 3}, 0.69: {1, 3}, 0.71: {1, 3, 0}, 1.0: {0, 1, 2, 3}}
    for top_p, kept in nuclei.items():
        assert set(draw(Sampling(temperature=1, top_p=top_p, seed=0), logits, 500)) == kept, top_p
    counts = Counter(draw(Sampling(temperature=1, top_p=0.69, seed=1), logits, DRAWS))
    chance = 0.4 / 0.7
    assert abs(counts[1] - DRAWS * chance) <= 5 * (DRAWS * chance * (1 - chance)) ** 0.5


def test_top_p_counts_probabilities_after_temperature() -> None:
    logits = torch.tensor([0.6, 0.4]).log()
    assert set(draw(Sampling(temperature=1, top_p=0.7, seed=0), logits, 200)) == {0, 1}
    assert set(draw(Sampling(temperature=0.2, top_p=0.7, seed=0), logits, 200)) == {0}


def test_seed_reproduces() -> None:
    first, second, other = (draw(Sampling(temperature=1, seed=seed), draws=50) for seed in (5, 5, 6))
    assert first == second != other
    unseeded = [draw(Sampling(temperature=1), draws=50) for _ in range(2)]
    assert unseeded[0] != unseeded[1]


def test_seeded_answers_do_not_disturb_each_other() -> None:
    alone = draw(Sampling(temperature=1, seed=5), draws=20)
    samplers = [Sampler(Sampling(temperature=1, seed=5), [0], CPU) for _ in range(2)]
    together = [(*(sampler.choose(LOGITS).read() for sampler in samplers), torch.rand(1)) for _ in range(20)]
    assert [first for first, _, _ in together] == [second for _, second, _ in together] == alone


@given(
    st.lists(st.floats(-20, 20), min_size=6, max_size=6),
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
    st.sampled_from([0.5, 1.0, 1.1, 3.0]),
)
def test_penalty_is_transformers_own(values: list[float], prompt: list[int], penalty: float) -> None:
    logits = torch.tensor(values)
    sampler = Sampler(Sampling(repetition_penalty=penalty), prompt, CPU)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([prompt]), logits[None].clone())[0]
    torch.testing.assert_close(sampler._penalise(logits), expected)
    assert sampler.choose(logits).read() == int(expected.argmax())


def test_penalty_counts_the_answer_so_far() -> None:
    """At a strong penalty every token is chosen once before any comes again."""
    logits = torch.tensor([5.0, 4.0, 3.0, 2.0])
    chosen = draw(Sampling(repetition_penalty=10.0), logits, 4, prompt=(3,))
    assert chosen == [0, 1, 2, 0]
    assert draw(Sampling(), logits, 4) == [0, 0, 0, 0]


def test_choosing_leaves_the_logits_alone() -> None:
    logits = LOGITS.clone()
    draw(Sampling(temperature=0.7, top_p=0.5, repetition_penalty=2.0, seed=0), logits, 3)
    assert torch.equal(logits, LOGITS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_logits_are_sampled_in_float32(dtype: torch.dtype) -> None:
    logits = torch.tensor([1.0, 8.0, 2.0], dtype=dtype)
    assert draw(Sampling(), logits) == [1]
    assert set(draw(Sampling(temperature=0.1, seed=0), logits, 50)) == {1}


@pytest.mark.parametrize("temperature", [1e-3, 1e-20, 1e-40, 1e-300])
def test_a_temperature_near_zero_is_nearly_greedy(temperature: float) -> None:
    assert set(draw(Sampling(temperature=temperature, seed=0), torch.tensor([10.0, 30.0, 20.0]), 20)) == {1}


def test_impossible_tokens_are_never_drawn() -> None:
    logits = torch.tensor([float("-inf"), 0.0, float("-inf"), 1.0])
    assert set(draw(Sampling(temperature=5, repetition_penalty=1.5, seed=0), logits, 300)) == {1, 3}


def test_a_ranking_tells_the_chosen_token_and_the_likeliest(load_processor) -> None:
    """Before temperature and penalty, and of logits that are overwritten before it is read."""
    tokenizer = load_processor("tiny").tokenizer
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log() + 7
    ranking = Ranking(logits, torch.tensor(0), 2)
    logits.zero_()
    chosen, *likeliest = ranking.read(tokenizer)
    assert (chosen.token, [each.token for each in likeliest]) == (0, [1, 3])
    assert [math.exp(each.logprob) for each in (chosen, *likeliest)] == pytest.approx([0.1, 0.4, 0.3])
    assert Ranking(logits, torch.tensor(3), 9).read(tokenizer)[0].token == 3


def test_the_likeliest_of_all_rows_are_those_of_each() -> None:
    logits = torch.randn(5, 40)
    logits[2, :30] = 0  # ties go to the first
    step = Likeliest(logits)
    sampler = Sampler(Sampling(), [0], CPU)
    assert sampler.takes_likeliest
    for known, banned in ((None, None), (30, None), (30, 0), (None, int(logits[0].argmax()))):
        for row in logits:
            choice = step.choose(row, known, banned)
            assert choice is not None
            assert choice.read() == int(choice.token) == sampler.choose(row[:known], None, banned).read()
    assert torch.isfinite(logits).all()
    assert step.choose(torch.randn(40), None, None) is None  # no row of this step
    assert step.choose(logits[1, 1:], None, None) is None
    for other in (Sampling(temperature=0.5), Sampling(repetition_penalty=1.1)):
        assert not Sampler(other, [0], CPU).takes_likeliest


def test_the_likeliest_of_those_allowed_is_found_among_them_alone() -> None:
    logits = torch.randn(40)
    logits[[3, 9, 20]] = 7.0  # ties go to the first, in whatever order ids are given
    greedy, warm = (Sampler(Sampling(temperature=t, top_p=0), [0], CPU) for t in (0, 1))
    for allowed in ([20, 9, 3, 1], [20, 9], [30, 5], [12]):
        expected = next(token for token in sorted(allowed) if logits[token] == logits[allowed].max())
        assert greedy.choose(logits, np.array(allowed)).read() == expected
        assert logits[warm.choose(logits, np.array(allowed)).read()] == logits[expected]
    assert greedy.choose(logits, np.array([20, 9]), banned=9).read() == 20
