"""nano from nothing or from a checkpoint: alignment, pretraining, supervised fine-tuning, one command.

    python -m dsvl2_app train --out runs/nano --minutes 240
    python -m dsvl2_app train --out runs/more --minutes 20 --start assets/nano --seed 1
    accelerate launch -m dsvl2_app train --out runs/nano --minutes 20      # several GPUs
    python -m dsvl2_app train --out runs/nano --steps 9000 --accumulate 2  # learns what two GPUs would

A run that was killed resumes from its last checkpoint. In *align* the decoder is frozen, and vision and adaptor learn
to predict what each patch and token shows; in *pretrain* all weights learn, from all text; in *sft* only answers count
and the learning rate falls to zero. A run with --start has *heads* in place of *align*, in which only the heads learn.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from tqdm import tqdm

from dsvl2_app.bundled import NANO
from dsvl2_app.finetune.checkpoint import write_checkpoint
from dsvl2_app.finetune.extras import require
from dsvl2_app.finetune.interrupts import catch_signals
from dsvl2_app.hub import find_folder
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime import use_operations
from dsvl2_app.text.processor import DeepseekVL2Processor
from nano.balance import RouterBalance
from nano.building import build_learner, build_model, build_optimizer, compile_blocks
from nano.coordinates import fold
from nano.curves import draw_curves
from nano.growing import grow_model, grow_tokenizer, keep_some
from nano.lessons import BatchSize, Lessons, load_lessons
from nano.options import check
from nano.packing import Batch
from nano.samples import STAGES, WITH_THINGS
from nano.sharing import average_gradients, sum_up
from nano.stages import FROM_CHECKPOINT, FROM_CHECKPOINT_WITH_THINGS, FROM_NOTHING, Stage
from nano.things.pack import read_training

MIXTURES = STAGES | WITH_THINGS
CHECKPOINT_SECONDS = 200  # with the longest pauses between two steps, a kill costs less than four minutes
WARM_UP_STEPS = 100
CLIP = 1.0
SHARD_SIZE = "9MB"  # a Space takes files up to 10 MB without LFS


@dataclass(slots=True)
class Progress:
    """How far a run is, over all processes and restarts."""

    steps: int = 0
    stage_steps: int = 0
    samples: int = 0
    seconds: float = 0.0
    stage: str = ""


class Run:
    """One training run: what learns, how far it is, and where it is kept."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.accelerator = Accelerator(mixed_precision="bf16" if options.bf16 else "no", cpu=options.cpu)
        self.folder = Path(options.out)
        self.finished = self.folder / "nano"
        start = find_folder(options.start) if options.start else None
        self.pack = read_training(Path(options.things)) if options.things else None
        self.stages = (FROM_CHECKPOINT_WITH_THINGS if self.pack else FROM_CHECKPOINT) if start else FROM_NOTHING
        self.processor = self._choose_processor(start or NANO)
        self.model = build_model(start, options.seed)
        if self.pack:
            grow_model(self.model, len(self.processor.tokenizer))
        torch.manual_seed(options.seed)  # of the heads, which are no part of the model
        self.bare = build_learner(self.model, self.processor, fresh=start is None)
        optimizer = build_optimizer(self.bare, options.rate)
        use_operations(self.bare, self.accelerator.device)
        # not wrapped, which evaluation mode stands for here: see `sharing`
        self.learner = self.accelerator.prepare_model(self.bare, evaluation_mode=True)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        self.balance = RouterBalance(self.model)
        self.progress = Progress()
        if options.compile:
            compile_blocks(self.model)

    def _choose_processor(self, source: Path) -> DeepseekVL2Processor:
        """A copy of the source's tokenizer: weights and tokenizer belong together, whatever becomes of the source."""
        with self.accelerator.main_process_first():
            if not (self.finished / "tokenizer.json").exists():
                DeepseekVL2Processor.from_pretrained(source).save_pretrained(self.finished)
            if self.pack:
                grow_tokenizer(self.finished / "tokenizer.json")
        return DeepseekVL2Processor.from_pretrained(self.finished)

    # -- progress ---------------------------------------------------------------------------------------------

    @property
    def share_done(self) -> float:
        """0 at the start, 1 at the end: by time where minutes were given, else by steps."""
        if self.options.minutes:
            return self.progress.seconds / (60 * self.options.minutes)
        return self.progress.steps / self.options.steps

    @property
    def stage(self) -> Stage | None:
        end = 0.0
        for stage in self.stages:
            end += stage.share
            if self.share_done < end - 1e-9:
                return stage
        return None

    def rate(self, stage: Stage) -> float:
        """What to multiply the full learning rate with: it warms up at each stage's start."""
        warm = min(1.0, (self.progress.stage_steps + 1) / WARM_UP_STEPS)
        return stage.rate * warm * ((1 - self.share_done) / stage.share if stage.decays else 1.0)

    # -- learning ---------------------------------------------------------------------------------------------

    def train(self) -> Path | None:
        """Train to the end and return the finished checkpoint's folder; None when asked to stop before."""
        self.resume()
        options = self.options
        before, started = self.progress.seconds, time.monotonic()
        saved = started
        bar = tqdm(total=1.0, initial=self.share_done, disable=not self.accelerator.is_main_process)
        bar.bar_format = "{percentage:5.1f}% |{bar}| {elapsed} {postfix}"
        with bar, catch_signals() as caught:
            while (stage := self.stage) is not None:
                if stage.name != self.progress.stage:
                    self.progress.stage, self.progress.stage_steps = stage.name, 0
                for batches in self.lessons(stage):
                    share = self.share_done
                    parts = self.learn(batches, stage)
                    count = sum(batch.count for batch in batches)
                    seconds, samples, stop = self._agree(time.monotonic() - started, count, bool(caught))
                    self.progress.seconds = before + seconds
                    self.progress.samples += samples
                    bar.update(min(self.share_done, 1.0) - bar.n)
                    if self.progress.steps % options.log_every == 0:
                        bar.set_postfix_str(self.log(stage, parts))
                    if stop or time.monotonic() - saved > CHECKPOINT_SECONDS:
                        self.save()
                        saved = time.monotonic()
                    if stop:
                        return None
                    if self.stage and int(self.share_done * options.snapshots) > int(share * options.snapshots):
                        self.write(self.folder / f"nano-{self.progress.samples}")
                    if self.stage is not stage:
                        break
        self.save()
        return self.write(self.finished)

    def lessons(self, stage: Stage) -> Iterator[tuple[Batch, ...]]:
        """The batches of each step on this process's device, from the first sample not yet seen. With --accumulate N
        they are those that N times as many processes have."""
        options, accelerator = self.options, self.accelerator
        loaders = [
            load_lessons(self._share(stage, number), options.workers, pin=accelerator.device.type == "cuda")
            for number in range(options.accumulate)
        ]
        for batches in zip(*loaders, strict=True):
            yield tuple(batch.to(accelerator.device) for batch in batches)

    def _share(self, stage: Stage, number: int) -> Lessons:
        """This process's samples for the batch of that number in each step."""
        options, accelerator = self.options, self.accelerator
        return Lessons(
            self.processor,
            MIXTURES[stage.mixture],
            BatchSize(options.rows, options.length, options.tiles),
            stage.question_weight,
            start=self.progress.samples,
            run=options.seed,
            rank=accelerator.process_index * options.accumulate + number,
            world=accelerator.num_processes * options.accumulate,
            pack=self.pack,
        )

    def learn(self, batches: Sequence[Batch], stage: Stage) -> dict[str, Tensor]:
        """One step of the optimizer, by the mean of the batches' gradients; what is told is their mean too."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * self.rate(stage)
        told: list[dict[str, Tensor]] = []
        for batch in batches:
            with self.accelerator.autocast():
                losses = self.learner(
                    batch, speak=stage.speak, look_weight=stage.look_weight, sigma=stage.sigma, rest=stage.rests
                )
            self.accelerator.backward(losses.total / len(batches))
            told.append(losses.parts)
        average_gradients(self.accelerator, self.bare.learning(speak=stage.speak, rest=stage.rests))
        norm = self.accelerator.clip_grad_norm_(self.learner.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        parts = {**average(told), "gradient": norm}
        if stage.speak:
            parts["busiest_expert"] = self.balance.step(self.accelerator)
        self.progress.steps += 1
        self.progress.stage_steps += 1
        return parts

    def _agree(self, seconds: float, samples: int, stop: bool) -> tuple[float, int, bool]:
        """One clock, one count and one decision for all processes, so that they change stages and stop together."""
        processes = self.accelerator.num_processes
        if processes == 1:
            return seconds, samples, stop
        mine = torch.tensor([seconds / processes, samples, stop], device=self.accelerator.device)
        seconds, samples, stop = sum_up(self.accelerator, mine).tolist()
        return seconds, round(samples), stop > 0

    # -- files ------------------------------------------------------------------------------------------------

    def log(self, stage: Stage, parts: dict[str, Tensor]) -> str:
        told = gather_object([{name: float(value) for name, value in parts.items()}])
        values = {name: round(value, 4) for name, value in average(told).items()}
        entry = {
            "stage": stage.name,
            "steps": self.progress.steps,
            "samples": self.progress.samples,
            "seconds": round(self.progress.seconds, 1),
            "rate": self.optimizer.param_groups[0]["lr"],
            "values": values,
        }
        if self.accelerator.is_main_process:
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
        shown = ("answer_loss", "answer_accuracy", "corner_error", "characters_accuracy", "kinds_accuracy", "loss")
        numbers = " ".join(f"{name.replace('_accuracy', '')} {values[name]:.3f}" for name in shown if name in values)
        return f"{stage.name} {self.progress.samples:,} samples {numbers}"

    def save(self) -> None:
        """Replace checkpoint.pt at once: a kill leaves the old one or the new one."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "learner": self.bare.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        torch.save(state, self.folder / "checkpoint.tmp")
        os.replace(self.folder / "checkpoint.tmp", self.folder / "checkpoint.pt")
        if (self.folder / "log.jsonl").exists():
            draw_curves(self.folder / "log.jsonl", self.folder / "curves.png")

    def resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.bare.load_state_dict(state["learner"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.progress = Progress(**state["progress"])

    def write(self, folder: Path) -> Path:
        """A copy in the official layout, in bfloat16, without anything that only training needs."""
        if self.accelerator.is_main_process:
            model = DeepseekVL2ForConditionalGeneration.from_random(copy.deepcopy(self.model.config), "float32", seed=0)
            model.load_state_dict(self._keep_some(fold(self.model)))
            write_checkpoint(model, self.processor, folder, torch.bfloat16, SHARD_SIZE)
        return folder

    def _keep_some(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The mean with those it started from, in which little that these could do is lost (Wortsman et al. 2022)."""
        keep = self.options.keep
        if not (self.options.start and keep):
            return weights
        return keep_some(weights, build_model(find_folder(self.options.start), self.options.seed).state_dict(), keep)


def average(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each value over those that have it."""
    names = dict.fromkeys(name for each in told for name in each)
    there = {name: [each[name] for each in told if name in each] for name in names}
    return {name: sum(values) / len(values) for name, values in there.items()}


def run(flags: argparse.Namespace) -> None:
    """Do what the flags of `train` say."""
    require("matplotlib")
    check(flags)
    finished = Run(flags).train()
    print(f"The finished model is in {finished}." if finished else "Stopped; the same command goes on from here.")
