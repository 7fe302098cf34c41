"""Messages and pictures -> model inputs, exactly as the official processor, and safely from untrusted text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import BPE
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoProcessor, PreTrainedTokenizerFast

from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.errors import CheckpointError, PromptError
from dsvl2_app.text.prompt import ANSWER_TOKENS
from dsvl2_app.text.tokenizer import SPECIAL_TOKENS, add_special_tokens

if TYPE_CHECKING:
    from tests.conftest import Reference

Load = Callable[[str], DeepseekVL2Processor]
EVERYTHING_SAFE: frozenset[str] = frozenset()
BEGIN, END, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"


@pytest.fixture(scope="module")
def processor(load_processor: Load) -> DeepseekVL2Processor:
    """Of one variant: they share their tokenizer."""
    return load_processor("tiny")


@pytest.fixture(scope="module")
def checkpoint(reference_folder: Path) -> Path:
    return reference_folder / "tiny" / "checkpoint"


@pytest.fixture(params=["tiny"])
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((1000, 400)).convert("RGB")


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


# -- parity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["tiny", "small", "base"])
def test_inputs_are_the_official_ones(reference: Reference) -> None:
    for name in ("input_ids", "attention_mask", "images_seq_mask", "images_spatial_crop"):
        assert reference.inputs[name].dtype == reference.arrays[name].dtype, name
        assert torch.equal(reference.inputs[name], reference.arrays[name]), name


def test_tiles_are_the_official_ones(reference: Reference) -> None:
    counts = reference.info["n_tiles"]
    counts = counts if isinstance(counts, list) else [counts]
    if not sum(counts):
        assert "pixel_values" not in reference.inputs
        return
    pixels = reference.inputs["pixel_values"]
    assert pixels.shape == (sum(counts), 3, 384, 384) and pixels.dtype == torch.float32
    for row, tiles in enumerate(pixels.double().split(counts)):
        totals, weights = (reference.arrays[name][row, : len(tiles)] for name in ("tiles_sum", "tiles_abs_sum"))
        assert ((tiles.sum((1, 2, 3)) - totals).abs() <= 1e-5 * weights).all()
        assert ((tiles.abs().sum((1, 2, 3)) - weights).abs() <= 1e-5 * weights).all()


def test_first_tile_is_the_official_one(open_reference: Callable[[str, str], Reference]) -> None:
    wide = open_reference("tiny", "b_wide")
    assert (wide.inputs["pixel_values"][0] - wide.arrays["first_tile"]).abs().max() <= 1e-6


def test_prompts_know_their_images(single: Reference, processor: DeepseekVL2Processor) -> None:
    built = processor.build(single.conversations[0])
    assert len(built.input_ids) == single.info["seq_lens"]
    assert [layout.num_tokens for layout in built.layouts] == single.info["num_image_tokens"]
    assert torch.equal(built.image_mask, single.arrays["images_seq_mask"][0])
    for start, layout in zip(built.starts, built.layouts, strict=True):
        ids = built.input_ids[start : start + layout.num_tokens]
        assert set(ids) == {single.info["tokens"]["image"]}


@pytest.mark.parametrize(
    ("content", "opens"), [("PP", 2), ("P\nP\nwhich?", 2), ("Pand P", 1), ("look: P", 0), ("no picture", 0)]
)
def test_an_opening_ends_where_somebodys_words_begin(
    processor: DeepseekVL2Processor, picture: Image.Image, content: str, opens: int
) -> None:
    """A `P` of the content is a picture."""
    parts = [
        {"type": "image", "image": picture} if part == "P" else {"type": "text", "text": part}
        for part in re.split("(P)", content)
        if part
    ]
    question = user(parts)
    built = processor.build(question)
    assert built.shareable_prefix == (built.starts[opens - 1] + built.layouts[0].num_tokens if opens else 0)
    assert processor.build([{"role": "system", "content": "Be brief."}, *question]).shareable_prefix == 0


def test_grounding_tokens_let_through_give_the_official_ids(single: Reference, processor: DeepseekVL2Processor) -> None:
    built = processor.build(single.conversations[0], allow=frozenset({"<|ref|>", "<|/ref|>"}))
    assert built.input_ids == single.arrays["input_ids"][0].tolist()


def test_rendered_text_is_the_official_one(reference: Reference, processor: DeepseekVL2Processor) -> None:
    """`sft_format` lacks the begin token and writes a space before answers, which never becomes a token."""
    rendered = processor.apply_chat_template(reference.conversations, add_generation_prompt=True)
    official = reference.info["sft_format"]
    official = official if isinstance(official, list) else [official]
    assert rendered == [BEGIN + text.replace("<|Assistant|>: ", "<|Assistant|>:") for text in official]


def test_rendered_text_makes_the_same_inputs(single: Reference, processor: DeepseekVL2Processor) -> None:
    text = processor.apply_chat_template(single.conversations[0], add_generation_prompt=True)
    parts = (part for message in single.conversations[0] for part in message["content"])
    inputs = processor(text=text, images=[part["image"] for part in parts if part["type"] == "image"])
    assert inputs.keys() == single.inputs.keys()
    for name, value in single.inputs.items():
        assert torch.equal(inputs[name], value), name


def test_answers_are_tokenised_by_themselves_in_rendered_text_too(checkpoint: Path) -> None:
    """Large vocabularies have tokens such as `:A`, which the prompt never holds: the answer begins on its own."""
    backend = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    backend["added_tokens"] = []
    joined = backend["model"]["vocab"][":A"] = len(backend["model"]["vocab"])
    backend["model"]["merges"].insert(0, ": A")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(backend)), bos_token=BEGIN, eos_token=END, pad_token=PAD
    )
    processor = DeepseekVL2Processor(tokenizer)
    assert tokenizer.encode(":A", add_special_tokens=False) == [joined]
    messages = [*user("What?"), {"role": "assistant", "content": "A box."}, *user("Where?")]
    ids = processor.build(messages).input_ids
    assert joined not in ids
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    assert processor(text=text)["input_ids"][0].tolist() == ids


# -- apply_chat_template -----------------------------------------------------------------------------------------


def test_plain_content_is_one_text_part(processor: DeepseekVL2Processor) -> None:
    parts = [{"type": "text", "text": "What?"}]
    assert processor.build(user("What?")).input_ids == processor.build(user(parts)).input_ids


def test_interleaved_parts(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    image = {"type": "image", "image": picture}
    parts = [{"type": "text", "text": "Left: "}, image, {"type": "text", "text": " right: "}, image]
    inputs = processor.apply_chat_template(user(parts), tokenize=True, return_dict=True, return_tensors="pt")
    shown = processor.decode([token for token in inputs["input_ids"][0] if token != processor.image_token_id])
    assert shown == f"{BEGIN}<|User|>: Left:  right: \n\n"
    tokens = sum(layout.num_tokens for layout in processor.build(user(parts)).layouts)
    assert int(inputs["images_seq_mask"].sum()) == tokens
    assert inputs["images_spatial_crop"].shape == (1, 2, 2)


def test_what_comes_back(processor: DeepseekVL2Processor) -> None:
    options = dict(add_generation_prompt=True)
    text = processor.apply_chat_template(user("What?"), **options)
    assert text == f"{BEGIN}<|User|>: What?\n\n<|Assistant|>:"
    ids = processor.apply_chat_template(user("What?"), tokenize=True, **options)
    assert ids == processor.build(user("What?")).input_ids and processor.decode(ids) == text
    tensor = processor.apply_chat_template(user("What?"), tokenize=True, return_tensors="pt", **options)
    assert tensor.tolist() == [ids]
    batch = [user("What?"), user("What is this?")]
    assert processor.apply_chat_template(batch[:1], **options) == [text]
    assert processor.apply_chat_template(batch, tokenize=True, **options)[0] == ids
    padded = processor.apply_chat_template(batch, tokenize=True, return_dict=True, return_tensors="pt", **options)
    room = padded["input_ids"].shape[1] - len(ids)
    assert room > 0
    assert padded["input_ids"][0].tolist() == [processor.tokenizer.pad_token_id] * room + ids
    assert padded["attention_mask"][0].tolist() == [False] * room + [True] * len(ids)


def test_answers_open_and_closed(processor: DeepseekVL2Processor) -> None:
    messages = [*user("What?"), {"role": "assistant", "content": "A cup "}]
    start = f"{BEGIN}<|User|>: What?\n\n<|Assistant|>:"
    assert processor.apply_chat_template(messages) == f"{start}A cup{END}"
    assert processor.apply_chat_template(messages, continue_final_message=True) == f"{start}A cup"
    assert processor.apply_chat_template(user("What?")) == f"{BEGIN}<|User|>: What?\n\n"


def test_system_prompt(processor: DeepseekVL2Processor) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *user("What?")]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    assert text == f"{BEGIN}Be brief.\n\n<|User|>: What?\n\n<|Assistant|>:"


def test_tiling_can_be_chosen(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    messages = user([{"type": "image", "image": picture}])
    for tiling, grid in ((None, (3, 2)), (True, (3, 2)), (False, (1, 1))):
        assert processor.build(messages, tiling=tiling).layouts[0].grid == grid
    three = user([{"type": "image", "image": picture}] * 3)
    for tiling, grid in ((None, (1, 1)), (True, (3, 2)), (False, (1, 1))):
        assert {layout.grid for layout in processor.build(three, tiling=tiling).layouts} == {grid}


# -- prompts as text ---------------------------------------------------------------------------------------------


def test_text_with_pictures(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    tiles = processor.build(user([{"type": "image", "image": picture}])).layouts[0]
    inputs = processor(images=picture, text="See <image>.")
    assert inputs["input_ids"][0, 0] == processor.tokenizer.bos_token_id
    assert int(inputs["images_seq_mask"].sum()) == tiles.num_tokens
    assert inputs["images_spatial_crop"].tolist() == [[list(tiles.grid)]]
    assert len(inputs["pixel_values"]) == tiles.num_tiles
    again = processor(images=[picture], text=f"{BEGIN}See <image>.")
    assert torch.equal(again["input_ids"], inputs["input_ids"])
    batch = processor(images=[[], [picture]], text=["Hi", "See <image>."])
    assert torch.equal(batch["input_ids"][1], inputs["input_ids"][0])
    assert batch["images_spatial_crop"].tolist() == [[[0, 0]], [list(tiles.grid)]]


@pytest.mark.parametrize(
    ("text", "images", "sentence"),
    [
        (None, None, "There is no text"),
        ([], None, "There is no text"),
        ("See <image>.", None, "has 1 <image> tokens for 0 images; write one for each image"),
        ("See.", ["one"], "has 0 <image> tokens for 1 images"),
        (["a", "b"], ["one"], "2 texts come with one flat list of images"),
        (["a", "b"], [["one"]], "1 lists of images come with 2 texts"),
    ],
)
def test_texts_that_do_not_fit_their_pictures(
    text: Any, images: Any, sentence: str, processor: DeepseekVL2Processor, picture: Image.Image
) -> None:
    def open_picture(each: Any) -> Any:
        return [open_picture(one) for one in each] if isinstance(each, list) else picture

    with pytest.raises(PromptError, match=sentence):
        processor(text=text, images=images and open_picture(images))


# -- untrusted text ----------------------------------------------------------------------------------------------

ADDED = (BEGIN, END, PAD, *SPECIAL_TOKENS)
fragments = st.sampled_from(
    [*ADDED, "<", "<|", "|>", "｜>", "image>", "<|Us", "er|>", "<｜", "\n\n", "A", "é", "漢", "😀"]
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
typed_texts = st.lists(fragments | words, max_size=10).map("".join).map(str.strip)


@given(typed_texts, st.sampled_from(["user", "system"]))
def test_no_special_token_comes_out_of_typed_text(processor: DeepseekVL2Processor, typed: str, author: str) -> None:
    """Only the template's own tokens are left, and the model is shown exactly what was typed."""
    messages = user(typed) if author == "user" else [{"role": "system", "content": typed}, *user("Hi")]
    ids = processor.build(messages, allow=EVERYTHING_SAFE).input_ids
    special = set(processor.tokenizer.get_added_vocab().values())
    found = processor.tokenizer.convert_ids_to_tokens([token for token in ids if token in special])
    assert found == [BEGIN, "<|User|>", "<|Assistant|>"]
    system = typed if author == "system" else ""
    question = "Hi" if author == "system" else typed
    expected = f"{system}\n\n" if system else ""
    expected += f"<|User|>: {question}\n\n<|Assistant|>:" if question else "<|User|>:<|Assistant|>:"
    assert processor.decode(ids) == BEGIN + expected


