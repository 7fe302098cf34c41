from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import bench
from bench import answer, costs, load, memory, roofs, table
from bench.roofs import RoofMeter
from dsvl2_app.__main__ import main
from dsvl2_app.command_flags import add_bench_flags
from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.hub import read_config
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.experts import Experts
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.sections import DecoderConfig
from dsvl2_app.request import Timings

CHECKPOINT = Path(__file__).parents[1] / "reference" / "tiny" / "checkpoint"


def decoder(preset: str) -> DecoderConfig:
    return DeepseekVL2Config.preset(preset).language_config


# The released models by hand: millions of active weights, of these in the output matrix, GB per token in bfloat16,
# KiB of cache per token in bfloat16, GFLOP per prompt token, TFLOP of attention in a prompt of 650.
PUBLISHED = {
    "tiny": (574, 165, 1.15, 60.0, 0.82, 0.013),
    "small": (2451, 210, 4.90, 30.4, 4.48, 0.058),
    "base": (4124, 331, 8.25, 33.8, 7.59, 0.130),
}


@pytest.mark.parametrize("preset", PUBLISHED)
def test_decoder_costs_are_those_worked_out_by_hand(preset: str) -> None:
    config = decoder(preset)
    active, output, gigabytes, cache, per_token, attention = PUBLISHED[preset]
    assert costs.active_weights(config) / 1e6 == pytest.approx(active, abs=0.6)
    assert (costs.active_weights(config) - costs.layer_weights(config)) // 10**6 == pytest.approx(output, abs=1)
    assert costs.decode_bytes(config, 0, torch.bfloat16) / 1e9 == pytest.approx(gigabytes, abs=0.006)
    grown = costs.decode_bytes(config, 1000, torch.bfloat16) - costs.decode_bytes(config, 0, torch.bfloat16)
    assert grown / 1000 / 1024 == pytest.approx(cache, abs=0.06)
    assert costs.prefill_flops(config, 1) / 1e9 == pytest.approx(per_token, abs=0.006)
    quadratic = costs.prefill_flops(config, 650) - 650 * 2 * costs.layer_weights(config)
    assert quadratic / 1e12 == pytest.approx(attention, rel=0.05)


def test_a_released_tile_costs_666_gflop_and_the_adaptor() -> None:
    for preset, adaptor in (("tiny", 2.95), ("small", 5.34), ("base", 7.19)):
        assert costs.tile_flops(DeepseekVL2Config.preset(preset)) / 1e9 == pytest.approx(666.5 + adaptor, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["nano", *PUBLISHED])
def test_active_weights_are_the_models_matrices(preset: str) -> None:
    """Counted on the model itself: all matrices, of the routed experts the share that one token passes."""
    config = DeepseekVL2Config.preset(preset)
    with torch.device("meta"):
        model = DeepseekVL2ForConditionalGeneration(config)
    matrices = [parameter.numel() for parameter in model.decoder.layers.parameters() if parameter.dim() > 1]
    experts = [
        parameter.numel()
        for module in model.modules()
        if isinstance(module, Experts)
        for parameter in module.parameters()
    ]
    language = config.language_config
    share = language.num_experts_per_tok / language.n_routed_experts
    expected = sum(matrices) - sum(experts) * (1 - share) + model.lm_head.weight.numel()
    assert costs.active_weights(language) == pytest.approx(expected, rel=1e-9)


def test_a_compressed_query_counts_both_its_matrices() -> None:
    config = decoder("small")
    config.q_lora_rank = 100
    queries = config.num_attention_heads * config.head_dim
    change = 100 * (config.hidden_size + queries) - config.hidden_size * queries
    assert costs.layer_weights(config) - costs.layer_weights(decoder("small")) == change * config.num_hidden_layers


