"""A model's way from and to a folder in the official layout: from_pretrained, save_pretrained, load_state_dict.

Each honours an option or refuses it by name. Where a tensor of a file belongs is said in `weights`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.hub import HUB_OPTIONS, find_base, find_folder, is_adapter, read_config
from dsvl2_app.model import adapters, saving, weights
from dsvl2_app.model.adapter_names import take_official_layers
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.experts import Router
from dsvl2_app.model.linear import hold_narrow
from dsvl2_app.model.placing import allocate, choose_places, dispatch
from dsvl2_app.model.random_weights import fill_random

if TYPE_CHECKING:
    from typing_extensions import Self

QUANTIZE = ("none", "int8", "int4")
ATTENTION = ("sdpa", "eager")  # fused kernels, or the decoder's weights computed in the open
QUANTIZE_OPTIONS = ("quantization_config", "load_in_4bit", "load_in_8bit")  # transformers' names for other ways
CONFIG_OPTIONS = ("use_cache", "output_attentions", "output_hidden_states", "return_dict")
GENERATION_FILE = "generation_config.json"
# Values that change nothing, because it is so in any case. Auto classes and pipelines pass the last two.
LOADING_FACTS: dict[str, tuple[Any, ...]] = {
    "use_safetensors": (True,),
    "weights_only": (True,),
    "low_cpu_mem_usage": (True, False),
    "trust_remote_code": (True, False),  # a checkpoint's own code is never run
    "ignore_mismatched_sizes": (False,),
    "_from_auto": (True,),
    "_from_pipeline": ("image-text-to-text", "any-to-any", "text-generation"),
}
LOADING_INFO = {"missing_keys": set, "unexpected_keys": set, "mismatched_keys": set, "error_msgs": list}
SAVING_FACTS: dict[str, tuple[Any, ...]] = {
    "push_to_hub": (False,),
    "safe_serialization": (True,),
    "save_original_format": (True,),
    "save_peft_format": (True, False),  # of adapters, which are not saved here
    "distributed_checkpoint": (False,),
}


def refuse_others(what: str, options: Mapping[str, Any], facts: Mapping[str, tuple[Any, ...]] | None = None) -> None:
    """Raise SettingsError that names every option which is neither None nor a fact."""
    others = [
        name
        for name, value in options.items()
        if value is not None and not any(value is fact or value == fact for fact in (facts or {}).get(name, ()))
    ]
    if others:
        named = ", ".join(f"{name}={' '.join(repr(options[name]).split()):.60}" for name in others)
        cure = "correct the name, or leave it out"
        if set(others) <= set(QUANTIZE_OPTIONS):
            cure = "quantize='int8' and 'int4' are what it offers instead"
        raise SettingsError(f"{what} does not take {named}; {cure}.")


class OfficialLayoutModel(PreTrainedModel):
    """What loads from and saves to the official layout, whichever parts of the model it has."""

    config: DeepseekVL2Config
    config_class = DeepseekVL2Config
    unread_keys: ClassVar[tuple[str, ...]] = ()  # official ones of parts that the class does not have

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path | None,
        *,
        config: DeepseekVL2Config | str | Path | None = None,
        dtype: str | torch.dtype | None = None,
        device_map: str | dict[str, Any] | torch.device | None = None,
        max_memory: dict[Any, Any] | None = None,
        quantize: str = "none",
        attn_implementation: str | dict[str, str] | None = None,
        generation_config: GenerationConfig | None = None,
        state_dict: Mapping[str, Tensor] | None = None,
        output_loading_info: bool = False,
        adapter_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Load a folder or hub repository in the official layout; an adapter's is loaded with its base, unmerged.

        `dtype` (or `torch_dtype`) is the checkpoint's unless given. `device_map` is a device, "auto" (spread over what
        is there, through accelerate) or a map of module names to devices. Weights are read straight into place, so
        memory peaks little above their size; with `quantize` "int8" or "int4" the decoder's become that on the way.
        `state_dict` takes the place of the weight files. `attn_implementation` "eager" is the decoder's attention
        without fused kernels. Further options are HUB_OPTIONS and CONFIG_OPTIONS. With `output_loading_info` a
        dictionary of keys that did not fit, always empty, comes with the model. Raises CheckpointError when anything is
        missing, left over or of another shape, and SettingsError when an option is not understood.
        """
        _refuse_meta()
        hub, overrides = _take(options, HUB_OPTIONS), _take(options, CONFIG_OPTIONS)
        dtype = options.pop("torch_dtype", None) or dtype
        refuse_others(f"{cls.__name__}.from_pretrained", options, LOADING_FACTS)
        folder, adapter = _locate(pretrained_model_name_or_path, hub, adapter_kwargs or {})
        if folder is None and (state_dict is None or config is None):
            raise SettingsError("from_pretrained without a folder needs config and state_dict; pass both, or a folder.")
        config = _find_config(config, folder, overrides, attn_implementation)
        model = cls.on_meta(config, dtype, quantize)
        model.name_or_path = config.name_or_path = str(pretrained_model_name_or_path or "")
        model._fill(choose_places(model, device_map, max_memory), folder, state_dict, adapter)
        if model.can_generate():
            model.generation_config = generation_config or _read_generation(model.generation_config, folder)
        return (model, {name: kind() for name, kind in LOADING_INFO.items()}) if output_loading_info else model

    def _fill(
        self, places: Any, folder: Path | None, state_dict: Mapping[str, Tensor] | None, adapter: Path | None
    ) -> None:
        """Weights into place, and an adapter onto them."""
        allocate(self, places)
        if state_dict is not None:
            weights.copy_in(self, state_dict)
        elif folder is not None:
            weights.load(self, folder)
        if adapter is not None:
            adapters.load(self, adapter)
        dispatch(self, places)

    @classmethod
    def from_random(
        cls,
        config: DeepseekVL2Config,
        dtype: str | torch.dtype | None = None,
        device: Any = None,
        seed: int = 0,
        quantize: str = "none",
        max_memory: dict[Any, Any] | None = None,
    ) -> Self:
        """The right shapes with random weights: its answers are noise, its costs are real. `device` may be all that
        `device_map` of `from_pretrained` may be."""
        model = cls.on_meta(config, dtype, quantize)
        places = choose_places(model, device, max_memory)
        allocate(model, places)
        fill_random(model, seed, std=config.language_config.initializer_range)
        dispatch(model, places)
        return model

    @classmethod
    def on_meta(cls, config: DeepseekVL2Config, dtype: Any, quantize: str = "none") -> Self:
        """An evaluation-mode model whose parameters have their dtype but no memory yet."""
        if quantize not in QUANTIZE:
            raise SettingsError(f"quantize is {quantize!r}; choose 'none', 'int8' or 'int4'.")
        config.dtype = _choose_dtype(dtype, config)
        with torch.device("meta"):
            model = cls(config).to(config.dtype)  # pyright: ignore[reportArgumentType] - PreTrainedModel.to is wrapped
        for module in model.modules():
            vars(module)["_is_hf_initialized"] = True  # for `post_init`: values come from elsewhere
            if isinstance(module, Router) and module.bias is not None:
                module.bias.data = module.bias.data.float()
        if quantize != "none":
            hold_narrow(model, quantize)
        return model.eval()

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        max_shard_size: int | str = "5GB",
        **options: Any,
    ) -> None:
        """Write config.json, generation_config.json and safetensors in the official layout and with its keys.

        Of several processes that call it, those with `is_main_process` False write nothing. `state_dict` (our names or
        official ones) takes the place of the model's own weights. Raises SettingsError when an option is not
        understood or the weights are not those of the whole model.
        """
        refuse_others(f"{type(self).__name__}.save_pretrained", options, SAVING_FACTS)
        if not is_main_process:
            return
        tensors = dict(self.named_parameters()) if state_dict is None else state_dict
        if state_dict is None and any(".base_layer." in name for name in tensors):
            raise SettingsError("The model carries an adapter; save that by itself, or merge it first.")
        if kinds := {type(each.data).__name__ for each in tensors.values()} - {"Tensor", "Parameter"}:
            raise SettingsError(f"The model has weights of the kind {min(kinds)}; save it before they are packed.")
        weights.check_whole(self, tensors)
        folder = Path(save_directory)
        size = _count_bytes(max_shard_size)
        self.config.dtype = self.dtype
        saving.save({name: each.detach() for name, each in tensors.items()}, folder, self.dtype, size)
        self.config.architectures = ["DeepseekVLV2ForCausalLM"]  # the name that other engines look for
        self.config.save_pretrained(folder)
        if self.can_generate():
            self.generation_config.save_pretrained(folder)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Official keys are welcome too, as Trainer's checkpoints have them, and official names in adapters."""
        _, _, missing, _, errors = rest
        take_official_layers(self, state_dict, prefix)
        weights.take_official_keys(self, state_dict, prefix, missing, errors)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def load_adapter(
        self, peft_model_id: str | Path | None = None, adapter_name: str | None = None, **options: Any
    ) -> Any:
        """transformers' own, but an adapter's folder alone is read as `from_pretrained` reads it."""
        if peft_model_id is None or options.keys() - {"is_trainable", *HUB_OPTIONS}:
            return super().load_adapter(cast("str | None", peft_model_id), adapter_name, **options)
        trainable = options.pop("is_trainable", False)
        adapters.load(self, find_folder(peft_model_id, **options), adapter_name or "default", trainable)