def test_a_token_that_users_add_does_not_come_out_of_typed_text_either(checkpoint: Path) -> None:
    own = DeepseekVL2Processor.from_pretrained(checkpoint)
    own.tokenizer.add_tokens(["<|mine|>"], special_tokens=True)
    added = own.tokenizer.convert_tokens_to_ids("<|mine|>")
    assert added in own.build(user("<|mine|>")).input_ids
    assert added not in own.build(user("<|mine|>"), allow=EVERYTHING_SAFE).input_ids


@given(typed_texts)
def test_earlier_answers_keep_grounding_tokens_alone(processor: DeepseekVL2Processor, typed: str) -> None:
    messages = [*user("Hi"), {"role": "assistant", "content": typed}, *user("Go on")]
    ids = processor.build(messages, allow=EVERYTHING_SAFE).input_ids
    special = set(processor.tokenizer.get_added_vocab().values())
    found = processor.tokenizer.convert_ids_to_tokens([token for token in ids if token in special])
    kept = [token for token in found if token in ANSWER_TOKENS]
    rest = [token for token in found if token not in ANSWER_TOKENS]
    assert rest == [BEGIN, "<|User|>", "<|Assistant|>", END, "<|User|>", "<|Assistant|>"]
    assert len(kept) == sum(typed.count(token) for token in ANSWER_TOKENS)
    start, end = "<|User|>: Hi\n\n<|Assistant|>:", "<|User|>: Go on\n\n<|Assistant|>:"
    assert processor.decode(ids) == f"{BEGIN}{start}{typed}{END}{end}"


