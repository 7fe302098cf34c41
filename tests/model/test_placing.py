"""Which weight goes where: whole onto one device where it fits, else over several, by accelerate."""

from __future__ import annotations

import pytest

from dsvl2_app.errors import SettingsError
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.placing import choose_places, find_place

SIZE = 23_404_832  # nano's bytes in bfloat16, with a router's bias in float32


@pytest.fixture(scope="module")
def nano() -> DeepseekVL2ForConditionalGeneration:
    model = DeepseekVL2ForConditionalGeneration.on_meta(DeepseekVL2Config.preset("nano"), None)
    assert sum(parameter.nbytes for parameter in model.parameters()) == pytest.approx(SIZE, rel=0.01)
    return model


@pytest.mark.parametrize("device", ["cpu", 0, None])
def test_a_device_takes_all(device: str | int | None, nano: DeepseekVL2ForConditionalGeneration) -> None:
    assert choose_places(nano, device) == {"": "cpu" if device is None else device}


@pytest.mark.filterwarnings("ignore")
def test_a_gpu_that_is_large_enough_takes_all(nano: DeepseekVL2ForConditionalGeneration) -> None:
    assert choose_places(nano, "auto", {0: 3 * SIZE, "cpu": 10 * SIZE}) == {"": 0}


@pytest.mark.filterwarnings("ignore")
def test_what_a_gpu_has_no_room_for_stays_in_memory(nano: DeepseekVL2ForConditionalGeneration) -> None:
    places = choose_places(nano, "auto", {0: SIZE // 2, "cpu": 10 * SIZE})
    assert set(places.values()) == {0, "cpu"}
    sizes = {0: 0, "cpu": 0}
    for name, parameter in nano.named_parameters():
        sizes[find_place(name, places)] += parameter.nbytes
    assert 0 < sizes[0] <= SIZE // 2 and sum(sizes.values()) == sum(p.nbytes for p in nano.parameters())


@pytest.mark.filterwarnings("ignore")
def test_too_little_of_everything_is_refused(nano: DeepseekVL2ForConditionalGeneration) -> None:
    with pytest.raises(SettingsError, match="does not fit into the memory given"):
        choose_places(nano, "auto", {0: SIZE // 2, "cpu": SIZE // 4})


def test_a_parameter_without_a_place_is_named() -> None:
    assert find_place("decoder.norm.weight", {"": 0, "decoder": 1, "decoder.norm": "cpu"}) == "cpu"
    assert find_place("decoder.normal", {"": 0, "decoder.norm": "cpu"}) == 0
    with pytest.raises(SettingsError, match=r"device_map has no place for lm_head\.weight"):
        find_place("lm_head.weight", {"decoder": 0})
