"""The model with what it needs to learn: losses over packed batches, and over what each patch and token shows.

R rows, T tokens a row, N tiles, P patches a tile, S tokens a tile, A tokens that are learnt, D decoder width.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from nano.coordinates import NUMBERS, bell_loss
from nano.packing import Batch
from nano.scenes.targets import NUM_CHARACTERS, NUM_COLOURS, NUM_KINDS, ORDERS, SLOTS

UNKNOWN = -1  # target is not known: no loss
NOTHING = 0  # the class of background, of no colour and of no character
NOTHING_WEIGHT = 0.2  # most patches show nothing

# What a patch is asked for before the adaptor, with the number of answers and the weight of the loss.
PATCH_QUESTIONS = {
    "kinds": (NUM_KINDS, 1.0),
    "colours": (NUM_COLOURS, 1.0),
    "characters": (SLOTS * NUM_CHARACTERS, 2.0),
    "order": (SLOTS * ORDERS, 0.5),
}


@dataclass(frozen=True, slots=True)
class Losses:
    total: Tensor
    parts: dict[str, Tensor]  # for the log: losses and accuracies, detached


class Learner(nn.Module):
    """Its heads exist in training only."""

    number_ids: Tensor
    number_of: Tensor

    def __init__(self, model: DeepseekVL2ForConditionalGeneration, number_ids: list[int]) -> None:
        super().__init__()
        self.model = model
        vision, decoder = model.config.vision_config.width, model.config.language_config.hidden_size
        self.patch_heads = nn.ModuleDict({name: nn.Linear(vision, n) for name, (n, _) in PATCH_QUESTIONS.items()})
        self.offset_head = nn.Linear(vision, 4)
        self.kind_head = nn.Linear(decoder, NUM_KINDS)
        self.corner_head = nn.Linear(decoder, 4 * decoder)  # asks the number rows of lm_head for a token's box
        self.register_buffer("number_ids", torch.tensor(number_ids), persistent=False)
        number_of = torch.full((model.lm_head.out_features,), UNKNOWN)
        number_of[number_ids] = torch.arange(NUMBERS)
        self.register_buffer("number_of", number_of, persistent=False)

    def forward(self, batch: Batch, *, speak: bool, look_weight: float, sigma: float, rest: bool = False) -> Losses:
        """`speak`: include the loss of the text; `look_weight`: weight of the loss of what patches and tokens show;
        `sigma`: width of the corners' targets, in 0..999; `rest`: train the heads alone, the model is frozen."""
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=batch.ids.device)
        tokens = total.new_zeros(0, 1, self.kind_head.in_features)  # [N, S, D], of a batch without pictures
        if len(batch.tiles):
            with torch.no_grad() if rest else nullcontext():
                features = self.model.vision(batch.tiles.permute(0, 3, 1, 2).float() / 127.5 - 1)
                tokens = self.model.adaptor(features)
                rows = self.model.lm_head.weight[self.number_ids]
            if look_weight:
                total = total + look_weight * self._look(features, tokens, rows, batch.looks, sigma, parts)
        if speak:
            total = total + self._speak(tokens, batch, sigma, parts)
        parts["loss"] = total
        return Losses(total, {name: value.detach() for name, value in parts.items()})

    def learning(self, *, speak: bool, rest: bool = False) -> list[nn.Parameter]:
        """The parameters that such a `forward` may give a gradient to, in any process."""
        heads = (self.patch_heads, self.offset_head, self.kind_head, self.corner_head)
        seen = (self.model.vision, self.model.adaptor, self.model.lm_head)
        parts = heads if rest else (self.model, *heads) if speak else (*seen, *heads)
        return [each for part in parts for each in part.parameters() if each.requires_grad]

    def _look(
        self,
        features: Tensor,
        tokens: Tensor,
        rows: Tensor,
        looks: dict[str, Tensor],
        sigma: float,
        parts: dict[str, Tensor],
    ) -> Tensor:
        """Loss of naming what each patch and each token shows; corners are told by the numbers' `rows` [1000, D]."""
        total = torch.zeros((), device=features.device)
        for name, (_, weight) in PATCH_QUESTIONS.items():
            target = looks[name].long()
            slots = target.shape[2] if target.dim() == 3 else 1
            logits = self.patch_heads[name](features).unflatten(-1, (slots, -1))  # [N, P, slots, answers]
            total = total + weight * self._name(name, logits, target.view(logits.shape[:-1]), parts)
        there = looks["kinds"] > NOTHING
        offsets = self.offset_head(features)[there].float()
        offsets = mean(F.smooth_l1_loss(offsets, looks["offsets"][there], beta=0.1, reduction="none"))
        token_kinds = self._name("token_kinds", self.kind_head(tokens), looks["token_kinds"].long(), parts)
        owned = looks["token_boxes"][..., 0] >= 0
        asks = self.corner_head(tokens[owned]).unflatten(-1, (4, -1))  # [owned, 4, D]
        numbers = F.linear(asks, rows).float().log_softmax(-1)
        boxes = looks["token_boxes"][owned].long()
        corners = mean(bell_loss(numbers.flatten(0, 1), boxes.flatten(), sigma))
        parts["token_corner_error"] = mean((numbers.argmax(-1) - boxes).abs().float())
        return total + 2 * offsets + token_kinds + corners

    def _name(self, name: str, logits: Tensor, target: Tensor, parts: dict[str, Tensor]) -> Tensor:
        """Cross entropy in which showing nothing counts less; the accuracy is that of what shows something."""
        weights = torch.ones(logits.shape[-1], device=logits.device)
        if name != "order":  # whose first answer is the first place of a word
            weights[NOTHING] = NOTHING_WEIGHT
        told = target > (UNKNOWN if name == "order" else NOTHING)
        right = (logits.argmax(-1) == target) & told
        parts[f"{name}_accuracy"] = right.sum() / told.sum().clamp(min=1)
        losses = F.cross_entropy(
            logits.flatten(0, -2).float(), target.flatten(), weights, ignore_index=UNKNOWN, reduction="sum"
        )
        return losses / (weights[target.clamp(min=0)] * (target > UNKNOWN)).sum().clamp(min=1)

    def _speak(self, tokens: Tensor, batch: Batch, sigma: float, parts: dict[str, Tensor]) -> Tensor:
        embeds = self.model.decoder.embed_tokens(batch.ids)
        adaptor = self.model.adaptor
        sources = torch.cat((tokens.flatten(0, 1), adaptor.tile_newline[None], adaptor.view_separator[None]))
        places = batch.image_source
        places = torch.where(places >= 0, places, len(sources) - 3 - places)  # newline -1, separator -2
        embeds = embeds.masked_scatter(batch.image_mask[..., None], sources.index_select(0, places).to(embeds.dtype))
        hidden = self.model.decoder(embeds, batch.look(), batch.positions)
        logits = self.model.lm_head(hidden.flatten(0, 1).index_select(0, batch.learnt))  # [A, vocabulary]
        log_probabilities = logits.float().log_softmax(-1)
        plain = -log_probabilities.gather(-1, batch.targets[:, None]).squeeze(-1)
        numbers = self.number_of[batch.targets]
        bell = bell_loss(log_probabilities[:, self.number_ids], numbers, sigma)
        losses = torch.where(batch.corners, bell, plain)
        right = (logits.argmax(-1) == batch.targets).float()
        answers = batch.weights >= 1
        parts["answer_loss"] = plain[answers].mean()
        parts["answer_accuracy"] = right[answers].mean()
        errors = (logits[:, self.number_ids].argmax(-1) - numbers).abs().float()
        answered = batch.corners & answers  # boxes in questions cannot be predicted
        parts["corner_error"] = (errors * answered).sum() / answered.sum().clamp(min=1)
        return (losses * batch.weights).sum() / batch.weights.sum()


def mean(values: Tensor) -> Tensor:
    """0 of nothing: a small batch may show no object and no character."""
    return values.sum() / max(values.numel(), 1)
