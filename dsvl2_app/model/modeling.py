"""The whole model as a transformers model: pixels and token ids in, logits out.

B batch, T tokens, N tiles, D decoder width. How the stages fit together is `forward`; where weights come from is
`from_pretrained`, in `weights`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory
from torch import Tensor, nn
from transformers import DynamicCache, GenerationConfig, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.hub import HUB_OPTIONS, find_folder, read_config
from dsvl2_app.model import weights
from dsvl2_app.model.adaptor import Adaptor
from dsvl2_app.model.attention import Cache
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.experts import Router
from dsvl2_app.model.linear import Linear, hold_int8
from dsvl2_app.model.vision import VisionEncoder, merge_identical
from dsvl2_app.registration import register_model


class DeepseekVL2ForConditionalGeneration(PreTrainedModel, GenerationMixin):
    config_class = DeepseekVL2Config
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = ["VisionBlock", "DecoderLayer"]  # noqa: RUF012
    _supports_sdpa = True

    def __init__(self, config: DeepseekVL2Config) -> None:
        super().__init__(config)
        config.check_supported()
        self.tile_batch = 4  # tiles encoded at once: bounds memory, loses no speed
        self.vision = VisionEncoder(config.vision_config)
        self.adaptor = Adaptor(config.projector_config)
        self.decoder = Decoder(config.language_config)
        self.lm_head = Linear(config.language_config.hidden_size, config.language_config.vocab_size)
        self.generation_config = GenerationConfig(
            **{name: getattr(config.language_config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        )
        self.post_init()
        if self.device.type != "meta":
            weights.fill_random(self, std=config.language_config.initializer_range)

    def _init_weights(self, module: nn.Module) -> None:
        """Values come from `weights`: a checkpoint, or `fill_random`."""

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
        cache: Cache | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, vocabulary] of `input_ids` [B, T], or only of the last `logits_to_keep` positions.

        `attention_mask` [B, S] is 0 at padding, on the left (or [B, 1, T, S] bool: what each token may look at);
        `pixel_values` [N, 3, H, W], `images_seq_mask` [B, T] and `images_spatial_crop` [B, images, 2] are as
        `DeepseekVL2Processor` makes them; `labels` [B, T] count where they are not -100. `cache` is the name that
        transformers 5.24 gave to `past_key_values`.
        """
        past_key_values = past_key_values if cache is None else cache
        if inputs_embeds is None:
            inputs_embeds = self.embed(input_ids, pixel_values, images_seq_mask, images_spatial_crop)
        if past_key_values is None and use_cache:
            past_key_values = DynamicCache()
        hidden = self.decoder(inputs_embeds, attention_mask, position_ids, past_key_values)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden[:, kept])
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    def embed(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        images_seq_mask: Tensor | None = None,
        images_spatial_crop: Tensor | None = None,
    ) -> Tensor:
        """Token embeds [B, T, D] with each image's embeds at its place."""
        embeds = self.decoder.embed_tokens(input_ids)
        if pixel_values is None or pixel_values.shape[0] == 0:
            return embeds
        if images_seq_mask is None or images_spatial_crop is None:
            raise PromptError("pixel_values come without images_seq_mask and images_spatial_crop; pass all three.")
        grids = [(w, h) for w, h in images_spatial_crop.flatten(0, 1).tolist() if w]
        images = torch.cat(self.encode_images(pixel_values, grids))
        # generation without a cache feeds the answer so far too, which holds no image
        places = F.pad(images_seq_mask.to(embeds.device), (0, input_ids.shape[1] - images_seq_mask.shape[1]))
        if int(places.sum()) != images.shape[0]:
            raise PromptError(
                f"images_seq_mask marks {int(places.sum())} tokens, but the pictures make {images.shape[0]}; "
                "pass the processor's output unchanged."
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

    def prepare_inputs_for_generation(self, input_ids: Tensor, **kwargs: Any) -> dict[str, Any]:
        """As transformers' own, with the pictures in the first step only: afterwards they are in the cache."""
        inputs = super().prepare_inputs_for_generation(input_ids, **kwargs)
        cache = inputs.get("cache", inputs.get("past_key_values"))
        if cache is not None and cache.get_seq_length() > 0:
            for name in ("pixel_values", "images_seq_mask", "images_spatial_crop"):
                inputs.pop(name, None)
        return inputs

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, is_encoder_decoder: bool = False, input_ids: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        """Several answers per row: each gets all tiles of its row, not every tile several times in a row."""
        pixels, crops = kwargs.pop("pixel_values", None), kwargs.get("images_spatial_crop")
        if pixels is not None and expand_size > 1:
            tiles = torch.where(crops[..., 0] > 0, 1 + crops.prod(-1), 0).sum(-1).tolist()
            pixels = torch.cat([row for row in pixels.split(tiles) for _ in range(expand_size)])
        input_ids, kwargs = super()._expand_inputs_for_generation(
            expand_size=expand_size, is_encoder_decoder=is_encoder_decoder, input_ids=input_ids, **kwargs
        )
        return input_ids, kwargs if pixels is None else {**kwargs, "pixel_values": pixels}

    @property
    def device(self) -> torch.device:
        """Where inputs go: with weights that accelerate brings from elsewhere for each use, where it brings them."""
        device = super().device
        hooks = (getattr(module, "_hf_hook", None) for module in self.modules())
        known = (getattr(hook, "execution_device", None) for hook in hooks)
        return device if device.type != "meta" else next((torch.device(d) for d in known if d is not None), device)

    def get_input_embeddings(self) -> nn.Module:
        return self.decoder.embed_tokens

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: DeepseekVL2Config | None = None,
        dtype: str | torch.dtype | None = None,
        device_map: str | dict[str, Any] | torch.device | None = None,
        max_memory: dict[Any, Any] | None = None,
        quantize: str = "none",
        **options: Any,
    ) -> DeepseekVL2ForConditionalGeneration:
        """Load a folder or Hugging Face repository in the official layout.

        `dtype` is the checkpoint's unless given (`torch_dtype` is accepted too). `device_map` is a device, "auto"
        (spread over what is there, through accelerate) or a map of module names to devices. Weights are read
        straight into place, so memory peaks little above their size; with `quantize` "int8" the decoder's become
        int8 on the way. Raises CheckpointError when anything is
        missing, left over or of another shape.
        """
        hub = {name: options.pop(name) for name in HUB_OPTIONS if name in options}
        dtype = options.pop("torch_dtype", None) or dtype
        folder = find_folder(pretrained_model_name_or_path, **hub)
        if config is None:
            config = DeepseekVL2Config(**read_config(folder))
        config.check_supported(str(folder / "config.json"))
        model = cls._on_meta(config, dtype, quantize)
        device_map = _place(model, device_map, max_memory)
        weights.load(model, folder)
        model.name_or_path = config.name_or_path = str(pretrained_model_name_or_path)
        if len(set(map(str, device_map.values()))) > 1:
            # loaded whole: decode reads kv_b_proj as a matrix, which is faster than to call it
            dispatch_model(model, device_map, preload_module_classes=["MultiHeadLatentAttention"])
        return model

    @classmethod
    def from_random(
        cls,
        config: DeepseekVL2Config,
        dtype: str | torch.dtype | None = None,
        device: Any = None,
        seed: int = 0,
        quantize: str = "none",
    ) -> DeepseekVL2ForConditionalGeneration:
        """The right shapes with random weights: its answers are noise, its costs are real."""
        model = cls._on_meta(config, dtype, quantize)
        _place(model, device, None)
        weights.fill_random(model, seed, std=config.language_config.initializer_range)
        return model

    @classmethod
    def _on_meta(
        cls, config: DeepseekVL2Config, dtype: Any, quantize: str = "none"
    ) -> DeepseekVL2ForConditionalGeneration:
        """An evaluation-mode model whose parameters have their dtype but no memory yet."""
        config.dtype = _choose_dtype(dtype, config)
        with torch.device("meta"):
            model = cls(config).to(config.dtype)
        for module in model.modules():
            if isinstance(module, Router) and module.bias is not None:
                module.bias.data = module.bias.data.float()
        if quantize == "int8":
            hold_int8(model)
        return model.eval()

    def save_pretrained(self, save_directory: str | Path, max_shard_size: int | str = "5GB", **_: Any) -> None:
        """Write config.json, generation_config.json and safetensors in the official layout and with its keys."""
        folder = Path(save_directory)
        self.config.dtype = self.dtype
        weights.save(self, folder, self.dtype, _count_bytes(max_shard_size))
        self.config.architectures = ["DeepseekVLV2ForCausalLM"]  # the name that other engines look for
        self.config.save_pretrained(folder)
        self.generation_config.save_pretrained(folder)


