"""`dsvl2 inspect`: heads of files against the model that is really loaded, here and over HTTP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dsvl2_app.bundled import NANO
from dsvl2_app.checkpoints.headers import read_heads
from dsvl2_app.checkpoints.parts import EXPERTS, find_part
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.weights import official_views
from tests.checkpoints.conftest import Run
from tests.checkpoints.hub import Hub


def inspect(run: Run, *argv: str) -> dict[str, Any]:
    done = run("inspect", *argv, "--json")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


@pytest.mark.slow
def test_the_parts_are_those_of_the_loaded_model(checkpoint: Path, model: Any, variant: str, run: Run) -> None:
    told = inspect(run, str(checkpoint))
    views = official_views(model)
    by_part: dict[str, int] = {}
    for name, view in views.items():
        by_part[find_part(name)] = by_part.get(find_part(name), 0) + view.numel()
    assert {part["name"]: part["numbers"] for part in told["parts"]} == by_part
    assert "other" not in by_part and EXPERTS in by_part
    assert told["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert told["tensors"] == len(views)
    assert told["bytes"] == sum(view.numel() * 4 for view in views.values())
    config = model.config.language_config
    idle = by_part[EXPERTS] * (config.n_routed_experts - config.num_experts_per_tok) // config.n_routed_experts
    assert told["active_parameters"] == told["parameters"] - idle
    assert told["problem"] is None


def test_bytes_are_those_of_the_files() -> None:
    heads = read_heads(str(NANO))
    listed = sum(weight.nbytes for weight in heads.weights)
    on_disk = sum(file.stat().st_size for file in NANO.glob("*.safetensors"))
    assert heads.files == len(list(NANO.glob("*.safetensors")))
    assert 0 < on_disk - listed < 0.02 * on_disk  # the heads


@pytest.mark.slow
@pytest.mark.parametrize(("name", "billions"), [("tiny", 3.37), ("small", 16.1), ("base", 27.5)])
def test_every_weight_of_a_released_model_has_a_part(name: str, billions: float) -> None:
    model = DeepseekVL2ForConditionalGeneration.on_meta(DeepseekVL2Config.preset(name), None)
    views = official_views(model)
    assert all(find_part(key) != "other" for key in views)
    assert sum(view.numel() for view in views.values()) / 1e9 == pytest.approx(billions, rel=0.005)


@pytest.mark.slow
def test_a_repository_is_inspected_without_its_weights(hub: Hub, run: Run, reference_folder: Path) -> None:
    hub.files["model.safetensors"] += bytes(2**20)  # what nobody should read
    told = inspect(run, "tiny")
    there = inspect(run, str(reference_folder / "tiny" / "checkpoint"))
    assert {**told, "model": ""} == {**there, "model": ""}
    assert all(end - first <= 200_000 for name, first, end in hub.ranges if name == "model.safetensors")


@pytest.mark.slow
def test_what_was_fetched_is_inspected_without_a_network(hub: Hub, run: Run) -> None:
    assert run("fetch", "tiny").status == 0
    hub.close()
    assert inspect(run, "tiny")["problem"] is None


@pytest.mark.slow
def test_a_table_for_people(run: Run) -> None:
    done = run("inspect", "nano")
    assert done.status == 0
    assert "6 layers of 256, latent attention, 2,560 tokens" in done.out
    assert "11,673,192" in done.out and "A token passes 9,092,712 of the parameters." in done.out


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["small"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vocab_size": 700}, "asks for (700, 64); use files and config.json of one model"),
        ({"num_hidden_layers": 4}, "lacks language.model.layers.3."),
        ({"num_hidden_layers": 2}, "has language.model.layers.2."),
        ({"hidden_act": "gelu"}, "which this version does not understand"),
    ],
)
def test_weights_that_do_not_fit_are_told_after_the_table(
    change: dict[str, Any], sentence: str, checkpoint_copy: Path, run: Run
) -> None:
    config = json.loads((checkpoint_copy / "config.json").read_text())
    config["language_config"] |= change
    (checkpoint_copy / "config.json").write_text(json.dumps(config))
    done = run("inspect", str(checkpoint_copy))
    assert done.status == 2 and "in all" in done.out
    assert sentence in done.err and len(done.err.splitlines()) == 1
    done = run("inspect", str(checkpoint_copy), "--json")
    assert sentence in json.loads(done.out)["problem"]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["small"])
def test_files_that_cannot_be_read_are_one_sentence(checkpoint_copy: Path, run: Run) -> None:
    weights = checkpoint_copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    done = run("inspect", str(checkpoint_copy))
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "model.safetensors is damaged or incomplete" in done.err
    weights.unlink()
    assert "has no safetensors files" in run("inspect", str(checkpoint_copy)).err
    shutil.rmtree(checkpoint_copy)
    assert "but must be nano, tiny" in run("inspect", "no-such-folder").err


@pytest.mark.slow
def test_a_repository_that_is_not_there(run: Run) -> None:
    done = run("inspect", "some/thing")
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "The hub has no repository some/thing" in done.err


@pytest.mark.slow
def test_a_repository_without_safetensors(hub: Hub, run: Run) -> None:
    del hub.files["model.safetensors"]
    done = run("inspect", "tiny")
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "The weights of deepseek-ai/deepseek-vl2-tiny cannot be read" in done.err
