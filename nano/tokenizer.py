"""Questions and answers -> nano's tokenizer, in the layout of the released ones.

A piece of text is one token if it is a number from 0 to 999 inside a box or a word of the language that questions
and answers are asked in; anything else is written byte by byte. There are no merges, on purpose: a word that is
*read* from a picture is always spelled letter by letter, so that one token stands for one glyph, whatever the word.
For the same reason digits outside a box are single tokens. Both hold because a quoted word is a piece of its own
kind (`"red` is not ` red`) and because the vocabulary takes no word from inside quotes.

    python -m nano.tokenizer runs/tokenizer

makes the tokenizer of a *new* model. The order of the vocabulary follows from how often today's questions hold each
piece, so it changes with every change of a phrasing; weights know their tokens by number. That is why assets/nano's is
never made anew, and why `train` copies the tokenizer of the model that it starts from.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import PreTokenizer

from dsvl2_app.errors import SettingsError
from nano import scenes, tasks
from nano.phrasings import PHRASINGS, expand
from nano.scenes import Level, words
from nano.scenes.scene import COLOURS, SHAPES
from nano.tasks.pictures import compose
from nano.tasks.talk import talk

SIZE = 2560
USUAL = 50  # a piece that occurs so often goes before the words of ENGLISH
LEADING = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>")
TRAILING = (
    "<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<|User|>", "<|Assistant|>",
)  # fmt: skip
CONTEXT = 4096
# Words of everyday English that questions of other people may hold, beyond those that our own questions hold.
_ENGLISH = """
a about after again all also always am an and another any anything are around as ask at away back be because
been before behind best better between both but by came can come could day did different do does doing done
down draw each else end enough even ever every explain far few find first for found four fourth from front full get
give go going good got great had half has have he help her here high him his hold how i if image in inside
into is it its just keep kind know large last left less let like line little long look looks lot low made main
make man many may me mean middle might more most much must my name near need never new next nice no none not
nothing now number of off often old on once one only open or order other our out over own page part people
photo place please point put question read really right same say second see seem sentence set several she
should show side simple since six small so some something sometimes sort start still such sure take ten than
thank that the their them then there these they thing things think third this those three through time to
together too top try two type under until up upper us use used using very want was way we well were what when
where whether which while who why will with without word words work would write wrong year yes yet you your
zero
"""
ENGLISH = tuple(_ENGLISH.split())


def pre_tokenizer() -> PreTokenizer:
    """The released pre-tokenizer with three changes: digits outside a box stand alone, `, ` and `], [` between the
    numbers of a box are one piece each, and only quotation marks stick to the letters after them."""
    in_box = r"(?:(?<=\[)|(?<=, ))\p{N}{1,3}(?=, |\])"
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(rf"{in_box}|\p{{N}}"), "isolated"),
            pre_tokenizers.Split(Regex("[一-龥\u3040-ゟ゠-ヿ]+"), "isolated"),
            pre_tokenizers.Split(
                Regex(
                    r"\], \[|, (?!\S)| ?[\"'][\p{L}\p{M}]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
                ),
                "isolated",
            ),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def count_pieces(scenes_per_family: int = 1500) -> Counter[str]:
    """How often each piece occurs in the questions and answers that training will hold, quotations left out."""
    split = pre_tokenizer()
    pieces: Counter[str] = Counter()
    spoken = {*ENGLISH, *COLOURS, *SHAPES, *re.findall(r"[a-z]+", str(PHRASINGS))}
    written = {word for text in words.WRITTEN for word in text.split() if word.lower() not in spoken}
    written |= {word.lower() for word in written}

    def add(text: str) -> None:
        text = re.sub(r'"[^"]*"', '\0"', text)
        for special in TRAILING:
            text = text.replace(special, "\0")
        for part in re.split(r"\0", text):
            for piece, _ in split.pre_tokenize_str(part):
                if piece.lstrip("Ġ") not in written:
                    pieces[piece] += 1

    for question, answer in collect_turns(scenes_per_family):
        # As it stands in a conversation: at its start and behind an image, and after an earlier answer.
        add(f"{question}\n\n")
        add(f": {question}\n\n")
        add(answer)
    return pieces


def collect_turns(scenes_per_family: int) -> Iterator[tuple[str, str]]:
    """Questions with answers: about scenes of each family, about several pictures, every phrasing, and talk."""
    for family in scenes.FAMILIES:
        for seed in range(scenes_per_family):
            rng = Random(seed)
            for turn in tasks.ask_some(scenes.render(family, rng), rng, 8):
                if turn.kind != "documents.read_all":
                    yield turn.question, turn.answer
    for seed in range(scenes_per_family // 3):
        for turn in compose(Random(seed), Level(), 8)[1]:
            yield turn.question, turn.answer
    rng = Random(0)
    for templates in PHRASINGS.values():
        for template in templates:
            for _ in range(40):
                question = re.sub(r"\[\w+\]", '"x"', expand(rng, template))
                yield question[0].upper() + question[1:], ""
                yield question.lower(), ""
    for _ in range(8000):
        turn = talk(rng)
        yield turn.question, turn.answer


def build(pieces: Counter[str], size: int = SIZE) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*LEADING, *alphabet, *(str(number) for number in range(10, 1000)), ", ".replace(" ", "Ġ"), "],Ġ["]
    known = set(vocabulary)
    ordered = sorted(pieces, key=lambda piece: (-pieces[piece], piece))
    usual = [piece for piece in ordered if pieces[piece] >= USUAL]
    wanted = [*usual, *(f"Ġ{word}" for word in ENGLISH), *ordered[len(usual) :]]
    for piece in wanted:
        if len(vocabulary) == size - len(TRAILING):
            break
        # ` "` is no entry: it would be one token before a digit and two before a letter.
        if piece not in known and not piece.startswith('Ġ"') and not any(map(str.isdigit, piece)):
            vocabulary.append(piece)
            known.add(piece)
    vocabulary += TRAILING
    tokenizer = Tokenizer(
        models.BPE(vocab={piece: number for number, piece in enumerate(vocabulary)}, merges=[], ignore_merges=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*LEADING, *TRAILING])
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and special_tokens_map.json as the released checkpoints have them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))

    def token(content: str) -> dict[str, str | bool]:
        return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}

    bos, eos, pad = LEADING
    named = {"bos_token": bos, "eos_token": eos, "pad_token": pad}
    turns = ["<|User|>", "<|Assistant|>"]
    config = {
        "add_bos_token": False,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(content)): token(content) | {"special": True} for content in (*LEADING, *TRAILING)
        },
        "additional_special_tokens": turns,
        **named,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
        "processor_class": "DeepseekVLV2Processor",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
        "use_default_system_prompt": False,
    }
    special = {"additional_special_tokens": [token(content) for content in turns], **named}
    for name, value in (("tokenizer_config.json", config), ("special_tokens_map.json", special)):
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def make(folder: Path) -> None:
    """Count, build and save; a tokenizer that is there already may have weights that rely on it."""
    if (folder / "tokenizer.json").exists():
        raise SettingsError(f"{folder} has a tokenizer already, and weights may rely on it; give another folder.")
    tokenizer = build(count_pieces())
    save(tokenizer, folder)
    print(f"{tokenizer.get_vocab_size()} entries written to {folder}")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