def _refuse_meta() -> None:
    if torch.get_default_device().type == "meta":
        raise SettingsError("from_pretrained fills no weights on the meta device; call it outside of that context.")


def _take(options: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options.pop(name) for name in names if name in options}


def _locate(
    name: str | Path | None, hub: Mapping[str, Any], adapter_options: Mapping[str, Any]
) -> tuple[Path | None, Path | None]:
    """The folders of the model and of its adapter, if there is one: `name` may be either's."""
    folder, adapter = None if name is None else find_folder(name, **hub), _find_adapter(adapter_options)
    if folder is not None and is_adapter(folder):
        folder, adapter = find_base(folder, **hub), folder
    return folder, adapter


def _find_adapter(options: Mapping[str, Any]) -> Path | None:
    """Where Auto classes found an adapter, if they did, before they turned to its base model."""
    path = options.get("_adapter_model_path")
    hub = {name: options[name] for name in HUB_OPTIONS if options.get(name) is not None}
    return None if path is None else find_folder(path, **hub)


def _find_config(
    config: DeepseekVL2Config | str | Path | None, folder: Path | None, overrides: Mapping[str, Any], attention: Any
) -> DeepseekVL2Config:
    """The configuration given or the folder's, with what the caller asked for besides."""
    if not isinstance(config, DeepseekVL2Config):
        config = DeepseekVL2Config(**read_config(cast("Path", folder) if config is None else find_folder(config)))
    config.check_supported("config.json" if folder is None else str(folder / "config.json"))
    for name, value in overrides.items():
        if value is not None:
            setattr(config, name, value)
    if attention is not None:
        names = set(attention.values() if isinstance(attention, dict) else [attention])
        if not names <= {*ATTENTION, None}:
            raise SettingsError(f"attn_implementation is {attention!r}; choose 'sdpa' or 'eager'.")
        config._attn_implementation = attention  # pyright: ignore[reportAttributeAccessIssue] - a dictionary as well
    return config


def _read_generation(default: GenerationConfig, folder: Path | None) -> GenerationConfig:
    """The folder's generation_config.json, with the token ids of `default` where it has none."""
    if folder is None or not (folder / GENERATION_FILE).exists():
        return default
    try:
        found = GenerationConfig.from_pretrained(folder)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{folder / GENERATION_FILE} cannot be read ({error}); copy it again.") from error
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(found, name) is None:
            setattr(found, name, getattr(default, name))
    return found


def _choose_dtype(dtype: str | torch.dtype | None, config: DeepseekVL2Config) -> torch.dtype:
    if dtype is None or dtype == "auto":
        dtype = config.dtype or torch.float32
    if isinstance(dtype, str):
        dtype = getattr(torch, dtype, None)
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise SettingsError(f"dtype {dtype} is not one that the model runs in; choose float32, bfloat16 or float16.")
    return dtype


def _count_bytes(size: int | str) -> int:
    """`5GB` and the like, in transformers' terms."""
    if isinstance(size, int):
        return size
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B)", size.strip().upper())
    if match is None:
        raise SettingsError(f"max_shard_size is {size!r}; write a number of bytes or one such as '5GB' or '9MB'.")
    return int(float(match[1]) * units[match[2]])
