# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch and transformers leave some of their types open.
"""The tokenizer of a checkpoint: its special tokens, and its files in a form that older releases read too."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, cast

from tokenizers.decoders import ByteLevel
from transformers import AddedToken, PreTrainedTokenizerFast

from dsvl2_app.text import prompt

SPECIAL_TOKENS = (
    prompt.IMAGE_TOKEN,
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    prompt.USER,
    prompt.ASSISTANT,
)
CONFIG_NAME, MAP_NAME = "tokenizer_config.json", "special_tokens_map.json"
# What transformers 5 notes down about how it loaded a tokenizer, which is nobody else's business.
TRACES = ("backend", "is_local", "local_files_only", "extra_special_tokens")
FLAGS = ("add_bos_token", "add_eos_token")  # which transformers 5 leaves out of what it read
TOKEN_FIELDS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
NAMED = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
# Options of from_pretrained that are the tokenizer's.
OPTIONS = (*NAMED, "padding_side", "truncation_side", "model_max_length", "clean_up_tokenization_spaces")


def read_tokenizer(folder: Path, **options: Any) -> PreTrainedTokenizerFast:
    """The raw tokenizer.json: the class named in tokenizer_config.json would put Llama's own rules into it."""
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder, **options)
    path = folder / CONFIG_NAME
    written = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    tokenizer.init_kwargs.update({name: written[name] for name in FLAGS if name in written})
    return tokenizer


def spell(tokenizer: PreTrainedTokenizerFast, token: int) -> bytes:
    """The bytes that a token adds to a text; where its tokenizer cannot tell, those of its text alone."""
    entry = cast("str | None", tokenizer.convert_ids_to_tokens(token))
    if entry is None:  # models have more ids than their tokenizers
        return b""
    if token not in tokenizer.added_tokens_decoder and isinstance(tokenizer.backend_tokenizer.decoder, ByteLevel):
        return bytes(map(_read_bytes().__getitem__, entry))
    return cast("str", tokenizer.decode([token])).encode()


@cache
def _read_bytes() -> dict[str, int]:
    """The characters with which byte-level vocabularies write bytes -> the bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode  # half a second that few need

    return {character: byte for byte, character in bytes_to_unicode().items()}


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> list[str]:
    """As transformers 4 wrote it, which vLLM and converters read; transformers 5 reads it as well."""
    files = list(tokenizer.save_pretrained(folder))
    path = folder / CONFIG_NAME
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in TRACES:
        config.pop(name, None)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config |= {name: tokenizer.init_kwargs.get(name, False) for name in FLAGS}  # without: the prompt has them already
    config["added_tokens_decoder"] = {
        str(number): {name: getattr(token, name) for name in TOKEN_FIELDS}
        for number, token in sorted(tokenizer.added_tokens_decoder.items())
    }
    others = [str(token) for token in cast("list[object]", tokenizer.extra_special_tokens)]
    if others:
        config["additional_special_tokens"] = others
    _dump(config, path)
    named = {name: config[name] for name in NAMED if config.get(name) is not None}
    _dump({**named, **({"additional_special_tokens": others} if others else {})}, folder / MAP_NAME)
    return [*files, str(folder / MAP_NAME)]


def _dump(value: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def add_special_tokens(tokenizer: PreTrainedTokenizerFast, pad_token: str) -> None:
    """Give a tokenizer what it lacks, in the official order, which decides the ids."""
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": pad_token})
    known = tokenizer.get_vocab()
    lacking = [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS if token not in known]
    tokenizer.add_tokens(lacking, special_tokens=True)
    tokenizer.padding_side = "left"