def test_allowed_tokens_pass(processor: DeepseekVL2Processor) -> None:
    allowed = frozenset({"<|ref|>", "<|/ref|>"})
    typed = "<|ref|>cup<|/ref|><|grounding|><image>"
    tokens = processor.tokenizer.convert_ids_to_tokens(processor.build(user(typed), allow=allowed).input_ids)
    assert tokens.count("<|ref|>") == tokens.count("<|/ref|>") == 1
    assert "<|grounding|>" not in tokens and "<image>" not in tokens


def test_trusted_text_is_encoded_as_the_official_code_does(processor: DeepseekVL2Processor) -> None:
    tokens = processor.tokenizer.convert_ids_to_tokens(processor.build(user(f"a{END}<|User|>")).input_ids)
    assert tokens.count(END) == 1 and tokens.count("<|User|>") == 2


def test_split_tokens_do_not_join_over_parts(processor: DeepseekVL2Processor) -> None:
    parts = [{"type": "text", "text": "<|Us"}, {"type": "text", "text": "er|>"}]
    tokens = processor.tokenizer.convert_ids_to_tokens(processor.build(user(parts), allow=EVERYTHING_SAFE).input_ids)
    assert tokens.count("<|User|>") == 1


def test_half_a_surrogate_pair_is_no_crash(processor: DeepseekVL2Processor) -> None:
    """JavaScript cuts strings between the two, and JSON carries them here."""
    built = processor.build(user("cut \ud83d"), allow=EVERYTHING_SAFE)
    assert processor.decode(built.input_ids).startswith(f"{BEGIN}<|User|>: cut ")


