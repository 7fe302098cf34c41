"""A whole run in a few tiny steps: stages, files, stopping and going on, and what comes out at its end."""

from __future__ import annotations

import argparse
import json
import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.command_flags import add_train_flags
from dsvl2_app.errors import SettingsError
from nano import train
from nano.lessons import BatchSize, Lessons, find_special_ids
from nano.packing import Encoder, collate
from nano.samples import Mixture, Sample
from nano.stages import FROM_CHECKPOINT, FROM_CHECKPOINT_WITH_THINGS, FROM_NOTHING, Stage
from nano.tasks.turn import Turn
from nano.things.pack import TRAINING, write
from nano.tokenizer import SIZE
from tests.nano.packs import draw_all

STEPS = 8
NORM = "decoder.norm.weight"


def parse(out: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_train_flags(parser)
    small = ["--steps", str(STEPS), "--rows", "1", "--length", "512", "--tiles", "6", "--workers", "0", "--no-bf16"]
    small += ["--log-every", "1"]
    return parser.parse_args(["--out", str(out), "--cpu", *small, *more])


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    config = DeepseekVL2Config.preset("nano")
    config.vision_config.layers, config.language_config.num_hidden_layers = 1, 2
    monkeypatch.setattr(DeepseekVL2Config, "preset", lambda _: config)


def read_log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_and_ends_in_a_model_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    learn = train.Run.learn

    def learn_until_killed(self: train.Run, *given: object) -> dict:
        parts = learn(self, *given)
        if self.progress.steps == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return parts

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(train.Run, "learn", learn_until_killed)
    stopped = train.Run(parse(tmp_path))
    assert stopped.train() is None
    assert signal.getsignal(signal.SIGTERM) is before
    assert stopped.progress.steps == 3 and stopped.progress.samples > 0
    assert not (tmp_path / "nano" / "config.json").exists()

    monkeypatch.setattr(train.Run, "learn", learn)
    again = train.Run(parse(tmp_path, "--seed", "5"))  # what a checkpoint holds, no seed changes
    again.resume()
    assert again.progress == stopped.progress
    assert all(map(torch.equal, stopped.bare.state_dict().values(), again.bare.state_dict().values()))
    folder = again.train()

    entries = read_log(tmp_path)
    assert [entry["steps"] for entry in entries] == list(range(1, STEPS + 1))
    assert [entry["stage"] for entry in entries] == ["align"] * 2 + ["pretrain"] * 4 + ["sft"] * 2
    assert all(before["samples"] < after["samples"] for before, after in pairwise(entries))
    assert "answer_loss" not in entries[0]["values"] and "characters_accuracy" in entries[0]["values"]
    assert {"answer_loss", "corner_error", "busiest_expert", "gradient"} <= entries[-1]["values"].keys()
    assert (tmp_path / "curves.png").exists() and (tmp_path / "checkpoint.pt").exists()

    assert folder == tmp_path / "nano"
    processor = DeepseekVL2Processor.from_pretrained(folder)
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    question = [{"role": "user", "content": "What are you?"}]
    inputs = processor.apply_chat_template(
        question, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert model.generate(**inputs, max_new_tokens=3).shape[1] > inputs["input_ids"].shape[1]


def test_a_run_keeps_the_tokenizer_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = train.Run(parse(tmp_path)).processor.tokenizer.get_vocab()
    monkeypatch.setattr(train, "NANO", tmp_path / "another")
    assert train.Run(parse(tmp_path)).processor.tokenizer.get_vocab() == first


@pytest.mark.slow
@pytest.mark.parametrize("stage", FROM_CHECKPOINT_WITH_THINGS + FROM_NOTHING, ids=lambda stage: stage.name)
def test_processes_share_the_gradients_of_all_that_learns_and_of_nothing_else(tmp_path: Path, stage: Stage):
    run = train.Run(parse(tmp_path))
    look = {"speak": stage.speak, "look_weight": stage.look_weight, "sigma": stage.sigma, "rest": stage.rests}
    mixture = train.MIXTURES[stage.mixture.removesuffix("_things")]
    batch = next(iter(Lessons(run.processor, mixture, BatchSize(2, 1024, 12), stage.question_weight)))
    run.bare(batch, **look).total.backward()
    learning = {id(each) for each in run.bare.learning(speak=stage.speak, rest=stage.rests)}
    given = {id(each) for each in run.bare.parameters() if each.grad is not None}
    assert given <= learning
    forgotten = [name for name, each in run.bare.named_parameters() if id(each) in learning - given]
    unused = {"model.adaptor.tile_newline", "model.adaptor.view_separator"}  # zero gradients leave them as they are
    assert all("experts" in name or (name in unused and not stage.speak) for name in forgotten)


@pytest.mark.slow
def test_a_run_from_a_checkpoint_begins_where_that_ended_and_leaves_snapshots(tmp_path: Path):
    train.Run(parse(tmp_path / "first")).write(tmp_path / "start")
    flags = parse(tmp_path / "second", "--start", str(tmp_path / "start"), "--seed", "1", "--snapshots", "4")
    run = train.Run(flags)
    started = DeepseekVL2ForConditionalGeneration.from_pretrained(tmp_path / "start", dtype="float32")
    assert torch.equal(run.model.decoder.embed_tokens.weight, started.decoder.embed_tokens.weight)
    assert torch.equal(run.model.lm_head.weight, started.lm_head.weight)
    assert all(map(torch.equal, run.model.vision.state_dict().values(), started.vision.state_dict().values()))
    assert run.train() == tmp_path / "second" / "nano"
    assert {entry["stage"] for entry in read_log(tmp_path / "second")} == {stage.name for stage in FROM_CHECKPOINT}
    snapshots = sorted(tmp_path.glob("second/nano-*"), key=lambda folder: int(folder.name.partition("-")[2]))
    assert len(snapshots) == 3  # the fourth is the finished model
    weights = [load_file(next(folder.glob("*.safetensors"))) for folder in snapshots]
    assert weights[0].keys() == weights[2].keys()
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0.0, 0.25, 1.0])
def test_finished_weights_may_keep_a_share_of_those_it_started_from(tmp_path: Path, keep: float):
    train.Run(parse(tmp_path / "first")).write(tmp_path / "start")
    run = train.Run(parse(tmp_path / "second", "--start", str(tmp_path / "start"), "--keep", str(keep)))
    with torch.no_grad():
        run.model.decoder.norm.weight += 1
    run.write(run.finished)
    before, after = (
        DeepseekVL2ForConditionalGeneration.from_pretrained(folder, dtype="float32").state_dict()
        for folder in (tmp_path / "start", run.finished)
    )
    torch.testing.assert_close(after[NORM], before[NORM] + 1 - keep, atol=4e-3, rtol=0)
    assert all(torch.equal(after[name], value) for name, value in before.items() if name != NORM)


