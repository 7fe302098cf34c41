"""One decode step on a CPU as a single compiled call (step.h), and where it finds a decoder's weights.

The plain equivalent is the layers' own forward, which is also taken where something stands in a layer's place that
step.h does not know, or a cache is still empty.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dsvl2_app.model import compiled, kernels
from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention, RMSNorm
from dsvl2_app.model.cache import CacheBatch
from dsvl2_app.model.compiled import Matrix, describe
from dsvl2_app.model.experts import MLP, Experts, MixtureOfExperts, Router
from dsvl2_app.model.linear import Linear
from dsvl2_app.model.rotary import rotary_frequencies

if TYPE_CHECKING:
    from dsvl2_app.model.decoder import Decoder, DecoderLayer

pointer, number, real = ctypes.c_void_p, ctypes.c_long, ctypes.c_float
KNOWN = (
    *(nn.ModuleList, nn.Embedding, nn.Linear, Linear, RMSNorm, MLP, Experts, Router, MixtureOfExperts),
    *(MultiHeadAttention, MultiHeadLatentAttention),
)


class DecoderFields(ctypes.Structure):
    _fields_ = (
        *((name, number) for name in ("kind", "layers", "width", "heads", "groups", "rank")),
        *((name, number) for name in ("nope", "rope", "value", "active", "sigmoid", "normalise")),
        *((name, pointer) for name in ("norm", "frequencies")),
        *((name, real) for name in ("eps", "scale", "scaling")),
    )


class LayerFields(ctypes.Structure):
    _fields_ = (
        *((name, pointer) for name in ("attention_norm", "feed_norm", "query_norm", "latent_norm", "bias")),
        *((name, Matrix) for name in ("query", "key", "value", "out", "query_down", "latent", "expand")),
        *((name, Matrix) for name in ("router", "gate_up", "down", "shared_gate_up", "shared_down")),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the weights of a decoder lay when it was made."""

    decoder: DecoderFields
    layers: Any  # array of LayerFields
    frequencies: Tensor
    weights: list[nn.Parameter]
    places: list[int]
    modules: list[nn.Module]  # but not the decoder, which would then last for ever
    parts: list[tuple[dict[str, Any], str, Any]]  # each module and weight: a module's table, its name there, itself
    stage_bytes: int  # read between two points where threads meet, at the least

    @property
    def holds(self) -> bool:
        """Whether the same weights lie where they lay, and nothing came between the modules since."""
        return (
            [weight.data_ptr() for weight in self.weights] == self.places
            and all(table[name] is part for table, name, part in self.parts)
            and not any(map(_is_hooked, self.modules))
        )


_plans: WeakKeyDictionary[Decoder, Plan] = WeakKeyDictionary()


def fits(decoder: Decoder, embeds: Tensor, caches: CacheBatch) -> bool:
    """Whether the compiled step takes one token of each of these conversations [B, 1, D]."""
    return (
        kernels.fits(embeds, decoder.norm.weight)
        and len(embeds) <= kernels.FEW_ROWS
        and all(_is_filled(cache.buffers, embeds.dtype) for cache in caches.caches)
        and (_holds(decoder) or _is_known(decoder, embeds.dtype))
    )


def decode(decoder: Decoder, embeds: Tensor, caches: CacheBatch) -> Tensor:
    """Embeds [B, 1, D] -> normalised hidden states [B, 1, D]; each cache holds a token more. They fit."""
    plan = _plans.get(decoder)
    if plan is None:
        plan = _plans[decoder] = make_plan(decoder)
    embeds, hidden = embeds.contiguous(), torch.empty_like(embeds)
    positions = [cache.append() for cache in caches.caches]
    buffers = [
        cache.buffers[layer][part].data_ptr()  # pyright: ignore[reportOptionalSubscript] - filled, see `fits`
        for layer in range(plan.decoder.layers)
        for part in (0, 1)
        for cache in caches.caches
    ]
    compiled.decode(
        plan.decoder,
        plan.layers,
        embeds,
        positions,
        buffers,
        [cache.capacity for cache in caches.caches],
        hidden,
        plan.stage_bytes,
    )
    return hidden