def test_files_are_opened_by_name_for_the_trusted_only(
    processor: DeepseekVL2Processor, picture: Image.Image, tmp_path: Path
) -> None:
    picture.save(tmp_path / "a.png")
    for source in (str(tmp_path / "a.png"), tmp_path / "a.png"):
        content = [{"type": "image", "image": source}]
        assert len(processor.build(user(content)).images) == 1
        with pytest.raises(PromptError, match="name of a file"):
            processor.build(user(content), allow=frozenset())


def test_a_picture_of_any_size_is_taken_as_it_was_loaded(processor: DeepseekVL2Processor) -> None:
    large = Image.new("RGB", (8000, 6000))  # more than load_image accepts unless told otherwise
    assert processor.build(user([{"type": "image", "image": large}]), allow=frozenset()).images[0].open() is large


def test_text_that_cannot_fit_is_not_tokenised(
    processor: DeepseekVL2Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = max(map(len, processor.tokenizer.get_vocab()))
    processor.build(user("a" * (longest * 100 - 40)), context=100)
    monkeypatch.setattr(processor.prompts, "_encode", None)
    with pytest.raises(PromptError, match="characters, more than 100 tokens hold; write less"):
        processor.build(user("a" * longest * 100), context=100)


# -- special tokens ----------------------------------------------------------------------------------------------


def bare_tokenizer(size: int, **special: str) -> PreTrainedTokenizerFast:
    """`size` tokens, without any of ours."""
    vocabulary = {token: number for number, token in enumerate((BEGIN, END, PAD))}
    vocabulary |= {f"word{number}": number for number in range(len(vocabulary), size)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(BPE(vocabulary, [])), bos_token=BEGIN, eos_token=END, **special
    )


@pytest.mark.slow
@pytest.mark.parametrize(("size", "first"), [(128815, 128815), (100003, 100003)], ids=["tiny and base", "small"])
def test_missing_special_tokens_get_the_released_ids(size: int, first: int) -> None:
    tokenizer = bare_tokenizer(size, pad_token=PAD)
    processor = DeepseekVL2Processor(tokenizer)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(first, first + 8))
    assert SPECIAL_TOKENS[0] == "<image>" and SPECIAL_TOKENS[-2:] == ("<|User|>", "<|Assistant|>")
    assert processor.image_token_id == first
    assert len(tokenizer) == size + 8
    assert tokenizer.encode("<|/ref|><|det|>", add_special_tokens=False) == [first + 2, first + 3]


