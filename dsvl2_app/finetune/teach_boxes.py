"""The worked example of docs/finetuning.md: pictures of things that nano has never seen, with their boxes.

    python -m dsvl2_app.finetune.teach_boxes draw runs/things          # train.jsonl, held_out.jsonl, pictures/
    python -m dsvl2_app.finetune.teach_boxes measure runs/things/held_out.jsonl [--model runs/things/adapter]

`measure` takes any data whose last answers hold boxes: it asks, and compares the boxes that come back.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
from PIL import Image, ImageDraw
from tqdm import tqdm
from transformers import BatchFeature

from dsvl2_app.bundled import NANO
from dsvl2_app.errors import AppError, PromptError
from dsvl2_app.finetune.conversations import load_images, read_conversations
from dsvl2_app.finetune.objects import write_box
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.text.boxes import overlap, parse_boxes
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.text.prompt import Message

SIDES = (150, 182)  # px, so that a picture is two tiles of nano's
SCALE = 4  # drawn larger, then averaged, for smooth edges
GROUNDS = ("white", "ivory", "lightcyan", "lavender", "honeydew")
INKS = ("firebrick", "navy", "darkgreen", "black", "purple", "saddlebrown")
HELD_OUT_SEED = 1_000_000
MOST_TOKENS = 64  # of an answer
Pixels = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside


def draw_mug(draw: ImageDraw.ImageDraw, x: float, y: float, side: float, ink: str) -> None:
    draw.rounded_rectangle((x, y, x + 0.7 * side, y + 0.9 * side), 0.1 * side, fill=ink)
    draw.ellipse((x + 0.5 * side, y + 0.2 * side, x + side, y + 0.7 * side), outline=ink, width=round(0.1 * side))


def draw_umbrella(draw: ImageDraw.ImageDraw, x: float, y: float, side: float, ink: str) -> None:
    draw.pieslice((x, y, x + side, y + side), 180, 360, fill=ink)
    draw.rectangle((x + 0.46 * side, y + 0.5 * side, x + 0.54 * side, y + 0.9 * side), fill=ink)
    draw.arc((x + 0.26 * side, y + 0.78 * side, x + 0.54 * side, y + side), 0, 180, fill=ink, width=round(0.08 * side))


def draw_block(draw: ImageDraw.ImageDraw, x: float, y: float, side: float, ink: str) -> None:
    draw.rectangle((x, y + 0.2 * side, x + side, y + 0.7 * side), fill=ink)


THINGS = {"mug": draw_mug, "umbrella": draw_umbrella}  # that nano has no word for
OTHERS = {"block": draw_block}  # that are in the pictures too, and never asked for


def render(rng: Random) -> tuple[Image.Image, dict[str, Pixels]]:
    """A picture with one of each, none over another, and the boxes of the things in px."""
    width, height = rng.randint(*SIDES), rng.randint(*SIDES)
    image = Image.new("RGB", (width, height), rng.choice(GROUNDS))
    boxes: dict[str, Pixels] = {}
    drawings = {**THINGS, **OTHERS}
    for name, cell in zip(drawings, rng.sample(range(4), len(drawings)), strict=True):
        side = rng.randint(44, 70)
        x = cell % 2 * width // 2 + rng.randint(0, width // 2 - side)
        y = cell // 2 * height // 2 + rng.randint(0, height // 2 - side)
        mask = Image.new("L", (width * SCALE, height * SCALE))
        drawings[name](ImageDraw.Draw(mask), x * SCALE, y * SCALE, side * SCALE, "white")
        mask = mask.resize(image.size, Image.Resampling.BOX)
        image.paste(rng.choice(INKS), mask=mask)
        box = mask.point([255 * (value > 127) for value in range(256)]).getbbox()
        if name in THINGS and box:
            boxes[name] = box
    return image, boxes


# ---- data ------------------------------------------------------------------------------------------------------


def ask(thing: str, boxes: dict[str, Pixels], size: tuple[int, int], *, first: bool) -> list[Message]:
    """A question in the words of the Grounding tab, and its answer as the model writes boxes."""
    image = "<image>" if first else ""
    answer = f"<|ref|>The {thing}<|/ref|><|det|>{[write_box(*boxes[thing], *size)]}<|/det|>"
    return [
        {"role": "user", "content": f"{image}\n<|ref|>The {thing}<|/ref|>."},
        {"role": "assistant", "content": answer},
    ]


def draw(folder: Path, train: int, held_out: int) -> None:
    """Write `train` pictures that are asked for everything in one conversation each, and `held_out` others that are
    asked for one thing at a time."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for name, first, count in (("train", 0, train), ("held_out", HELD_OUT_SEED, held_out)):
        lines = []
        for seed in range(first, first + count):
            rng = Random(seed)
            image, boxes = render(rng)
            picture = f"pictures/{seed}.png"
            image.save(folder / picture)
            things = rng.sample(sorted(boxes), len(boxes))
            talks = [ask(thing, boxes, image.size, first=True) for thing in things]
            if name == "train":
                more = [ask(thing, boxes, image.size, first=False) for thing in things[1:]]
                talks = [sum(more, start=talks[0])]
            lines += [json.dumps({"messages": talk, "images": [picture]}) + "\n" for talk in talks]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


