"""LoRA between our names of layers and the official ones.

They differ where layers are fused: `gate_proj` and `up_proj` are the rows of one `gate_up`, and the experts of a layer
are two stacks. LoRA of the parts becomes LoRA of the whole and the other way round, exactly: the factors A stand one
below the other, and B is block diagonal. R rank, D inputs and F outputs of a layer, E experts.
"""

from __future__ import annotations

import copy
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsvl2_app.errors import CheckpointError

NAMES = (  # ours, official
    ("decoder.", "language.model."),
    ("lm_head", "language.lm_head"),
    ("adaptor.mlp.", "projector.layers."),
)
FUSED = {"gate_proj": "gate_up", "up_proj": "gate_up", "down_proj": "down"}  # official, ours
_KEY = re.compile(r"(.+)\.(lora_A|lora_B|lora_magnitude_vector|lora_embedding_A|lora_embedding_B)(?:\.weight)?")
_PART = re.compile(r"(.+?)(?:(?<=\.experts)\.(\d+))?\.(gate_proj|up_proj|down_proj)")


def has_official_names(keys: Iterable[str]) -> bool:
    return any(key.startswith(("language.", "projector.")) for key in keys)


@dataclass(frozen=True, slots=True)
class Layer:
    """LoRA of one layer: A [R, D], B [F, R], the factor of their product, and DoRA's magnitudes [F]."""

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None

    def split(self) -> tuple[Layer, Layer]:
        """Of the first half of the outputs and of the second, with the same A."""
        whole = [None] * 2 if self.magnitude is None else self.magnitude.chunk(2)
        first, second = (Layer(self.a, b, self.scale, part) for b, part in zip(self.b.chunk(2), whole, strict=True))
        return first, second


def join(first: Layer | None, second: Layer | None) -> Layer:
    """LoRA of outputs that stand one below the other, of which one half may have none. Raises ValueError where DoRA
    has one half only."""
    known = [layer for layer in (first, second) if layer is not None]
    dora = [layer.magnitude for layer in known if layer.magnitude is not None]
    if dora and len(dora) < 2:
        raise ValueError("DoRA of gate_proj needs up_proj too, and the other way round")
    magnitude = torch.cat(dora) if dora else None
    if len(known) == 1:
        rest = torch.zeros_like(known[0].b)
        b = torch.cat([rest if layer is None else layer.b for layer in (first, second)])
        return Layer(known[0].a, b, known[0].scale, magnitude)
    one, other = known
    b = other.b * (other.scale / one.scale)
    if one.a.shape == other.a.shape and torch.equal(one.a, other.a):
        return Layer(one.a, torch.cat((one.b, b)), one.scale, magnitude)
    return Layer(torch.cat((one.a, other.a)), torch.block_diag(one.b, b), one.scale, magnitude)


def from_official(config: Any, state: dict[str, Tensor], model: nn.Module) -> tuple[Any, dict[str, Tensor]]:
    """The configuration and weights of a LoRA adapter with official names as one with ours, for the layers of `model`.

    Raises ValueError for other kinds of adapters, and where DoRA has but half of a fused layer.
    """
    layers, others = _read(config, state)
    found: dict[str, Layer | list[Layer]] = {}
    fused: dict[str, dict[int | None, dict[str, Layer]]] = defaultdict(lambda: defaultdict(dict))
    for name, layer in layers.items():
        assert isinstance(layer, Layer)
        if part := _PART.fullmatch(_rename(name, official=False)):
            number = None if part[2] is None else int(part[2])
            fused[f"{part[1]}.{FUSED[part[3]]}"][number][part[3]] = layer
        else:
            found[_rename(name, official=False)] = layer
    for name, members in fused.items():
        whole = {
            number: halves["down_proj"]
            if "down_proj" in halves
            else join(halves.get("gate_proj"), halves.get("up_proj"))
            for number, halves in members.items()
        }
        experts = {number: layer for number, layer in whole.items() if number is not None}
        found[name] = _fill(experts, len(model.get_parameter(name))) if experts else whole[None]
    return _write(config, found, {_rename(key, official=False): tensor for key, tensor in others.items()})