def test_a_pad_token_comes_first_where_there_is_none() -> None:
    tokenizer = bare_tokenizer(50)
    add_special_tokens(tokenizer, "<｜new▁pad｜>")
    assert tokenizer.pad_token_id == 50
    assert tokenizer.convert_tokens_to_ids("<image>") == 51
    known = bare_tokenizer(50)
    add_special_tokens(known, PAD)  # in the vocabulary, only not declared
    assert known.pad_token_id == 2 and known.convert_tokens_to_ids("<image>") == 50


def test_known_special_tokens_stay_where_they_are(processor: DeepseekVL2Processor) -> None:
    before = dict(processor.tokenizer.get_vocab())
    add_special_tokens(processor.tokenizer, PAD)
    assert processor.tokenizer.get_vocab() == before
    assert processor.tokenizer.padding_side == "left"


# -- files -------------------------------------------------------------------------------------------------------


def test_files_come_back(processor: DeepseekVL2Processor, checkpoint: Path, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path)

    def read(folder: Path, name: str) -> Any:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    assert read(tmp_path, "processor_config.json") == read(checkpoint, "processor_config.json")
    saved, official = read(tmp_path, "tokenizer.json"), read(checkpoint, "tokenizer.json")
    for part in ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"):
        assert saved[part] == official[part], part
    assert saved["model"]["vocab"] == official["model"]["vocab"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in saved["model"]["merges"]]
    assert merges == official["model"]["merges"]
    again = DeepseekVL2Processor.from_pretrained(tmp_path)
    assert again.settings == processor.settings and again.geometry == processor.geometry
    typed = "Where is 漢字? <|ref|>x<|/ref|>"
    assert again.build(user(typed)).input_ids == processor.build(user(typed)).input_ids


def test_auto_processor_finds_the_class(checkpoint: Path, processor: DeepseekVL2Processor, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path)
    for folder in (checkpoint, tmp_path):
        assert isinstance(AutoProcessor.from_pretrained(folder), DeepseekVL2Processor)