def make_plan(decoder: Decoder) -> Plan:
    first = decoder.layers[0].self_attn
    latent = isinstance(first, MultiHeadLatentAttention)
    routers = [module for module in decoder.modules() if isinstance(module, Router)]
    frequencies = rotary_frequencies(decoder.rotary_width, decoder.rotary_theta, torch.device("cpu"))
    value = first.value_dim if latent else first.head_dim
    fields = DecoderFields(
        kind=compiled.KINDS[decoder.norm.weight.dtype],
        layers=len(decoder.layers),
        width=decoder.embed_tokens.embedding_dim,
        heads=first.o_proj.in_features // value,
        groups=1 if latent else first.k_proj.out_features // first.head_dim,
        rank=first.rank if latent else 0,
        nope=first.nope if latent else 0,
        rope=decoder.rotary_width,
        value=value,
        norm=decoder.norm.weight.data_ptr(),
        frequencies=frequencies.data_ptr(),
        eps=decoder.norm.eps,
        scale=first.scale,
    )
    for router in routers[:1]:
        fields.active, fields.sigmoid, fields.normalise = router.active, router.sigmoid, router.normalise
        fields.scaling = router.scaling
    layers = (LayerFields * len(decoder.layers))(*map(describe_layer, decoder.layers))
    weights = list(decoder.parameters())
    places, modules = [weight.data_ptr() for weight in weights], [*decoder.modules()][1:]
    tables = [table for module in modules for table in (module._modules, module._parameters)]
    parts = [(table, name, part) for table in tables for name, part in table.items()]
    stage_bytes = min(layer.self_attn.o_proj.weight.nbytes for layer in decoder.layers)
    return Plan(fields, layers, frequencies, weights, places, modules, parts, stage_bytes)


def describe_layer(layer: DecoderLayer) -> LayerFields:
    return LayerFields(
        attention_norm=layer.input_layernorm.weight.data_ptr(),
        feed_norm=layer.post_attention_layernorm.weight.data_ptr(),
        **dict(_describe_attention(layer.self_attn)),
        **dict(_describe_feed_forward(layer.mlp)),
    )


def _describe_attention(attention: MultiHeadAttention | MultiHeadLatentAttention) -> Iterator[tuple[str, Any]]:
    yield "out", _of(attention.o_proj)
    if isinstance(attention, MultiHeadAttention):
        yield "query", _of(attention.q_proj)
        yield "key", _of(attention.k_proj)
        yield "value", _of(attention.v_proj)
        return
    yield "latent", _of(attention.kv_a_proj_with_mqa)
    yield "latent_norm", attention.kv_a_layernorm.weight.data_ptr()
    yield "expand", describe(attention.kv_b_proj.weight)
    if hasattr(attention, "q_proj"):
        yield "query", _of(attention.q_proj)
    else:
        yield "query_down", _of(attention.q_a_proj)
        yield "query_norm", attention.q_a_layernorm.weight.data_ptr()
        yield "query", _of(attention.q_b_proj)


def _describe_feed_forward(block: MLP | MixtureOfExperts) -> Iterator[tuple[str, Any]]:
    if isinstance(block, MixtureOfExperts):
        yield "router", describe(block.router.weight)
        if block.router.bias is not None:
            yield "bias", block.router.bias.data_ptr()
        yield "gate_up", describe(block.experts.gate_up, block.experts.gate_up_scale)
        yield "down", describe(block.experts.down, block.experts.down_scale)
        shared = block.shared_experts
    else:
        shared = block
    if shared is not None:
        yield "shared_gate_up", _of(shared.gate_up)
        yield "shared_down", _of(shared.down)


def _of(linear: Linear) -> Matrix:
    return describe(linear.weight, linear.weight_scale)


def _is_filled(buffers: list[tuple[Tensor, Tensor] | None], dtype: torch.dtype) -> bool:
    return all(pair is not None and pair[0].dtype == dtype for pair in buffers)


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


def _holds(decoder: Decoder) -> bool:
    """Whether there is a plan of the decoder as it is now; a stale one is forgotten."""
    plan = _plans.get(decoder)
    if plan is None or plan.holds:
        return plan is not None
    del _plans[decoder]
    return False


def _is_known(decoder: Decoder, dtype: torch.dtype) -> bool:
    """Whether every module is one that step.h describes, as it was made here, in formats that it reads."""
    layers = [decoder, *decoder.layers]
    routers = [module for module in decoder.modules() if isinstance(module, Router)]
    return (
        all(type(module) in KNOWN or module in layers for module in decoder.modules())
        and not any(map(_is_hooked, decoder.modules()))
        and all(type(w) is nn.Parameter and w.is_contiguous() and w.is_cpu for w in decoder.parameters())
        and all(router.bias is None or router.bias.dtype == torch.float32 for router in routers)
        and all(norm.weight.dtype == dtype for norm in decoder.modules() if isinstance(norm, RMSNorm))
    )
