# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch and transformers leave some of their types open.
"""Logits -> the next token id."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from dsvl2_app.request import Likelihood, Sampling
from dsvl2_app.text.tokenizer import spell

NUCLEUS = 1024  # ids that nearly always are enough


def send(numbers: np.ndarray, device: torch.device) -> Tensor:
    """Numbers on a device, which is not waited for."""
    known = torch.from_numpy(numbers)
    return known.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else known.to(device)


class Arrival:
    """Numbers [N] on their way from a GPU."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers, self._event = numbers, None
        self._read: list[int] | None = None
        if numbers.is_cuda:
            self._numbers = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            self._numbers.copy_(numbers, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(numbers.device))  # which need not be the thread's own

    def read(self) -> list[int]:
        """Waits for them, but for nothing that the GPU was given after them."""
        if self._read is None:
            if self._event is not None:
                self._event.synchronize()
            self._read = self._numbers.tolist()
        return self._read


class Choice:
    """A token that may still be on its way from a GPU, which meanwhile can be given it to go on with."""

    def __init__(self, token: Tensor, arrival: Arrival | None = None, place: int = 0) -> None:
        """`token` []; where it comes with others it has a place among them."""
        self.token = token
        self._arrival, self._place = arrival or Arrival(token[None]), place

    def read(self) -> int:
        """Waits for it, but for nothing that the GPU was given after it."""
        return int(self._arrival.read()[self._place])


class Likeliest:
    """The likeliest tokens of a step's logits [B, vocabulary], found for all rows at once when the first is asked for:
    sixteen answers cost a GPU's launches once."""

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits
        self._found: dict[tuple[int | None, int | None], tuple[Tensor, Arrival]] = {}

    def choose(self, row: Tensor, known: int | None, banned: int | None) -> Choice | None:
        """Of `row` [vocabulary], where it is one of these, the likeliest of the first `known` ids but `banned`."""
        place, rest = divmod(row.data_ptr() - self._logits.data_ptr(), self._logits.stride(0) * row.itemsize)
        if rest or not 0 <= place < len(self._logits) or row.shape != self._logits.shape[1:]:
            return None
        if (known, banned) not in self._found:
            scores = self._logits[:, :known]
            if banned is not None:
                scores = scores.clone()
                scores.select(1, banned).fill_(float("-inf"))
            tokens = scores.argmax(-1)
            self._found[known, banned] = tokens, Arrival(tokens)
        tokens, arrival = self._found[known, banned]
        return Choice(tokens[place], arrival, place)


class Ranking:
    """How likely a chosen token was, and the likeliest ones, of logits that may be overwritten before it is read."""

    def __init__(self, logits: Tensor, token: Tensor, count: int) -> None:
        """`logits` [vocabulary], `token` []; nothing waits for a GPU."""
        logprobs = logits.float().log_softmax(-1)
        _, likeliest = logprobs.topk(min(count, len(logprobs)))
        self.ids = torch.cat((token[None], likeliest))  # [1 + count]
        self.logprobs = logprobs[self.ids]

    def read(self, tokenizer: PreTrainedTokenizerFast) -> tuple[Likelihood, ...]:
        """Of the chosen token, then of the likeliest ones."""
        pairs = zip(self.ids.tolist(), self.logprobs.tolist(), strict=True)
        return tuple(Likelihood(token, spell(tokenizer, token), logprob) for token, logprob in pairs)


class Sampler:
    """One answer's choices: greedy at temperature 0, else drawn from the nucleus, reproducible by seed."""

    def __init__(self, sampling: Sampling, prompt_ids: list[int], device: torch.device) -> None:
        self.sampling = sampling
        self.generator = torch.Generator(device)
        if sampling.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(sampling.seed)
        self.seen: Tensor | None = None  # ids of prompt and answer, where they are penalised
        if sampling.repetition_penalty != 1:
            self.seen = send(np.unique(prompt_ids), device)

    @property
    def takes_likeliest(self) -> bool:
        """Whether it chooses what is likeliest by the logits as they are."""
        return not self.sampling.temperature and self.sampling.repetition_penalty == 1

    def choose(self, logits: Tensor, allowed: np.ndarray | None = None, banned: int | None = None) -> Choice:
        """Next id from the logits [vocabulary] of the last position, one of `allowed` where these are given, and not
        the one that is `banned`."""
        if allowed is not None and self.takes_likeliest:
            ids = send(np.sort(allowed[allowed != banned]), logits.device)
            if len(ids):
                return Choice(ids.take(logits.index_select(0, ids).argmax()))
        scores = self._penalise(logits.float())
        if banned is not None:
            scores = scores.clone()
            scores.select(0, banned).fill_(float("-inf"))  # by an index the CPU would wait for the GPU
        if allowed is not None:
            kept = send(allowed, scores.device)
            scores = torch.full_like(scores, float("-inf")).index_copy(0, kept, scores[kept])
        temperature = self.sampling.temperature
        token = self._draw(_divide(scores - scores.max(), temperature)) if temperature else scores.argmax()
        if self.seen is not None:
            self.seen = torch.cat((self.seen, token[None])).unique()
        return Choice(token)

    def _penalise(self, scores: Tensor) -> Tensor:
        """Make ids of prompt and answer less likely, as CTRL (Keskar et al. 2019) and transformers do."""
        if self.seen is None:
            return scores
        penalty, seen = self.sampling.repetition_penalty, scores[self.seen]
        return scores.index_copy(0, self.seen, torch.where(seen < 0, seen * penalty, seen / penalty))

    def _draw(self, scores: Tensor) -> Tensor:
        """Draw from the smallest set of ids whose probabilities reach top_p; the most likely id is always in it."""
        likely = scores.softmax(-1)
        if self.sampling.top_p == 1:
            return self._draw_one(likely)
        # sorting all of a large vocabulary takes a CPU longer; a GPU would have to be asked whether fewer are enough
        first, ids = likely.topk(len(scores) if scores.is_cuda else min(NUCLEUS, len(scores)))
        if len(first) < len(scores) and first.sum() < self.sampling.top_p:
            first, ids = likely.topk(len(scores))
        before = first.cumsum(-1) - first
        chosen = self._draw_one(first.masked_fill((before >= self.sampling.top_p) & (before > 0), 0))
        return ids.take(chosen)  # by an index the CPU would wait for the GPU

    def _draw_one(self, chances: Tensor) -> Tensor:
        """An index, as often as its chance says: the first of exponential waits to end. torch.multinomial would make
        the CPU wait for a GPU."""
        return (chances / torch.empty_like(chances).exponential_(generator=self.generator)).argmax()


def _divide(scores: Tensor, temperature: float) -> Tensor:
    """Scores, of which the largest is 0, so that no temperature overflows. In float64, but on a device that has none
    (Apple's raises TypeError)."""
    try:
        wide = scores.double()
    except TypeError:
        wide = scores
    return wide / max(temperature, torch.finfo(wide.dtype).tiny)