def test_normalisation_follows_the_settings(processor: DeepseekVL2Processor) -> None:
    tiles = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 3, 1).expand(1, 1, 3, 3)
    torch.testing.assert_close(processor.normalise(tiles)[0, 0, 0], torch.tensor([-1.0, -0.6, 1.0]))
    plain = DeepseekVL2Processor(processor.tokenizer, normalize=False)
    torch.testing.assert_close(plain.normalise(tiles)[0, 0, 0], torch.tensor([0.0, 0.2, 1.0]))
    other = DeepseekVL2Processor(processor.tokenizer, image_mean=(0.2, 0.5, 0.5), image_std=(0.1, 0.5, 0.5))
    torch.testing.assert_close(other.normalise(tiles)[0, 0, 0], torch.tensor([-2.0, 0.0, 8.0]))


class Moves(TorchDispatchMode):
    """Counts tensors that go from one device to another."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.count += func is torch.ops.aten._to_copy.default and result.device != args[0].device
        return result


def test_what_normalises_is_sent_to_a_device_once(processor: DeepseekVL2Processor) -> None:
    """A GPU is waited for each time."""
    fresh, tiles = DeepseekVL2Processor(processor.tokenizer), torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    sent: list[int] = []
    for _ in range(2):
        with Moves() as moves:
            assert fresh.normalise(tiles.to("meta")).shape == (1, 3, 4, 4)
        sent.append(moves.count)
    assert sent == [1 + 2, 1]  # the tiles; mean and deviation with the first


@pytest.mark.parametrize("settings", [{"sft_format": "plain"}, {"image_token": "<img>"}])
def test_settings_that_are_not_understood(settings: dict[str, str], processor: DeepseekVL2Processor) -> None:
    with pytest.raises(CheckpointError, match=f"{next(iter(settings.values()))}.*are known"):
        DeepseekVL2Processor(processor.tokenizer, **settings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("processor_config.json", None),
        ("processor_config.json", "{"),
        ("processor_config.json", "[1]"),
        ("processor_config.json", '{"candidate_resolutions": 5}'),
        ("processor_config.json", '{"candidate_resolutions": []}'),
        ("processor_config.json", '{"patch_size": "many"}'),
        ("tokenizer.json", None),
        ("tokenizer.json", "{"),
        ("tokenizer.json", "{}"),
    ],
)
def test_files_that_cannot_be_used(name: str, content: str | None, checkpoint_copy: Path) -> None:
    (checkpoint_copy / name).unlink()
    if content is not None:
        (checkpoint_copy / name).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError):
        DeepseekVL2Processor.from_pretrained(checkpoint_copy)


def test_saved_tokenizers_are_what_transformers_4_reads(
    processor: DeepseekVL2Processor, checkpoint: Path, tmp_path: Path
) -> None:
    """Whose readers (vLLM, converters) know neither the class nor the fields that transformers 5 writes."""
    files = processor.save_pretrained(tmp_path)
    assert all(Path(file).is_file() for file in files)
    saved, official = (
        json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")) for folder in (tmp_path, checkpoint)
    )
    for name in ("add_bos_token", "add_eos_token", "added_tokens_decoder", "additional_special_tokens"):
        assert saved[name] == official[name], name
    assert saved["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert not {"backend", "is_local", "local_files_only", "extra_special_tokens"} & saved.keys()
    named = json.loads((tmp_path / "special_tokens_map.json").read_text(encoding="utf-8"))
    assert named["additional_special_tokens"] == ["<|User|>", "<|Assistant|>"]
    assert [named[f"{name}_token"] for name in ("bos", "eos", "pad")] == [BEGIN, END, PAD]


def test_flags_of_the_tokenizer_stay(checkpoint_copy: Path, tmp_path: Path) -> None:
    path = checkpoint_copy / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "add_bos_token": True}), encoding="utf-8")
    DeepseekVL2Processor.from_pretrained(checkpoint_copy).save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert (saved["add_bos_token"], saved["add_eos_token"]) == (True, False)
