"""The whole model as a transformers model: pixels and token ids in, logits out.

B batch, T tokens, N tiles, D decoder width. How the stages fit together is `forward`; where weights come from is
`from_pretrained`, in `pretrained`.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, GenerationConfig
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.model.adaptor import Adaptor
from dsvl2_app.model.attention import Cache
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.generation import PictureGenerationMixin
from dsvl2_app.model.linear import NARROW, Linear
from dsvl2_app.model.pretrained import OfficialLayoutModel, refuse_others
from dsvl2_app.model.random_weights import fill_random
from dsvl2_app.model.vision import VisionEncoder, merge_identical
from dsvl2_app.registration import AUTO_BODY, register_model

CACHE_NAME = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"  # until 5.23
# Not in the signature: Trainer evaluates no loss where one of all parameters with "label" in their name is missing.
LOSS_ARGUMENTS = ("shift_labels", "num_items_in_batch")
HOOKS = ("forward", "_old_forward", "_hf_hook")  # what accelerate puts on the outermost model


class DeepseekVL2Model(OfficialLayoutModel):
    """All but the head: pixels and token ids in, hidden states out."""

    main_input_name = "input_ids"
    input_modalities: ClassVar[tuple[str, ...]] = ("image", "text")
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    unread_keys = ("language.lm_head.weight",)
    _no_split_modules = ["VisionBlock", "DecoderLayer"]  # noqa: RUF012
    _supports_sdpa = True

    def __init__(self, config: DeepseekVL2Config) -> None:
        super().__init__(config)
        config.check_supported()
        self.tile_batch = 4  # tiles encoded at once: bounds memory, loses no speed
        self.vision = VisionEncoder(config.vision_config)
        self.adaptor = Adaptor(config.projector_config)
        self.decoder = Decoder(config.language_config)
        self.post_init()
        self._fill_random(self)

    def _fill_random(self, part: nn.Module) -> None:
        if self.device.type != "meta":
            fill_random(part, std=self.config.language_config.initializer_range)

    def _init_weights(self, module: nn.Module) -> None:
        """Of a module that transformers makes anew, such as larger embeddings; all others are filled afterwards."""
        if isinstance(module, nn.Embedding | nn.Linear):
            nn.init.normal_(module.weight, std=self.config.language_config.initializer_range)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        images_seq_mask: Tensor | None = None,
        images_spatial_crop: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        cache: Cache | None = None,
        **others: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states [B, T, D] of `input_ids` [B, T], normalised.

        `attention_mask` [B, S] is 0 at padding, on the left (or [B, 1, T, S] bool: what each token may look at);
        `pixel_values` [N, 3, H, W], `images_seq_mask` [B, T] and `images_spatial_crop` [B, images, 2] are as
        `DeepseekVL2Processor` makes them. `cache` is the name that transformers 5.24 gave to `past_key_values`. Flags
        are the configuration's unless given. Raises PromptError where pictures and tokens do not fit together, and
        SettingsError for an argument that is not understood.
        """
        refuse_others(f"{type(self).__name__}.forward", others)
        if (input_ids is None) == (inputs_embeds is None):
            raise PromptError("Give either input_ids or inputs_embeds.")
        embeds = self.embed(input_ids, pixel_values, images_seq_mask, images_spatial_crop, inputs_embeds)
        cache = self._choose_cache(past_key_values if cache is None else cache, use_cache)
        with_attentions = _first_known(output_attentions, self.config.output_attentions)
        with_states = _first_known(output_hidden_states, self.config.output_hidden_states)
        openly = with_attentions or self.config.language_config._attn_implementation == "eager"
        states, attentions = [] if with_states else None, [] if openly else None
        hidden = self.decoder(embeds, attention_mask, position_ids, cache, states, attentions)
        return BaseModelOutputWithPast(
            last_hidden_state=hidden,
            hidden_states=None if states is None else tuple(states),
            attentions=tuple(attentions or ()) if with_attentions else None,
            **{CACHE_NAME: cast("Any", cache)},
        )

    def _choose_cache(self, cache: Cache | None, use_cache: bool | None) -> Cache | None:
        """The one given, or an empty one where one is wanted."""
        if self.decoder.recomputes:
            if cache is not None and cache.get_seq_length():
                raise SettingsError(
                    "Gradient checkpointing computes layers twice, which a cache does not survive; train without one."
                )
            return None
        if cache is None and _first_known(use_cache, self.config.use_cache):
            return DynamicCache()
        return cache

    def embed(
        self,
        input_ids: Tensor | None,
        pixel_values: Tensor | None = None,
        images_seq_mask: Tensor | None = None,
        images_spatial_crop: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Token embeds [B, T, D], of `input_ids` unless given, with each image's embeds at its place."""
        embeds = self.decoder.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if pixel_values is None or pixel_values.shape[0] == 0:
            if images_seq_mask is not None and bool(images_seq_mask.any()):
                raise PromptError("images_seq_mask marks tokens of pictures, but pixel_values are missing; pass both.")
            return embeds
        if images_seq_mask is None or images_spatial_crop is None:
            raise PromptError("pixel_values come without images_seq_mask and images_spatial_crop; pass all three.")
        grids = [(w, h) for w, h in images_spatial_crop.flatten(0, 1).tolist() if w]
        images = torch.cat(self.encode_images(pixel_values, grids))
        # generation without a cache feeds the answer so far too, which holds no image
        places = F.pad(images_seq_mask.to(embeds.device), (0, embeds.shape[1] - images_seq_mask.shape[1]))
        if int(places.sum()) != images.shape[0]:
            raise PromptError(
                f"images_seq_mask marks {int(places.sum())} tokens, but the pictures make {images.shape[0]}; "
                "pass the processor's output unchanged."
            )
        marked = [] if input_ids is None else input_ids[places].unique().tolist()
        if len(marked) > 1 or self.config.language_config.pad_token_id in marked:
            raise PromptError(
                "images_seq_mask marks other tokens than those of pictures; pad it like input_ids, on the same side."
            )
        return embeds.masked_scatter(places[..., None], images.to(embeds))

    def encode_images(self, pixel_values: Tensor, grids: list[tuple[int, int]]) -> list[Tensor]:
        """Normalised tiles [N, 3, H, W] of images with these grids, in order -> each image's embeds [T, D]."""
        if sum(1 + w * h for w, h in grids) != pixel_values.shape[0]:
            raise PromptError(
                f"{pixel_values.shape[0]} tiles do not fit the grids {grids} in images_spatial_crop; "
                "pass the processor's output unchanged."
            )
        tiles = pixel_values.to(self.device)
        if torch.is_grad_enabled():
            tokens = self.encode_tiles(tiles)
        else:
            distinct, twins = merge_identical(tiles)
            tokens = torch.cat([self.encode_tiles(batch) for batch in distinct.split(self.tile_batch)])
            tokens = tokens[twins.to(tokens.device)]
        views = tokens.split([1 + w * h for w, h in grids])
        return [self.adaptor.arrange(view, grid) for view, grid in zip(views, grids, strict=True)]

    def encode_tiles(self, tiles: Tensor) -> Tensor:
        """Normalised tiles [N, 3, H, W] -> tokens [N, s * s, D]."""
        return self.adaptor(self.vision(tiles))

    @property
    def device(self) -> torch.device:
        """Where inputs go: with weights that accelerate brings from elsewhere for each use, where it brings them."""
        device = super().device
        hooks = (getattr(module, "_hf_hook", None) for module in self.modules())
        known = (getattr(hook, "execution_device", None) for hook in hooks)
        return device if device.type != "meta" else next((torch.device(d) for d in known if d is not None), device)

    def get_input_embeddings(self) -> nn.Module:
        return self.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.decoder.embed_tokens = value


class DeepseekVL2ForConditionalGeneration(DeepseekVL2Model, PictureGenerationMixin):
    """The whole model: pixels and token ids in, logits out."""

    unread_keys = ()

    def __init__(self, config: DeepseekVL2Config) -> None:
        super().__init__(config)
        self.lm_head = Linear(config.language_config.hidden_size, config.language_config.vocab_size)
        self.generation_config = GenerationConfig(
            **{name: getattr(config.language_config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        )
        self.post_init()
        self._fill_random(self.lm_head)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        images_seq_mask: Tensor | None = None,
        images_spatial_crop: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        cache: Cache | None = None,
        **others: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, vocabulary] of `input_ids` [B, T], or only of the last `logits_to_keep` positions.

        `labels` [B, T] count where they are not -100; `shift_labels` (by name) are the same, already moved to the
        position that predicts them. The loss is their mean, or, with `num_items_in_batch` (by name), their sum divided
        by that. All else is as in `DeepseekVL2Model.forward`.
        """
        counted = {name: others.pop(name, None) for name in LOSS_ARGUMENTS}
        body = super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            pixel_values=pixel_values,
            images_seq_mask=images_seq_mask,
            images_spatial_crop=images_spatial_crop,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            cache=past_key_values if cache is None else cache,
            return_dict=True,
            **others,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(body["last_hidden_state"][:, kept])
        loss = None
        if labels is not None or counted["shift_labels"] is not None:
            loss = self.loss_function(logits, labels, logits.shape[-1], **counted)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=body.hidden_states,
            attentions=body.attentions,
            **{CACHE_NAME: body.get(CACHE_NAME)},
        )

    @property
    def model(self) -> DeepseekVL2Model:
        """All but the head, as a model that shares every module with this one."""
        body = DeepseekVL2Model.__new__(DeepseekVL2Model)
        parts = {name: part for name, part in self._modules.items() if name != "lm_head"}
        shared = {name: value for name, value in vars(self).items() if name not in HOOKS}
        vars(body).update(shared, _modules=parts)
        return body

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """A plain layer becomes one of ours, on the same weight."""
        self.lm_head = Linear(value.in_features, value.out_features)
        self.lm_head.weight = value.weight
        self.lm_head._is_hf_initialized = True  # for `post_init`

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """As transformers' own, for input embeddings and head together."""
        if kind := NARROW.get(self.lm_head.weight.dtype):
            raise SettingsError(f"{kind} weights cannot be resized; load the model without quantize for that.")
        return super().resize_token_embeddings(*args, **kwargs)


register_model(DeepseekVL2Model, AUTO_BODY)
register_model(DeepseekVL2ForConditionalGeneration)


def _first_known(given: bool | None, default: bool | None) -> bool | None:
    return default if given is None else given
