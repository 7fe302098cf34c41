"""A checkpoint + one's own conversations -> an adapter (LoRA), or with --merge or --full a whole checkpoint.

    python -m dsvl2_app finetune --model tiny --data conversations.jsonl --out runs/mine
    accelerate launch -m dsvl2_app finetune ...                              # several GPUs

What a line of the data is, `conversations` says. Only what the assistant says is learnt.

LoRA reaches the decoder's attention and its feed-forwards, the shared experts among them. Routed experts are stacks of
matrices, no `nn.Linear`, and `kv_b_proj` is used as a bare matrix in decoding; they rest, as routers and vision do.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import get_linear_schedule_with_warmup

from dsvl2_app.bundled import NANO
from dsvl2_app.errors import SettingsError
from dsvl2_app.hub import find_folder
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.training.checkpoint import write_checkpoint
from dsvl2_app.training.conversations import Conversation, collate, read_conversations
from dsvl2_app.training.extras import require

RATES = {"adapter": 2e-4, "full": 2e-5}
WARM_UP = 0.05  # of all steps
CLIP = 1.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="nano, tiny, small, base, a Hugging Face repo id, or a folder (default: nano)")
    parser.add_argument("--data", required=True, metavar="FILE", help="JSON lines, one conversation each")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for what was learnt and log.jsonl")
    parser.add_argument("--full", action="store_true", help="train every weight instead of an adapter")
    parser.add_argument("--merge", action="store_true", help="write a whole checkpoint with the adapter in it")
    parser.add_argument("--rank", type=int, default=16, metavar="N", help="of the adapter (default: 16)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="times over the data (default: 3)")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="conversations a step (default: 4)")
    parser.add_argument("--rate", type=float, help="learning rate (default: 0.0002, with --full 0.00002)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the order and the first adapter")


def run(flags: argparse.Namespace) -> None:
    """Teach a checkpoint one's own conversations, through LoRA or in full."""
    for name in ("rank", "epochs", "batch"):
        if getattr(flags, name) < 1:
            raise SettingsError(f"--{name} is {getattr(flags, name)}; give at least 1.")
    if not flags.full:
        require("peft")
    settings = Settings.choose(flags, os.environ)
    conversations = read_conversations(Path(flags.data))
    folder = find_folder(NANO if settings.model == "nano" else settings.checkpoint)
    set_seed(flags.seed)
    accelerator = Accelerator(
        mixed_precision="bf16" if torch.cuda.is_available() else "no",
        # a batch without pictures teaches no vision
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    processor = DeepseekVL2Processor.from_pretrained(folder)
    narrow = accelerator.device.type == "cuda" and not flags.full  # what rests needs no float32
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(folder, dtype="bfloat16" if narrow else "float32")
    model.gradient_checkpointing_enable({"use_reentrant": False})
    learner = learn(
        model if flags.full else add_adapter(model, flags.rank), processor, conversations, flags, accelerator
    )
    if accelerator.is_main_process:
        save(learner, processor, folder, flags)
        print(f"What was learnt is in {flags.out}.")


def learn(
    model: nn.Module,
    processor: DeepseekVL2Processor,
    conversations: Sequence[Conversation],
    flags: argparse.Namespace,
    accelerator: Accelerator,
) -> nn.Module:
    """Run all epochs; returns the model without what accelerate put around it."""
    context = model.config.language_config.max_position_embeddings
    loader = DataLoader(
        conversations, flags.batch, shuffle=True, collate_fn=lambda several: collate(several, processor, context)
    )
    rate = flags.rate or RATES["full" if flags.full else "adapter"]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate, weight_decay=0.0)
    model, optimizer, loader = accelerator.prepare(model.train(), optimizer, loader)
    steps = flags.epochs * len(loader)
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARM_UP * steps), steps)
    Path(flags.out).mkdir(parents=True, exist_ok=True)
    with (
        tqdm(total=steps, disable=not accelerator.is_main_process) as bar,
        (Path(flags.out) / "log.jsonl").open("a", encoding="utf-8") as log,
    ):
        for _ in range(flags.epochs):
            for batch in loader:
                loss = model(**batch).loss
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                mean = float(accelerator.reduce(loss.detach(), "mean"))
                bar.set_postfix_str(f"loss {mean:.3f}")
                bar.update()
                if accelerator.is_main_process:
                    log.write(
                        json.dumps({"step": bar.n, "loss": round(mean, 4), "rate": schedule.get_last_lr()[0]}) + "\n"
                    )
    return accelerator.unwrap_model(model).eval()


def add_adapter(model: DeepseekVL2ForConditionalGeneration, rank: int) -> nn.Module:
    from peft import LoraConfig, get_peft_model  # only training needs it

    linear = {name.rpartition(".")[2] for name, part in model.decoder.named_modules() if isinstance(part, nn.Linear)}
    targets = sorted(linear - {"kv_b_proj"})
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))


def save(learner: Any, processor: DeepseekVL2Processor, folder: Path, flags: argparse.Namespace) -> None:
    """An adapter as peft writes it, or a checkpoint like the one in `folder`."""
    if not flags.full and not flags.merge:
        learner.save_pretrained(flags.out, save_embedding_layers=False)
        return
    model = learner if flags.full else learner.merge_and_unload()
    dtype = type(model.config).from_pretrained(folder).dtype or torch.float32
    write_checkpoint(model, processor, Path(flags.out), dtype)
