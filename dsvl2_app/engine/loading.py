"""Settings -> an engine: which folder or repository a name means, on which device and in which dtype."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dsvl2_app import runtime
from dsvl2_app.bundled import NANO
from dsvl2_app.engine.engine import Engine
from dsvl2_app.hub import TEXT_FILES, find_base, find_folder, is_adapter, read_config
from dsvl2_app.inspection.record import NEAREST
from dsvl2_app.model import adapters
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.experts import Experts
from dsvl2_app.model.linear import turn_narrow
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.model.weights import has_weights
from dsvl2_app.request import InspectionCost, ModelCard
from dsvl2_app.runtime.devices import choose_device, choose_device_map, choose_dtype
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor

RANDOM_NOTICE = "These weights are random: everything works and costs what it should, but the words are noise."
MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is known of a model before its weights are there. `source` is a folder or a repository; without one the
    weights are random."""

    config: DeepseekVL2Config
    processor: DeepseekVL2Processor
    card: ModelCard
    device: torch.device
    source: str | Path | None

    @property
    def vocabulary(self) -> int | None:
        """To how many ids random weights are kept: those that the tokenizer can spell."""
        return len(self.processor.tokenizer) if self.source is None else None


def ask_for_large_pages() -> None:
    """Let torch ask Linux for pages of 2 MB, of which a decode step reads weights in three quarters of the time. torch
    looks here once, when it makes its first tensor; who has decided otherwise is left alone."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def look_ahead(settings: Settings) -> Prospect:
    """From configuration and tokenizer, which are fetched where they are elsewhere. Raises CheckpointError where these
    cannot be had, and SettingsError where the device is not there."""
    ask_for_large_pages()
    device, *_ = [choose_device(name) for name in settings.devices or (settings.device,)]
    if settings.load_format == "dummy" or (settings.model == "nano" and not has_weights(NANO)):
        return _look_at_random(settings, device)
    source = NANO if settings.model == "nano" else settings.checkpoint
    given = find_folder(source, TEXT_FILES)
    folder = find_base(given, TEXT_FILES) if is_adapter(given) else given
    config = DeepseekVL2Config(**read_config(folder))
    config.check_supported(str(folder / "config.json"))
    processor = DeepseekVL2Processor.from_pretrained(given)
    bundled = given.resolve() == NANO.resolve()
    name, called = ("nano", "assets/nano") if bundled else (Path(source).name, str(source))
    card = _describe(config, processor, settings, device, name=name, source=called, bundled=bundled)
    return Prospect(config, processor, card, device, source)


def load_engine(settings: Settings, prospect: Prospect | None = None) -> Engine:
    """`prospect` is what `look_ahead` gave, if it was asked. Raises CheckpointError where the model cannot be had and
    SettingsError where a setting cannot be met."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    prospect = prospect or look_ahead(settings)
    processor, card = prospect.processor, prospect.card
    library = runtime.prepare(settings.compile, prospect.device)
    places = choose_device_map(settings.device, prospect.device, _weigh(settings, prospect))
    model = load_model(settings, prospect, places)
    runner = runtime.choose(model, settings.compile, card.context, library)
    return Engine(runner, processor, card, vocabulary=prospect.vocabulary, cache_bytes=settings.cache_mb * MEBIBYTE)


def _weigh(settings: Settings, prospect: Prospect) -> int:
    """Bytes of the weights."""
    dtype = choose_dtype(settings.dtype, prospect.config, prospect.device)
    model = DeepseekVL2ForConditionalGeneration.on_meta(prospect.config, dtype, settings.quantize)
    return sum(parameter.nbytes for parameter in model.parameters())


def load_model(
    settings: Settings, prospect: Prospect, places: torch.device | str | dict[str, Any]
) -> DeepseekVL2ForConditionalGeneration:
    """The model alone, with its weights at `places` (as `device_map` of from_pretrained) in the number format of the
    prospect's device. Raises CheckpointError where it cannot be had."""
    return (_load_random if prospect.source is None else _load)(settings, prospect, places)