@pytest.mark.slow
def test_a_run_that_learns_things_has_words_for_them(tmp_path: Path):
    train.Run(parse(tmp_path / "first")).write(tmp_path / "start")
    write(tmp_path / "pack.zip", *draw_all(), TRAINING)
    flags = ("--start", str(tmp_path / "start"), "--things", str(tmp_path / "pack.zip"), "--keep", "0.25")
    run = train.Run(parse(tmp_path / "second", *flags))
    words = len(run.processor.tokenizer)
    assert words > SIZE + 1000 and run.model.lm_head.out_features == words
    assert run.train() == run.finished
    stages = {stage.name for stage in FROM_CHECKPOINT_WITH_THINGS}
    assert {entry["stage"] for entry in read_log(tmp_path / "second")} == stages
    finished = DeepseekVL2ForConditionalGeneration.from_pretrained(run.finished)
    assert finished.config.language_config.vocab_size == finished.lm_head.out_features == words
    (crocodiles,) = run.processor.tokenizer.encode(" crocodiles", add_special_tokens=False)
    assert crocodiles >= SIZE
    again = train.Run(parse(tmp_path / "second", *flags))  # as after a restart
    assert len(again.processor.tokenizer) == words


def test_things_need_weights_to_start_from(tmp_path: Path):
    with pytest.raises(SettingsError, match="goes with --start"):
        train.run(parse(tmp_path, "--things", "pack.zip"))


@pytest.mark.slow
def test_in_alignment_the_decoder_rests_and_a_batch_without_pictures_teaches(tmp_path: Path):
    run = train.Run(parse(tmp_path))
    align, pretrain, _ = FROM_NOTHING
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.learn(next(run.lessons(align)), align)
    moved = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("vision.blocks") for name in moved)
    assert any(name.startswith("adaptor") for name in moved)
    assert not any(name.startswith("decoder.layers") for name in moved)

    talk = Lessons(run.processor, Mixture(shapes=0, documents=0, talk=1), BatchSize(1, 512, 6), 0.1)
    batch = next(iter(talk))
    assert len(batch.tiles) == 0
    assert run.learn([batch], pretrain)["answer_loss"] > 0