register_model(DeepseekVL2ForConditionalGeneration)


def _choose_dtype(dtype: str | torch.dtype | None, config: DeepseekVL2Config) -> torch.dtype:
    if dtype is None or dtype == "auto":
        dtype = config.dtype or torch.float32
    if isinstance(dtype, str):
        dtype = getattr(torch, dtype, None)
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise SettingsError(f"dtype {dtype} is not one that the model runs in; choose float32, bfloat16 or float16.")
    return dtype


def _place(model: nn.Module, device_map: Any, max_memory: Any) -> dict[str, Any]:
    """Give parameters of the meta device memory, on one device or spread by accelerate; returns who is where."""
    if device_map in ("auto", "balanced", "balanced_low_0", "sequential"):
        options = {"no_split_module_classes": list(model._no_split_modules), "max_memory": max_memory}
        if device_map != "sequential":
            options["max_memory"] = get_balanced_memory(model, low_zero=device_map == "balanced_low_0", **options)
        device_map = infer_auto_device_map(model, **options)
    if not isinstance(device_map, dict):
        device_map = {"": device_map if device_map is not None else "cpu"}
    if "disk" in device_map.values():
        raise SettingsError("The model does not fit into the memory given; choose a smaller one or allow more.")
    for name, parameter in model.named_parameters():
        places = [part for part in device_map if f"{name}.".startswith(f"{part}.") or not part]
        if not places:
            raise SettingsError(f'device_map has no place for {name}; name its module, or add "" for the rest.')
        owner, _, leaf = name.rpartition(".")
        memory = torch.empty_like(parameter, device=device_map[max(places, key=len)])
        setattr(model.get_submodule(owner), leaf, nn.Parameter(memory, parameter.requires_grad))
    return device_map


def _count_bytes(size: int | str) -> int:
    """`5GB` and the like, in transformers' terms."""
    if isinstance(size, int):
        return size
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B)", size.strip().upper())
    if match is None:
        raise SettingsError(f"max_shard_size is {size!r}; write a number of bytes or one such as '5GB' or '9MB'.")
    return int(float(match[1]) * units[match[2]])