# ---- measuring -------------------------------------------------------------------------------------------------


def measure(model: Any, processor: DeepseekVL2Processor, data: Path, batch: int = 8) -> list[float]:
    """For each true box in the last answers of `data`, how much of it the likeliest of the model's boxes shares."""
    talks = [load_images(conversation) for conversation in read_conversations(data)]
    overlaps = []
    for start in tqdm(range(0, len(talks), batch), "Asking", leave=False):
        several = talks[start : start + batch]
        for talk, answer in zip(several, answer_all(model, processor, [talk[:-1] for talk in several]), strict=True):
            found = parse_boxes(answer).boxes
            truth = parse_boxes(talk[-1]["content"]).boxes
            overlaps += [max((overlap(box.corners, other.corners) for other in found), default=0.0) for box in truth]
    if not overlaps:
        raise PromptError(f"{data}: no last answer holds a box; measure needs some to compare with.")
    return overlaps


def answer_all(model: Any, processor: DeepseekVL2Processor, questions: Sequence[Sequence[Message]]) -> list[str]:
    """Greedy answers."""
    batch = processor.apply_chat_template(
        questions, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    inputs = cast(BatchFeature, batch).to(model.device, model.dtype)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
    return [processor.decode(row[inputs["input_ids"].shape[1] :], skip_special_tokens=False) for row in output]


def load(source: Path) -> tuple[Any, DeepseekVL2Processor]:
    """A checkpoint, or an adapter of `finetune` on its base, in float32."""
    base, adapter = source, source / "adapter_config.json"
    if adapter.is_file():
        base = Path(json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"])
    model: Any = DeepseekVL2ForConditionalGeneration.from_pretrained(base, dtype="float32")
    if adapter.is_file():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, source)
    return model.eval(), DeepseekVL2Processor.from_pretrained(source)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dsvl2_app.finetune.teach_boxes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw", help="write pictures, train.jsonl and held_out.jsonl")
    drawing.add_argument("folder", type=Path)
    drawing.add_argument("--train", type=int, default=60, metavar="N", help="pictures to learn from (default: 60)")
    drawing.add_argument("--held-out", type=int, default=20, metavar="N", help="and to measure with (default: 20)")
    measuring = commands.add_parser("measure", help="ask about held-out pictures and compare the boxes")
    measuring.add_argument("data", type=Path)
    measuring.add_argument("--model", type=Path, default=NANO, help="a checkpoint or an adapter (default: nano)")
    flags = parser.parse_args(argv)
    try:
        if flags.command == "draw":
            draw(flags.folder, flags.train, flags.held_out)
        else:
            overlaps = measure(*load(flags.model), flags.data)
            found = sum(overlap >= 0.5 for overlap in overlaps)
            print(f"mean IoU {sum(overlaps) / len(overlaps):.2f}, {found} of {len(overlaps)} boxes at 0.5 or more")
    except AppError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
