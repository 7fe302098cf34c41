"""What a request may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from dsvl2_app.errors import SettingsError
from dsvl2_app.request import Sampling


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("temperature", value) for value in (-0.1, 5.1, float("nan"), float("inf"), "1", None)),
        *(("top_p", value) for value in (-0.1, 1.1, float("nan"), None)),
        *(("repetition_penalty", value) for value in (0, 0.05, 11, float("nan"), "1.0")),
        *(("max_new_tokens", value) for value in (0, -1, 1_000_001, 2.5, "10", None)),
        *(("seed", value) for value in (2**64, -(2**70), 1.5, "7")),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=name):
        Sampling(**{name: value})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"temperature": 5, "top_p": 0, "repetition_penalty": 10, "max_new_tokens": 1_000_000},
        {"temperature": 0.0, "top_p": 1.0, "repetition_penalty": 0.1, "max_new_tokens": 1},
        {"seed": 0},
        {"seed": 2**32},
    ],
)
def test_values_in_range_are_kept(values: dict[str, Any]) -> None:
    sampling = Sampling(**values)
    assert {name: getattr(sampling, name) for name in values} == values
