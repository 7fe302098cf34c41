"""Settings -> an engine: which folder or repository a name means, on which device and in which dtype."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import torch

from dsvl2_app.bundled import NANO
from dsvl2_app.engine.engine import Engine
from dsvl2_app.errors import SettingsError
from dsvl2_app.hub import TEXT_FILES, find_base, find_folder, is_adapter, read_config
from dsvl2_app.model import adapters, compiled
from dsvl2_app.model.configuration import PRESETS, DeepseekVL2Config
from dsvl2_app.model.experts import Experts
from dsvl2_app.model.linear import turn_int8
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.weights import has_weights
from dsvl2_app.request import ModelCard
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor

logger = logging.getLogger(__name__)
RANDOM_NOTICE = "These weights are random: everything works and costs what it should, but the words are noise."
MEBIBYTE = 2**20
NARROW = 1024  # on a CPU, decoders narrower than this are faster in float32 than in bfloat16


def load_engine(settings: Settings) -> Engine:
    """Raises CheckpointError where the model cannot be had and SettingsError where a setting cannot be met."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    build_kernels(settings.compile, device)
    if settings.load_format == "dummy" or (settings.model == "nano" and not has_weights(NANO)):
        return _load_random(settings, device)
    source = NANO if settings.model == "nano" else settings.checkpoint
    given = find_folder(source)
    folder = find_base(given) if is_adapter(given) else given
    config = DeepseekVL2Config(**read_config(folder))
    config.check_supported(str(folder / "config.json"))
    processor = DeepseekVL2Processor.from_pretrained(given)
    several = torch.cuda.device_count() > 1 and settings.device in ("auto", "cuda")
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(
        folder,
        config=config,
        dtype=choose_dtype(settings.dtype, config, device),
        device_map="auto" if several else device,
        quantize=settings.quantize if folder == given else "none",
    )
    if folder != given:
        adapters.load(model, given)
        adapters.merge(model)
        if settings.quantize == "int8":
            turn_int8(model)
    bundled = given.resolve() == NANO.resolve()
    name, source = ("nano", "assets/nano") if bundled else (Path(source).name, str(source))
    model.tile_batch = choose_tile_batch(config, device)
    card = _describe(model, processor, name, source, bundled=bundled)
    return Engine(model, processor, card, cache_bytes=settings.cache_mb * MEBIBYTE)


def _load_random(settings: Settings, device: torch.device) -> Engine:
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
    model.tile_batch = choose_tile_batch(config, device)
    model.generation_config.update(  # pyright: ignore[reportUnknownMemberType]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    name = settings.model if settings.model in PRESETS else Path(settings.model).name
    card = _describe(model, processor, name, "random weights", notice=RANDOM_NOTICE)
    return Engine(model, processor, card, vocabulary=len(tokenizer), cache_bytes=settings.cache_mb * MEBIBYTE)


def build_kernels(when: str, device: torch.device) -> None:
    """ "on": before anything is served; "auto": meanwhile, the first requests run without; "off": not at all."""
    compiled.remove()
    if device.type == "cuda" and when != "off":
        compiled.fuse_on_gpu()
    elif when == "on":
        compiled.build()
    elif when == "auto" and device.type == "cpu":
        threading.Thread(target=_build_meanwhile, name="build kernels", daemon=True).start()


def _build_meanwhile() -> None:
    try:
        compiled.build()
    except SettingsError as error:
        logger.info("Answers come more slowly than they could: %s", error)


def choose_device(name: str) -> torch.device:
    """ "auto" is the first GPU, else Apple's, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    present = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if (device.index or 0) >= present[device.type]:
        raise SettingsError(f"--device {name}: this machine has no such device; use --device auto or cpu.")
    return device


def choose_dtype(name: str, config: DeepseekVL2Config, device: torch.device) -> str | None:
    """The number format to run in; None is the checkpoint's own."""
    if name != "auto":
        return name
    narrow = config.language_config.hidden_size < NARROW
    return "float32" if device.type == "cpu" and narrow else None


def choose_tile_batch(config: DeepseekVL2Config, device: torch.device) -> int:
    """Tiles that are one piece of work: a GPU is idle with few, a CPU takes a second for one of the released size."""
    if device.type == "cpu":
        return 1 if config.vision_config.width >= NARROW else 4
    return 16


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
