"""One decode step on a CPU as a single compiled call (step.h), and where it finds a decoder's weights.

The plain equivalent is the layers' own forward, which is also taken where something stands in a layer's place that
step.h does not know, or a cache is still empty.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import contains, getitem, is_
from typing import Any

import torch
from torch import Tensor, nn

from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention, RMSNorm
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.decoder import Decoder, DecoderLayer
from dsvl2_app.model.experts import MLP, Experts, MixtureOfExperts, Router
from dsvl2_app.model.linear import Embedding, Linear
from dsvl2_app.model.rotary import rotary_frequencies
from dsvl2_app.runtime.cpu.library import (
    KINDS,
    STAGE_BYTES,
    Library,
    Matrix,
    choose_threads,
    count_work,
    describe,
    number,
    pointer,
)
from dsvl2_app.runtime.cpu.products import FEW_ROWS, is_readable

real = ctypes.c_float
KNOWN = (
    *(nn.ModuleList, nn.Embedding, Embedding, nn.Linear, Linear, RMSNorm, MLP, Experts, Router, MixtureOfExperts),
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
        *((name, pointer) for name in ("attention_norm", "mlp_norm", "query_norm", "latent_norm", "bias")),
        *((name, Matrix) for name in ("query", "key", "value", "out", "query_down", "latent", "expand")),
        *((name, Matrix) for name in ("router", "gate_up", "down", "shared_gate_up", "shared_down")),
    )


@dataclass(frozen=True, slots=True)
class DecoderTable:
    """Where the weights of a decoder lay when it was made."""

    fields: DecoderFields
    layers: Any  # array of LayerFields
    frequencies: Tensor
    weights: list[nn.Parameter]
    places: list[int]
    tables: list[dict[str, Any]]  # for each module and weight in another module: where it is registered,
    names: list[str]  # by which name,
    parts: list[Any]  # and itself
    hooks: list[dict[int, Any]]  # all that the modules have
    attributes: list[dict[str, Any]]  # of each module
    stage_bytes: int  # read between two points where threads meet, at the least

    @property
    def holds(self) -> bool:
        """Whether the same weights lie where they lay, and nothing came between the modules since. It is asked at every
        token, so what loops here are functions in C."""
        return (
            list(map(Tensor.data_ptr, self.weights)) == self.places
            and all(map(is_, map(getitem, self.tables, self.names), self.parts))
            and not any(self.hooks)
            and not any(map(contains, self.attributes, repeat("forward")))
        )


class CompiledStep:
    """One token of each of B conversations through a decoder, as one call of `library`."""

    def __init__(self, decoder: Decoder, library: Library) -> None:
        self._decoder, self._library = decoder, library
        self.table: DecoderTable | None = None  # made when it is first needed

    def supports(self, embeds: Tensor, caches: Sequence[KVCache]) -> bool:
        """Embeds [B, 1, D]; every cache holds something already, and every layer is as it was made."""
        return (
            is_readable(embeds, self._decoder.norm.weight)
            and len(embeds) <= FEW_ROWS
            and all(_is_filled(cache.buffers, embeds.dtype) for cache in caches)
            and (self._holds() or _is_known(self._decoder, embeds.dtype))
        )

    def __call__(self, embeds: Tensor, caches: Sequence[KVCache]) -> Tensor:
        """Embeds [B, 1, D] -> normalised hidden states [B, 1, D]; each cache holds a token more."""
        table = self.table = self.table or make_table(self._decoder)
        embeds, hidden = embeds.contiguous(), torch.empty_like(embeds)
        positions = [cache.append() for cache in caches]
        buffers = [
            cache.buffers[layer][part].data_ptr()  # pyright: ignore[reportOptionalSubscript] - filled, see `supports`
            for layer in range(table.fields.layers)
            for part in (0, 1)
            for cache in caches
        ]
        self._library.call(
            "decode",
            ctypes.byref(table.fields),
            table.layers,
            len(positions),
            embeds.data_ptr(),
            (ctypes.c_int64 * len(positions))(*positions),
            (ctypes.c_void_p * len(buffers))(*buffers),
            (ctypes.c_int64 * len(caches))(*(cache.reserved for cache in caches)),
            hidden.data_ptr(),
            threads=choose_threads(table.stage_bytes, STAGE_BYTES),
        )
        return hidden

    def _holds(self) -> bool:
        """Whether there is a table of the decoder as it is now; a stale one is forgotten."""
        if self.table is not None and not self.table.holds:
            self.table = None
        return self.table is not None


def make_table(decoder: Decoder) -> DecoderTable:
    frequencies = rotary_frequencies(decoder.rotary_width, decoder.rotary_theta, torch.device("cpu"))
    layers = (LayerFields * len(decoder.layers))(*map(describe_layer, decoder.layers))
    weights, modules = list(decoder.parameters()), list(decoder.modules())
    registered = [
        (table, name, part)
        for module in modules
        for table in (module._modules, module._parameters)
        for name, part in table.items()
    ]
    tables, names, parts = (list(each) for each in zip(*registered, strict=True))
    return DecoderTable(
        describe_decoder(decoder, frequencies),
        layers,
        frequencies,
        weights,
        [weight.data_ptr() for weight in weights],
        tables,
        names,
        parts,
        [hooks for module in modules for hooks in (module._forward_hooks, module._forward_pre_hooks)],
        [vars(module) for module in modules],
        min(count_work(layer.self_attn.o_proj.weight) for layer in decoder.layers),
    )


def describe_decoder(decoder: Decoder, frequencies: Tensor) -> DecoderFields:
    first = decoder.layers[0].self_attn
    latent = isinstance(first, MultiHeadLatentAttention)
    value = first.value_dim if latent else first.head_dim
    fields = DecoderFields(
        kind=KINDS[decoder.norm.weight.dtype],
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
    router = next((module for module in decoder.modules() if isinstance(module, Router)), None)
    if router is not None:
        fields.active, fields.sigmoid, fields.normalise = router.active, router.sigmoid, router.normalise
        fields.scaling = router.scaling
    return fields


def describe_layer(layer: DecoderLayer) -> LayerFields:
    return LayerFields(
        attention_norm=layer.input_layernorm.weight.data_ptr(),
        mlp_norm=layer.post_attention_layernorm.weight.data_ptr(),
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
