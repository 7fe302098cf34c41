# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves the types of many arrays open.
"""`Inspection`: one prompt and its answer, token by token and layer by layer.

T prompt tokens, A answer tokens, S = T + A - 1 tokens that pass the decoder (the last of the answer does not), I image
tokens, L layers, H heads, M layers with experts, E experts, K active ones, N layers with a lens, C numbers of boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dsvl2_app.image.tiles import TileLayout

NEAREST = 5  # words of the lens, and alternatives of a token
PLACES = 1000  # values of a box's coordinate


@dataclass(frozen=True, slots=True)
class Inspection:
    """A token's attention is that of the step which chose it, where it was not yet there."""

    prompt: tuple[str, ...]  # T pieces of text, "" for a token of an image
    tokens: tuple[str, ...]  # A pieces of the answer
    answer_ids: tuple[int, ...]  # A
    starts: tuple[int, ...]  # each image's first token in the prompt
    layouts: tuple[TileLayout, ...]
    twins: tuple[int, ...]  # tile -> the distinct one that was encoded for it, over all images
    attention: np.ndarray  # float16 [L, H, A, T], to the prompt's tokens
    answer_attention: np.ndarray  # float16 [L, H, A], to the answer's earlier tokens together
    expert_layers: tuple[int, ...]  # M, from 0
    experts: np.ndarray  # uint8 [M, S, K], the one with the largest weight first
    expert_weights: np.ndarray  # float16 [M, S, K], with which their outputs were added
    expert_count: int  # E
    lens_layers: tuple[int, ...]  # N, from 0
    lens: np.ndarray  # int32 [N, I, NEAREST], ids nearest to the hidden state after the layer, the nearest first
    alternatives: np.ndarray  # int32 [A, 1 + NEAREST], the id that was chosen, then the likeliest ones
    logprobs: np.ndarray  # float32 [A, 1 + NEAREST], of these, before temperature, penalty, top-p and grammar
    corners: np.ndarray  # float32 [C, PLACES], chances of each number of the answer's boxes, see text/corners
    corner_tokens: tuple[int, ...]  # C, the answer's token with which the number begins; four in turn are a box
    words: dict[int, str] = field(repr=False)  # how the ids of lens and alternatives are spelled
    seconds: float  # that collecting took
    memory: int  # bytes that it took: the cache of the pass, and these arrays
    model: str = ""

    @property
    def prompt_tokens(self) -> int:
        return len(self.prompt)

    @property
    def nbytes(self) -> int:
        """Of the arrays."""
        return sum(each.nbytes for name in self.__slots__ if isinstance(each := getattr(self, name), np.ndarray))

    @property
    def image_mask(self) -> np.ndarray:
        """bool [T], True at tokens of images."""
        mask = np.zeros(len(self.prompt), bool)
        for start, layout in zip(self.starts, self.layouts, strict=True):
            mask[start : start + layout.num_tokens] = True
        return mask

    def average(self, token: int, layer: int | None = None, head: int | None = None) -> np.ndarray:
        """float32 [T]: what one token of the answer attended to, in a layer and head, or averaged over all."""
        chosen = self.attention[slice(None) if layer is None else layer, :, token]
        chosen = chosen[..., slice(None) if head is None else head, :]
        return chosen.reshape(-1, len(self.prompt)).mean(0, dtype=np.float32)

    def image_attention(self, image: int, layer: int | None = None, head: int | None = None) -> np.ndarray:
        """float32 [A, tokens of that image]."""
        place = slice(self.starts[image], self.starts[image] + self.layouts[image].num_tokens)
        return np.stack([self.average(token, layer, head)[place] for token in range(len(self.tokens))])

    def elsewhere(self, token: int, layer: int | None = None, head: int | None = None) -> np.ndarray:
        """float32 [3]: attention to the begin token, to other text of the prompt, and to the answer so far."""
        text = ~self.image_mask
        text[0] = False
        weights = self.average(token, layer, head)
        answer = self.answer_attention[slice(None) if layer is None else layer]
        answer = answer[..., slice(None) if head is None else head, token]
        return np.array([weights[0], weights[text].sum(), answer.mean(dtype=np.float32)], np.float32)

    def watchers(self, token: int, layer: int | None = None) -> np.ndarray:
        """float32 [A]: how much each token of the answer attended to one of the prompt's, averaged over the heads."""
        chosen = self.attention[slice(None) if layer is None else layer, ..., token]
        return chosen.reshape(-1, len(self.tokens)).mean(0, dtype=np.float32)

    def expert_shares(self) -> np.ndarray:
        """float32 [M, 2, E]: of all choices by tokens of images, and by those of text, the share of each expert."""
        shares = np.zeros((len(self.expert_layers), 2, self.expert_count), np.float32)
        image = np.zeros(self.experts.shape[1], bool)
        image[: len(self.prompt)] = self.image_mask
        for layer, chosen in enumerate(self.experts):
            for row, tokens in enumerate((image, ~image)):
                counts = np.bincount(chosen[tokens].ravel(), minlength=self.expert_count)
                shares[layer, row] = counts / max(1, counts.sum())
        return shares