def test_a_roof_above_the_devices_own_peak_is_an_error_and_no_roof(
    quick_roofs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a virtual machine's clock stood still while its GPU worked."""
    h200 = SimpleNamespace(
        major=9, minor=0, multi_processor_count=132, clock_rate=1_980_000, memory_clock_rate=3_201_000,
        memory_bus_width=6016,
    )  # fmt: skip
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: h200)
    read, matrix = roofs.find_peaks(torch.device("cuda"))
    assert (read, matrix) == (pytest.approx(4.81e12, rel=1e-2), pytest.approx(1.07e15, rel=1e-2))

    meter = RoofMeter(torch.device("cpu"))
    meter.sample()
    before = meter.best
    meter.matrix_peak, meter.read_peak = before.matrix["bfloat16"] / 1e6, before.read / 1e6
    meter.sample()
    assert meter.best == before and len(meter.impossible) == 3
    assert meter.impossible[1].startswith("bfloat16 products at ")
    roofs.Reader(meter).read()
    assert meter.best == before and len(meter.impossible) == 4


def test_roofs_are_positive_and_keep_the_best(quick_roofs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = RoofMeter(torch.device("cpu"), torch.float16)
    meter.sample()
    assert set(meter.best.matrix) == {"bfloat16", "float32", "float16"}
    for rate in (meter.best.read, *meter.best.matrix.values()):
        assert math.isfinite(rate) and rate > 0
    before = meter.best
    monkeypatch.setattr(RoofMeter, "_time", lambda *_: 1e6)  # a very slow moment
    meter.sample()
    assert meter.best == before


def test_peak_memory_covers_what_was_allocated_in_between() -> None:
    if (before := memory.peak_memory()) is None:
        pytest.skip("not Linux")
    with memory.PeakAnonymous() as anonymous:
        block = bytearray(os.urandom(1)) * 50_000_000
        resident = memory._read("RssAnon")
        del block
    assert anonymous.bytes is not None and resident is not None
    assert memory.peak_memory() >= max(before, resident, 50_000_000)


def test_decode_is_judged_by_its_quickest_answer() -> None:
    config = DeepseekVL2Config.preset("tiny")
    slow = answer.Answer(Timings(prompt_tokens=100, new_tokens=3), 1.0, (0.5, 0.7))
    quick = answer.Answer(Timings(prompt_tokens=200, new_tokens=4), 1.0, (0.1, 0.2, 0.9))
    empty = answer.Answer(Timings(prompt_tokens=200, new_tokens=1), 1.0, ())
    judged = answer.judge_decode(config, [slow, quick, empty], torch.bfloat16, 2, roof=1e10)
    assert judged is not None
    assert (judged["seconds_per_token"], judged["fastest"], judged["slowest"]) == (0.2, 0.1, 0.9)
    moved = costs.decode_bytes(config.language_config, 202, torch.bfloat16)
    assert judged["mbu"] == pytest.approx(moved / 0.2 / 1e10)
    assert answer.judge_decode(config, [empty], torch.bfloat16, 2, roof=1e10) is None


def test_the_last_line_of_an_answer_bench_is_json(quick_roofs: None, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bench", "--model", str(CHECKPOINT), "--repeats", "1", "--tokens", "5", "--what", "answer"]
    assert main(argv) == 0
    *shown, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    one = result["answer"]
    assert result["dtype"] == "float32" and result["roofs"]["read"] > 0
    assert (one["vision"]["tiles"], one["decode"]["tokens"]) == (7, 5)
    assert one["prefill"]["tokens"] > 1415  # the picture's and those of the question
    assert 0 < one["first_token"]["seconds"] >= one["vision"]["seconds"] + one["prefill"]["seconds"]
    assert all(one[stage]["mfu"] > 0 for stage in ("vision", "prefill")) and one["decode"]["mbu"] > 0
    assert any("tokens/s" in line for line in shown) and any("GB/s" in line for line in shown)


def test_a_step_for_many_reads_the_experts_that_one_of_them_chose() -> None:
    config = decoder("small")
    one = costs.decode_bytes(config, 0, torch.bfloat16)
    expert = costs.routed_weights(config) * 2
    assert costs.decode_bytes(config, 0, torch.bfloat16, batch=2) - one == pytest.approx(expert * 6 * 58 / 64, rel=1e-6)
    most = costs.decode_bytes(config, 0, torch.bfloat16, batch=10_000)
    assert most - one == pytest.approx(expert * 58, rel=1e-6)
    assert costs.decode_bytes(config, 100, torch.bfloat16, batch=3) > costs.decode_bytes(
        config, 0, torch.bfloat16, 2, 3
    )
    assert costs.decode_bytes(config, 0, torch.bfloat16, weight_bytes=1) == one // 2


@pytest.mark.slow
def test_the_other_parts_of_the_bench(
    quick_roofs: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.decode, "STEPS", 2)
    monkeypatch.setattr(bench.decode, "BATCHES", (1, 3))
    monkeypatch.setattr(bench.decode, "CONTEXT", 40)
    monkeypatch.setattr(bench.agreement, "ANSWERS", 1)
    monkeypatch.setattr(bench.agreement, "EXAMPLES_ASKED", 1)
    argv = ["bench", "--model", str(CHECKPOINT), "--repeats", "1", "--tokens", "12", "--chats", "3"]
    argv += ["--what", "decode", "reuse", "chats", "agreement", "--against", "plain", "int8", "int4"]
    assert main(argv) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    steps = result["decode"]["steps"]
    assert [(step["weights"], step["batch"]) for step in steps] == [
        (weights, batch) for batch in (1, 3) for weights in ("float32", "plain torch", "int8", "int4")
    ]
    assert all(step["mbu"] > 0 for step in steps)
    assert len(result["chats"]["tokens_per_second"]) == 3 and result["chats"]["longest_stall"] > 0
    assert result["reuse"]["fastest"].keys() == {"cold", "follow-up", "same picture", "same picture, other owner"}
    agreement = result["agreement"]
    assert 0.5 < agreement["top1"] == agreement["int8"]["noise"]["top1"] <= 1
    assert all(0 < agreement[kind][about]["top1"] <= 1 for kind in ("int8", "int4") for about in ("noise", "examples"))


def test_a_load_bench_reads_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(load, "in_fresh_process", lambda run, *arguments: run(*arguments))  # which takes seconds
    assert main(["bench", "--what", "load", "--model", str(CHECKPOINT), "--dtype", "bfloat16"]) == 0
    *shown, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)["load"]
    assert (result["what"], result["dtype"]) == ("load", "bfloat16")
    on_disk = (CHECKPOINT / "model.safetensors").stat().st_size  # float32, with a header
    assert on_disk * 0.45 < result["weights"] < on_disk * 0.5
    assert result["target"] == int(result["weights"] * 1.15) + 600_000_000
    if result["peak_memory"]:
        assert result["weights"] < result["peak_memory"] and result["before"] <= result["peak_memory"]
    assert any("target" in line for line in shown)


@pytest.mark.slow
def test_a_load_bench_writes_a_preset_and_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--what", "load", "--model", "nano", "--folder", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])["load"]
    assert result["model"] == "nano"
    if result["peak_memory"] and torch.version.cuda is None:  # CUDA's libraries alone are larger than the allowance
        assert result["peak_memory"] < result["target"]
    assert (tmp_path / "config.json").exists() and list(tmp_path.glob("*.safetensors"))


@pytest.mark.slow
def test_what_goes_wrong_in_the_fresh_process_is_still_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json; give the folder"):
        load.in_fresh_process(read_config, tmp_path)


@pytest.mark.slow
def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(SettingsError, match="smaller model"):
        load.in_fresh_process(os._exit, 1)


def test_times_are_shown_in_the_unit_that_suits_them(capsys: pytest.CaptureFixture[str]) -> None:
    table.show("short", 0.0123, "a", "b")
    table.show("long", 12.3)
    short, long = capsys.readouterr().out.splitlines()
    assert "12.3 ms" in short and short.endswith("b") and long.endswith("12.30 s")
    assert table.gigabytes(None) == "unknown" and table.gigabytes(1_500_000_000) == "1.50 GB"


def test_fewer_than_one_repeat_is_refused() -> None:
    parser = argparse.ArgumentParser()
    add_bench_flags(parser)
    with pytest.raises(SettingsError, match="--repeats is 0"):
        bench.run(parser.parse_args(["--repeats", "0"]))