def _load(
    settings: Settings, prospect: Prospect, places: torch.device | str | dict[str, Any]
) -> DeepseekVL2ForConditionalGeneration:
    """A checkpoint, or an adapter merged into the one that it adapts."""
    assert prospect.source is not None
    given = find_folder(prospect.source)
    folder = find_base(given) if is_adapter(given) else given
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(
        folder,
        config=prospect.config,
        dtype=choose_dtype(settings.dtype, prospect.config, prospect.device),
        device_map=places,
        quantize=settings.quantize if folder == given else "none",
    )
    if folder != given:
        adapters.load(model, given)
        adapters.merge(model)
        if settings.quantize != "none":
            turn_narrow(model, settings.quantize)
    return model


def _look_at_random(settings: Settings, device: torch.device) -> Prospect:
    """A preset's shapes, or those of a folder's config.json, with random weights and nano's tokenizer."""
    if settings.model in PRESETS:
        config = DeepseekVL2Config.preset(settings.model)
    else:
        config = DeepseekVL2Config(**read_config(find_folder(settings.model, TEXT_FILES)))
    processor = DeepseekVL2Processor(
        DeepseekVL2Processor.from_pretrained(NANO).tokenizer,
        candidate_resolutions=config.candidate_resolutions,
        patch_size=config.vision_config.patch_size,
        downsample_ratio=config.projector_config.downsample_ratio,
    )
    name = settings.model if settings.model in PRESETS else Path(settings.model).name
    card = _describe(config, processor, settings, device, name=name, source="random weights", notice=RANDOM_NOTICE)
    return Prospect(config, processor, card, device, None)


def _load_random(
    settings: Settings, prospect: Prospect, places: torch.device | str | dict[str, Any]
) -> DeepseekVL2ForConditionalGeneration:
    config, tokenizer = prospect.config, prospect.processor.tokenizer
    dtype = choose_dtype(settings.dtype, config, prospect.device)
    model = DeepseekVL2ForConditionalGeneration.from_random(config, dtype, places, quantize=settings.quantize)
    model.generation_config.update(  # pyright: ignore[reportUnknownMemberType]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def _describe(
    config: DeepseekVL2Config,
    processor: DeepseekVL2Processor,
    settings: Settings,
    device: torch.device,
    *,
    name: str,
    source: str,
    notice: str = "",
    bundled: bool = False,
) -> ModelCard:
    """By a model that has no memory, and wide weights: scales of narrow ones are no parameters of the model."""
    dtype, decoder = choose_dtype(settings.dtype, config, device), config.language_config
    model = DeepseekVL2ForConditionalGeneration.on_meta(config, dtype)
    total = sum(parameter.numel() for parameter in model.parameters())
    idle = sum(
        parameter.numel() * (decoder.n_routed_experts - decoder.num_experts_per_tok) // decoder.n_routed_experts
        for experts in model.modules()
        if isinstance(experts, Experts)
        for parameter in experts.parameters()
    )
    place = torch.device("cuda:0") if str(device) == "cuda" else device
    number = str(model.config.dtype).removeprefix("torch.")
    return ModelCard(
        name=name,
        source=source,
        notice=notice,
        parameters=total,
        active_parameters=total - idle,
        dtype=number + (f" and {settings.quantize}" if settings.quantize != "none" else ""),
        device=str(place),
        context=decoder.max_position_embeddings,
        geometry=processor.geometry,
        bundled=bundled,
        inspection=_count_inspection(model),
    )


def _count_inspection(model: DeepseekVL2ForConditionalGeneration) -> InspectionCost:
    decoder = model.config.language_config
    layers, heads = decoder.num_hidden_layers, decoder.num_attention_heads
    mixed = sum(isinstance(module, Experts) for module in model.modules())
    choice = (1 if decoder.n_routed_experts <= 256 else 2) + 2  # an expert and its weight
    cached = layers * decoder.cache_width * model.dtype.itemsize
    choices = mixed * decoder.num_experts_per_tok * choice
    return InspectionCost(cached + choices, 2 * layers * heads, 4 * NEAREST * layers)
