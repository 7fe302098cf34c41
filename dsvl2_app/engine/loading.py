"""Settings -> an engine: which folder or repository a name means, on which device and in which dtype."""

from __future__ import annotations

from pathlib import Path

import torch

from dsvl2_app import runtime
from dsvl2_app.bundled import NANO
from dsvl2_app.engine.engine import Engine
from dsvl2_app.hub import TEXT_FILES, find_base, find_folder, is_adapter, read_config
from dsvl2_app.model import adapters
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.experts import Experts
from dsvl2_app.model.linear import turn_int8
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.model.weights import has_weights
from dsvl2_app.request import ModelCard
from dsvl2_app.runtime.devices import choose_device, choose_device_map, choose_dtype
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor

RANDOM_NOTICE = "These weights are random: everything works and costs what it should, but the words are noise."
MEBIBYTE = 2**20

Loaded = tuple[DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor, ModelCard]


def load_engine(settings: Settings) -> Engine:
    """Raises CheckpointError where the model cannot be had and SettingsError where a setting cannot be met."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    library = runtime.prepare(settings.compile, device)
    is_random = settings.load_format == "dummy" or (settings.model == "nano" and not has_weights(NANO))
    model, processor, card = (_load_random if is_random else _load)(settings, device)
    runner = runtime.choose(model, settings.compile, card.context, library)
    vocabulary = len(processor.tokenizer) if is_random else None
    return Engine(runner, processor, card, vocabulary=vocabulary, cache_bytes=settings.cache_mb * MEBIBYTE)


def _load(settings: Settings, device: torch.device) -> Loaded:
    """A checkpoint, or an adapter merged into the one that it adapts."""
    source = NANO if settings.model == "nano" else settings.checkpoint
    given = find_folder(source)
    folder = find_base(given) if is_adapter(given) else given
    config = DeepseekVL2Config(**read_config(folder))
    config.check_supported(str(folder / "config.json"))
    processor = DeepseekVL2Processor.from_pretrained(given)
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(
        folder,
        config=config,
        dtype=choose_dtype(settings.dtype, config, device),
        device_map=choose_device_map(settings.device, device),
        quantize=settings.quantize if folder == given else "none",
    )
    if folder != given:
        adapters.load(model, given)
        adapters.merge(model)
        if settings.quantize == "int8":
            turn_int8(model)
    bundled = given.resolve() == NANO.resolve()
    name, source = ("nano", "assets/nano") if bundled else (Path(source).name, str(source))
    return model, processor, _describe(model, processor, name, source, bundled=bundled)


def _load_random(settings: Settings, device: torch.device) -> Loaded:
    """A preset's shapes, or those of a folder's config.json, with random weights and nano's tokenizer."""
    if settings.model in PRESETS:
        config = DeepseekVL2Config.preset(settings.model)
    else:
        config = DeepseekVL2Config(**read_config(find_folder(settings.model, TEXT_FILES)))
    tokenizer = DeepseekVL2Processor.from_pretrained(NANO).tokenizer
    vision = config.vision_config
    processor = DeepseekVL2Processor(
        tokenizer,
        candidate_resolutions=config.candidate_resolutions,
        patch_size=vision.patch_size,
        downsample_ratio=config.projector_config.downsample_ratio,
    )
    model = DeepseekVL2ForConditionalGeneration.from_random(
        config, choose_dtype(settings.dtype, config, device), device, quantize=settings.quantize
    )
    model.generation_config.update(  # pyright: ignore[reportUnknownMemberType]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    name = settings.model if settings.model in PRESETS else Path(settings.model).name
    return model, processor, _describe(model, processor, name, "random weights", notice=RANDOM_NOTICE)


def _describe(
    model: DeepseekVL2ForConditionalGeneration,
    processor: DeepseekVL2Processor,
    name: str,
    source: str,
    *,
    notice: str = "",
    bundled: bool = False,
) -> ModelCard:
    decoder = model.config.language_config
    quantized = model.lm_head.weight.dtype == torch.int8
    total = sum(parameter.numel() for parameter in model.parameters())
    idle = sum(
        parameter.numel() * (decoder.n_routed_experts - decoder.num_experts_per_tok) // decoder.n_routed_experts
        for experts in model.modules()
        if isinstance(experts, Experts)
        for parameter in experts.parameters()
    )
    return ModelCard(
        name=name,
        source=source,
        notice=notice,
        parameters=total,
        active_parameters=total - idle,
        dtype=str(model.config.dtype).removeprefix("torch.") + (" and int8" if quantized else ""),
        device=str(model.device),
        context=decoder.max_position_embeddings,
        geometry=processor.geometry,
        bundled=bundled,
    )
