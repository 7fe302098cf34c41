"""What a caller tells the processor, in the names of transformers: each is honoured or refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from dsvl2_app.errors import SettingsError

GROUPS = ("text_kwargs", "images_kwargs", "common_kwargs")
# Asked of any processor; off is what this one does.
NEVER = (
    "is_split_into_words",
    "return_length",
    "return_mm_token_type_ids",
    "return_offsets_mapping",
    "return_overflowing_tokens",
    "return_special_tokens_mask",
    "return_text_replacement_offsets",
    "return_token_type_ids",
    "load_audio_from_video",
    "sanitize_control_tokens",
)
Padding = Literal["longest", "max_length", "do_not_pad"]
Tensors = Literal["pt", "np"]


@dataclass(frozen=True, slots=True)
class Options:
    """`padding` None is "longest" for tensors, which are rectangles, and "do_not_pad" for lists.

    `truncation` cuts at the end, to `max_length` or the tokenizer's `model_max_length`. `padding_side` None is the
    tokenizer's. `tiling` and `max_tiles` are those of `PromptBuilder.build`.
    """

    padding: Padding | None = None
    padding_side: Literal["left", "right"] | None = None
    truncation: bool = False
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    add_special_tokens: bool = True
    return_attention_mask: bool = True
    return_tensors: Tensors | None = "pt"
    tiling: bool | None = None
    max_tiles: int | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """Raises SettingsError for what is misspelt, given twice, out of range or not offered."""
        values = _flatten(given)
        known = [field.name for field in fields(cls)]
        for name, value in values.items():
            offered = name in known or name == "verbose" or value is None or (name in NEVER and value is False)
            if not offered:
                raise SettingsError(
                    f"The processor does not offer {name!r}; leave it out (it knows {', '.join(known)})."
                )
        kept = {name: value for name, value in values.items() if name in known}
        tensors = kept.pop("return_tensors", "pt")
        read = {name: _READERS.get(name, _read_bool)(name, value) for name, value in kept.items() if value is not None}
        options = cls(**read, return_tensors=_read_tensors(tensors))
        if options.max_length and not options.truncation and options.padding != "max_length":
            raise SettingsError("max_length needs truncation=True or padding='max_length'; give one of them.")
        return options


def _flatten(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options, and groups of them, as one mapping."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        grouped = isinstance(value, Mapping) and name.endswith("_kwargs")
        if grouped and name not in GROUPS and value:
            raise SettingsError(f"The processor takes no {name.removesuffix('_kwargs')}; leave {name} out.")
        group = cast("Mapping[str, Any]", value if grouped else {name: value})
        for inner, option in group.items():
            if inner in values:
                raise SettingsError(f"The option {inner!r} is given twice; give it once.")
            values[inner] = option
    return values


def _read_bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{name} is {value!r}; choose True or False.")
    return value


def _read_count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"{name} is {value!r}; choose a whole number from 1 up.")
    return value


def _read_padding(name: str, value: Any) -> Padding:
    if isinstance(value, bool):
        return "longest" if value else "do_not_pad"
    return _choose(name, value, ("longest", "max_length", "do_not_pad"))


def _read_truncation(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return _choose(name, value, ("longest_first", "only_first", "do_not_truncate")) != "do_not_truncate"


def _read_side(name: str, value: Any) -> Any:
    return _choose(name, value, ("left", "right"))


def _read_tensors(value: Any) -> Tensors | None:
    return None if value is None else _choose("return_tensors", value, ("pt", "np"))


def _choose(name: str, value: Any, choices: tuple[str, ...]) -> Any:
    value = getattr(value, "value", value)  # of transformers' enumerations
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "padding": _read_padding,
    "padding_side": _read_side,
    "truncation": _read_truncation,
    "max_length": _read_count,
    "pad_to_multiple_of": _read_count,
    "max_tiles": _read_count,
}
