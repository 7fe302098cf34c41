"""How to sample, as controls and clients say it -> `Sampling`."""

from __future__ import annotations

from typing import Any

from dsvl2_app.errors import SettingsError
from dsvl2_app.request import Sampling


def read_sampling(
    temperature: Any, top_p: Any, repetition_penalty: Any, max_new_tokens: Any, seed: Any, stop_repetition: Any = False
) -> Sampling:
    return Sampling(
        temperature,
        top_p,
        repetition_penalty,
        max_new_tokens=read_whole_number("max_new_tokens", max_new_tokens),
        seed=None if seed in (None, "") else read_whole_number("seed", seed),
        stop_repetition=stop_repetition,
    )


def read_whole_number(name: str, value: Any) -> int:
    try:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise SettingsError("The {name} is {value!r}; choose a whole number.", name=name, value=value) from None