def to_official(config: Any, state: dict[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
    """The configuration and weights of a LoRA adapter with our names as one with official names. Raises ValueError for
    other kinds of adapters."""
    layers, others = _read(config, state)
    found: dict[str, Layer | list[Layer]] = {}
    for name, layer in layers.items():
        stem, _, last = _rename(name, official=True).rpartition(".")
        if last not in FUSED.values():
            found[_rename(name, official=True)] = layer
            continue
        if isinstance(layer, list):
            places = [(f"{stem}.{number}", expert) for number, expert in enumerate(layer)]
        else:
            places = [(stem, layer)]
        for place, one in places:
            if last == "down":
                found[f"{place}.down_proj"] = one
            else:
                found[f"{place}.gate_proj"], found[f"{place}.up_proj"] = one.split()
    return _write(config, found, {_rename(key, official=True): tensor for key, tensor in others.items()})


def take_official_layers(model: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
    """Give the LoRA weights in `state`, which go to `model` and begin with `prefix`, our names of layers. Where peft
    knows no such layer it leaves out the adapter's name, which is that of the newest one.

    Raises CheckpointError where a layer is a part of one of ours, which no renaming makes it fit.
    """
    for key in [key for key in state if key.startswith(prefix) and ".lora_" in key]:
        name = key.removeprefix(prefix)
        if not has_official_names([name]):
            continue
        if _PART.match(_rename(name, official=False)):
            raise CheckpointError(
                f"{name} belongs to a layer that is fused here; load the adapter with from_pretrained or load_adapter "
                "of the model, which put its parts together."
            )
        ours = _rename(name, official=False)
        if match := _KEY.fullmatch(ours):
            adapters = getattr(model.get_submodule(match[1]), match[2], None) or ["default"]
            ours = f"{match[1]}.{match[2]}.{[*adapters][-1]}.weight"
        state[prefix + ours] = state.pop(key)


def _rename(name: str, *, official: bool) -> str:
    """A layer's name, or a key that begins with one, as the other way of naming has it but for fused parts."""
    for ours, theirs in NAMES:
        source, target = (ours, theirs) if official else (theirs, ours)
        if name.startswith(source):
            return target + name.removeprefix(source)
    return name


def _fill(experts: dict[int, Layer], count: int) -> list[Layer]:
    """One for every expert, of one rank and scale; those that learnt nothing get zeros."""
    first = next(iter(experts.values()))
    rank = max(len(layer.a) for layer in experts.values())
    filled = []
    for number in range(count):
        layer = experts.get(number, Layer(first.a[:0], first.b[:, :0], first.scale))
        more = rank - len(layer.a)
        a, b = F.pad(layer.a, (0, 0, 0, more)), F.pad(layer.b * (layer.scale / first.scale), (0, more))
        filled.append(Layer(a, b, first.scale))
    return filled


# -- as peft keeps them --------------------------------------------------------------------------------------------


def _read(config: Any, state: dict[str, Tensor]) -> tuple[dict[str, Layer | list[Layer]], dict[str, Tensor]]:
    """The layers of an adapter by name, a list for a stack of experts; and what else it holds."""
    from peft.utils.other import get_pattern_key

    if config.peft_type != "LORA":
        raise ValueError(f"only names of LoRA are translated, not of {config.peft_type}")
    factors: dict[str, dict[str, Tensor]] = defaultdict(dict)
    others = {}
    for key, tensor in state.items():
        if (match := _KEY.fullmatch(key)) and not match[2].startswith("lora_embedding"):
            factors[match[1]][match[2]] = tensor
        else:
            others[key] = tensor
    layers: dict[str, Layer | list[Layer]] = {}
    for holder, parts in factors.items():
        name = _find_stack(holder, factors, config) or holder
        rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern, name), config.r)
        alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, name), config.lora_alpha)
        scale = alpha / (rank**0.5 if config.use_rslora else rank)
        a, b = parts["lora_A"], parts["lora_B"]
        if name == holder:
            layers[name] = Layer(a, b, scale, parts.get("lora_magnitude_vector"))
        else:  # [E * R, D], [F, R * E]
            each = zip(a.unflatten(0, (-1, rank)), b.unflatten(1, (rank, -1)).unbind(-1), strict=True)
            layers[name] = [Layer(*pair, scale) for pair in each]
    return layers, others


def _find_stack(holder: str, holders: Iterable[str], config: Any) -> str | None:
    """The stack of experts that a key of peft is about. With both of a layer adapted, `down` wraps `gate_up`."""
    stem = holder.removesuffix(".base_layer")
    if not stem.endswith(".experts"):
        return None
    both = f"{stem}.base_layer" in holders
    named = {name.rpartition(".")[2] for name in config.target_parameters or ()}
    return f"{stem}.gate_up" if stem != holder or (not both and named == {"gate_up"}) else f"{stem}.down"


def _write(
    config: Any, layers: dict[str, Layer | list[Layer]], others: dict[str, Tensor]
) -> tuple[Any, dict[str, Tensor]]:
    """The reverse of `_read`, with every layer named in the configuration."""
    state, ranks, alphas = dict(others), {}, {}
    for name, layer in layers.items():
        if isinstance(layer, list):
            one, stem = layer[0], name.rpartition(".")[0]
            inner = name.endswith(".gate_up") and f"{stem}.down" in layers
            holder = f"{stem}.base_layer" if inner else stem
            state[f"{holder}.lora_A.weight"] = torch.cat([expert.a for expert in layer])
            state[f"{holder}.lora_B.weight"] = torch.stack([expert.b for expert in layer], dim=-1).flatten(1)
        else:
            one = layer
            state |= {f"{name}.lora_A.weight": layer.a, f"{name}.lora_B.weight": layer.b}
            if layer.magnitude is not None:
                state[f"{name}.lora_magnitude_vector"] = layer.magnitude
        ranks[name] = len(one.a)
        alphas[name] = one.scale * (ranks[name] ** 0.5 if config.use_rslora else ranks[name])
    embeds = {match[1] for key in others if (match := _KEY.fullmatch(key))}
    new = copy.deepcopy(config)
    new.target_parameters = sorted(name for name, layer in layers.items() if isinstance(layer, list)) or None
    new.target_modules = sorted({*layers, *embeds} - {*(new.target_parameters or ())})
    new.exclude_modules = new.layers_to_transform = new.layers_pattern = None
    for table, default in ((ranks, "r"), (alphas, "lora_alpha")):
        usual = getattr(config, default) if embeds or not table else Counter(table.values()).most_common(1)[0][0]
        setattr(new, default, usual)
        setattr(
            new, "rank_pattern" if table is ranks else "alpha_pattern", {k: v for k, v in table.items() if v != usual}
        )
    return new, state
