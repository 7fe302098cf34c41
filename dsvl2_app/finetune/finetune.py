"""A checkpoint + one's own conversations -> an adapter (LoRA), or with --merge or --full a whole checkpoint.

    python -m dsvl2_app finetune --model tiny --data conversations.jsonl --out runs/mine
    accelerate launch -m dsvl2_app finetune ...                              # several GPUs

What the data may look like, `layouts` says. All of it is checked before the first step: pictures opened, tokens
counted. Only what the assistant says is learnt. What was learnt is saved every ten minutes, at the end, at Ctrl-C and
when anything goes wrong.

LoRA reaches the decoder's attention and its feed-forwards, the shared experts among them. Routed experts are stacks of
matrices, no `nn.Linear`, and `kv_b_proj` is used as a bare matrix in decoding; they rest, as routers and vision do.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import BatchFeature, get_linear_schedule_with_warmup

from dsvl2_app.bundled import NANO
from dsvl2_app.errors import AppError, SettingsError
from dsvl2_app.finetune.checkpoint import write_checkpoint
from dsvl2_app.finetune.conversations import Conversation, check, collate, read_conversations
from dsvl2_app.finetune.extras import require
from dsvl2_app.finetune.interrupts import catch_signals
from dsvl2_app.finetune.keeping import Log, try_to_write, write_somewhere
from dsvl2_app.hub import find_folder, is_adapter
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime import use_operations
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor

if TYPE_CHECKING:
    from peft import PeftModel  # only training needs it

RATES = {"adapter": 2e-4, "full": 2e-5}
WARM_UP = 0.05  # of all steps
CLIP = 1.0
MOST_NAMED = 20  # lines in one sentence
SAVE_SECONDS = 600  # between two times that what was learnt is saved on the way


def run(flags: argparse.Namespace) -> None:
    """Do what the flags of `dsvl2 finetune` say."""
    check_flags(flags)
    settings = Settings.choose(flags, os.environ)
    refused: list[AppError] = []
    conversations = read_conversations(Path(flags.data), flags.images and Path(flags.images), refused)
    folder = find_folder(NANO if settings.model == "nano" else settings.checkpoint)
    if is_adapter(folder):
        raise SettingsError(f"--model {folder} is an adapter; merge it into a checkpoint first, and train that.")
    set_seed(flags.seed)
    accelerator = Accelerator(
        mixed_precision="bf16" if torch.cuda.is_available() else "no",
        # a batch without pictures teaches no vision
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    processor = DeepseekVL2Processor.from_pretrained(folder)
    config = DeepseekVL2Config.from_pretrained(folder)
    context = config.language_config.max_position_embeddings
    conversations = choose(conversations, refused, processor, context, flags, accelerator)
    model = load_model(folder, "bfloat16" if accelerator.device.type == "cuda" and not flags.full else "float32")
    use_operations(model, accelerator.device)
    learner: DeepseekVL2ForConditionalGeneration | PeftModel = model
    if not flags.full:
        named = folder.resolve() if Path(settings.checkpoint).is_dir() or folder == NANO else settings.checkpoint
        learner = add_adapter(model, flags.rank)
        learner.peft_config["default"].base_model_name_or_path = str(named)

    def keep() -> None:
        if accelerator.is_main_process:
            save_on_the_way(learner, processor, folder, flags)

    batches = load_batches(conversations, processor, context, flags.batch)
    stopped = learn(learner, batches, flags, accelerator, keep)
    if accelerator.is_main_process:
        save(learner.eval(), processor, folder, flags)
        print(f"What was learnt is in {flags.out}.")
    if stopped:
        raise KeyboardInterrupt


def check_flags(flags: argparse.Namespace) -> None:
    for name in ("rank", "epochs", "batch"):
        if getattr(flags, name) < 1:
            raise SettingsError(f"--{name} is {getattr(flags, name)}; give at least 1.")
    if flags.rate is not None and not 0 < flags.rate < math.inf:
        raise SettingsError(f"--rate is {flags.rate}; give a number above 0.")
    if not flags.full:
        require("peft")


def load_model(folder: Path, dtype: str) -> DeepseekVL2ForConditionalGeneration:
    """With activation checkpointing. Weights that an adapter leaves as they are can be bfloat16."""
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    # its name since transformers 5.24, and before
    checkpoint = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    checkpoint({"use_reentrant": False})
    return model


def choose(
    conversations: Sequence[Conversation],
    refused: list[AppError],
    processor: DeepseekVL2Processor,
    context: int,
    flags: argparse.Namespace,
    accelerator: Accelerator,
) -> list[Conversation]:
    """The conversations that can be learnt. Raises a SettingsError that names the others, or with --skip-bad tells."""
    main = accelerator.is_main_process
    bar = tqdm(
        check(conversations, processor, context, refused),
        "Checking",
        len(conversations),
        leave=False,
        disable=not main,
        bar_format="{desc} {n_fmt} of {total_fmt}",
    )
    chosen = [conversation for conversation in bar if conversation]
    refused.sort(key=_number)
    if refused and not flags.skip_bad:
        others = ", ".join(str(_number(error)) for error in refused[1 : MOST_NAMED + 1])
        more = f" and {len(refused) - 1 - MOST_NAMED} more" if len(refused) - 1 > MOST_NAMED else ""
        others = f" Nor can number {others}{more}." if others else ""
        raise SettingsError(f"{refused[0]}{others} --skip-bad leaves out what cannot be learnt.")
    for error in refused if main else ():
        print(f"Left out: {error}", file=sys.stderr)
    if not chosen:
        raise SettingsError(f"--data {flags.data} holds nothing that can be learnt.")
    return chosen


def _number(error: AppError) -> int:
    """Of the line that it is about."""
    return int(error.values["place"].rpartition(" ")[2])


def load_batches(
    conversations: Sequence[Conversation], processor: DeepseekVL2Processor, context: int, size: int
) -> DataLoader[BatchFeature]:
    """Model inputs with labels, every epoch in another order."""
    return DataLoader(
        conversations,  # pyright: ignore[reportArgumentType] - any sequence is a dataset
        size,
        shuffle=True,
        collate_fn=lambda several: collate(several, processor, context),
    )


def learn(
    model: nn.Module,
    loader: DataLoader[BatchFeature],
    flags: argparse.Namespace,
    accelerator: Accelerator,
    keep: Callable[[], None],
) -> bool:
    """Run all epochs; whether it was stopped before. Calls `keep` now and then, and before anything is raised."""
    rate = flags.rate or RATES["full" if flags.full else "adapter"]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate, weight_decay=0.0)
    model, optimizer, loader = accelerator.prepare(model.train(), optimizer, loader)
    steps, saved = flags.epochs * len(loader), time.monotonic()
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARM_UP * steps), steps)
    main = accelerator.is_main_process
    with tqdm(total=steps, disable=not main) as bar, Log(flags.out, main) as log, catch_signals() as caught:
        try:
            for step, batch in enumerate((batch for _ in range(flags.epochs) for batch in loader), start=1):
                loss = model(**batch).loss
                mean, stop = accelerator.reduce(torch.stack((loss.detach(), loss.new_tensor(bool(caught)))), "mean")
                if not torch.isfinite(mean):
                    raise SettingsError(f"The loss of step {step} is no number; give a lower --rate than {rate:g}.")
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                bar.set_postfix_str(f"loss {float(mean):.3f}")
                bar.update()
                log.note(step=step, loss=round(float(mean), 4), rate=schedule.get_last_lr()[0])
                if stop:
                    return True
                if time.monotonic() - saved > SAVE_SECONDS:
                    keep()
                    saved = time.monotonic()
        except SettingsError:  # numbers that are none are not worth keeping
            raise
        except BaseException:
            keep()
            raise
    return False


def add_adapter(model: DeepseekVL2ForConditionalGeneration, rank: int) -> PeftModel:
    from peft import LoraConfig, get_peft_model  # only training needs it

    linear = {name.rpartition(".")[2] for name, part in model.decoder.named_modules() if isinstance(part, nn.Linear)}
    targets = sorted(linear - {"kv_b_proj"})
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))


def save(learner: Any, processor: DeepseekVL2Processor, folder: Path, flags: argparse.Namespace) -> None:
    """An adapter as peft writes it, or a checkpoint like the one in `folder`."""
    if not flags.full and not flags.merge:
        write_somewhere(Path(flags.out), lambda out: write_adapter(learner, processor, out))
        return
    model = learner if flags.full else learner.merge_and_unload()
    dtype = type(model.config).from_pretrained(folder).dtype or torch.float32
    write_somewhere(Path(flags.out), lambda out: write_checkpoint(model, processor, out, dtype))


def save_on_the_way(learner: Any, processor: DeepseekVL2Processor, folder: Path, flags: argparse.Namespace) -> None:
    """The same, but training goes on with what it had, and --merge waits: its adapter lies in a folder of its own."""
    if not flags.full:
        out = Path(flags.out, "adapter") if flags.merge else Path(flags.out)
        try_to_write(out, lambda out: write_adapter(learner, processor, out))
        return
    learnt = [(parameter, parameter.data) for parameter in learner.parameters()]
    dtype = type(learner.config).from_pretrained(folder).dtype or torch.float32
    try_to_write(Path(flags.out), lambda out: write_checkpoint(learner, processor, out, dtype))
    for parameter, data in learnt:
        parameter.data = data


def write_adapter(learner: Any, processor: DeepseekVL2Processor, folder: Path) -> None:
    """All that is needed to use it but its base, which adapter_config.json names."""
    learner.save_pretrained(folder, save_embedding_layers=False)
    processor.save_pretrained(folder)