def test_new_heads_learn_while_the_model_rests(tmp_path: Path):
    run = train.Run(parse(tmp_path))
    heads = FROM_CHECKPOINT[0]
    assert heads.rests and not any(stage.rests for stage in (*FROM_NOTHING, *FROM_CHECKPOINT[1:]))
    before = {name: value.clone() for name, value in run.bare.state_dict().items()}
    run.learn(next(run.lessons(heads)), heads)
    moved = {name for name, value in run.bare.state_dict().items() if not torch.equal(value, before[name])}
    assert run.rate(heads) == heads.rate * 2 / train.WARM_UP_STEPS
    assert {name.partition(".")[0] for name in moved} == {"patch_heads", "offset_head", "kind_head", "corner_head"}


def test_the_rate_warms_up_in_each_stage_and_falls_to_zero_in_the_last(tmp_path: Path):
    run = train.Run(parse(tmp_path))
    pretrain, sft = FROM_NOTHING[1:]
    assert run.rate(pretrain) == 1 / train.WARM_UP_STEPS
    run.progress.stage_steps = train.WARM_UP_STEPS
    assert run.rate(pretrain) == 1
    rates = []
    for run.progress.steps in range(round(0.65 * STEPS), STEPS + 1):
        rates.append(run.rate(sft))
    assert rates == sorted(rates, reverse=True) and 0.8 < rates[0] <= 1.1 and rates[-1] == 0


def test_minutes_count_over_restarts(tmp_path: Path):
    run = train.Run(parse(tmp_path, "--minutes", "10"))
    run.progress.steps, run.progress.seconds = 10**6, 60
    assert run.share_done == 0.1 and run.stage is FROM_NOTHING[0]
    run.progress.seconds = 600
    assert run.stage is None


def test_every_matrix_but_the_routers_learns_by_muon(tmp_path: Path):
    run = train.Run(parse(tmp_path))
    muon, adam = (set(map(id, group["params"])) for group in run.optimizer.param_groups)
    names = {id(parameter): name for name, parameter in run.bare.named_parameters() if parameter.requires_grad}
    assert muon | adam == names.keys() and not muon & adam
    assert any("experts.gate_up" in names[key] for key in muon)
    assert not any("router" in names[key] or "embed" in names[key] or "head" in names[key] for key in muon)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("--rows", "0"), ("--steps", "0"), ("--workers", "-1"), ("--minutes", "-2"), ("--seed", "9")),
        *(("--keep", "-0.1"), ("--keep", "1.5"), ("--accumulate", "0"), ("--log-every", "0")),
    ],
)
def test_a_flag_out_of_range_is_named(tmp_path: Path, flag: str, value: str):
    with pytest.raises(SettingsError, match=flag):
        train.run(parse(tmp_path, flag, value))


@pytest.mark.slow
def test_a_batch_without_a_character_teaches(tmp_path: Path):
    run = train.Run(parse(tmp_path))
    align = FROM_NOTHING[0]
    for name, nothing in (("characters", -1), ("order", -1), ("kinds", 0), ("token_boxes", -1)):
        (batch,) = next(run.lessons(align))
        batch.looks[name].fill_(nothing)
        parts = run.learn([batch], align)
        assert all(torch.isfinite(value) for value in parts.values()), name


@pytest.mark.slow
@pytest.mark.parametrize("asked", [True, False])
def test_the_corner_error_is_that_of_answers(tmp_path: Path, asked: bool):
    run = train.Run(parse(tmp_path))
    boxed = "<|ref|>it<|/ref|><|det|>[[10, 20, 300, 400]]<|/det|>"
    turn = Turn(boxed, "Yes.", "shapes.in_box") if asked else Turn("Where?", boxed, "shapes.locate")
    lessons = Lessons(run.processor, Mixture(), BatchSize(1, 512, 6), question_weight=0.1)
    encoder = Encoder(run.processor.tokenizer.encode, 7, find_special_ids(run.processor.tokenizer), 0.1)
    batch = collate([[lessons._encode(Sample((), ((turn,),)), encoder)]], 512)
    assert batch.corners.sum() == 4
    assert bool(run.learn([batch], FROM_NOTHING[1])["corner_error"]) is not asked


def test_a_row_of_nothing_is_padding():
    batch = collate([[]], 8)
    assert batch.count == 0 and not len(batch.targets) and not len(batch.tiles)
