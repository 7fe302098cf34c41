"""What callers tell the processor: honoured to the token, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image
from transformers import AutoProcessor, TensorType
from transformers.utils import PaddingStrategy, hub

from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.text.options import Options

TEXTS = ["a", "a longer text than that"]


@pytest.fixture(scope="module")
def processor(load_processor: Callable[[str], DeepseekVL2Processor]) -> DeepseekVL2Processor:
    return load_processor("tiny")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((500, 300)).convert("RGB")


@pytest.fixture(scope="module")
def rows(processor: DeepseekVL2Processor) -> list[list[int]]:
    """The ids of each of TEXTS, tokenised alone."""
    return [[0, *processor.tokenizer.encode(text, add_special_tokens=False)] for text in TEXTS]


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def test_padding(processor: DeepseekVL2Processor, rows: list[list[int]]) -> None:
    pad, longest = processor.tokenizer.pad_token_id, len(rows[1])
    room = [pad] * (longest - len(rows[0]))
    assert processor(text=TEXTS)["input_ids"].tolist() == [room + rows[0], rows[1]]
    right = processor(text=TEXTS, padding=PaddingStrategy.LONGEST, padding_side="right")
    assert right["input_ids"].tolist() == [rows[0] + room, rows[1]]
    assert right["attention_mask"].tolist() == [[True] * len(rows[0]) + [False] * len(room), [True] * longest]
    assert right["attention_mask"].dtype == right["images_seq_mask"].dtype == torch.bool
    for options, length in (
        ({"padding": "max_length", "max_length": 50}, 50),
        ({"padding": "max_length", "max_length": 50, "pad_to_multiple_of": 16}, 64),
        ({"padding": True, "pad_to_multiple_of": 32}, 32),
        ({"padding": "max_length", "max_length": 2}, longest),
    ):
        padded = processor(text=TEXTS, **options)
        assert padded["input_ids"].shape == padded["images_seq_mask"].shape == (2, length)
        assert padded["input_ids"][1, length - longest :].tolist() == rows[1]
    with pytest.raises(SettingsError, match="make no tensor without padding; set padding=True"):
        processor(text=TEXTS, padding=False)


def test_the_tokenizers_own_side_counts(processor: DeepseekVL2Processor, rows: list[list[int]]) -> None:
    processor.tokenizer.padding_side = "right"
    try:
        assert processor(text=TEXTS)["input_ids"][0, : len(rows[0])].tolist() == rows[0]
        assert processor(text=TEXTS, padding_side="left")["input_ids"][0, -1] == rows[0][-1]
    finally:
        processor.tokenizer.padding_side = "left"


def test_tensors_arrays_and_lists(processor: DeepseekVL2Processor, rows: list[list[int]], picture: Image.Image) -> None:
    tensors = processor(text=["<image>a", "b"], images=[picture])
    arrays = processor(text=["<image>a", "b"], images=[picture], return_tensors=TensorType.NUMPY)
    assert tensors.keys() == arrays.keys()
    for name, tensor in tensors.items():
        assert isinstance(arrays[name], np.ndarray) and np.array_equal(arrays[name], tensor.numpy()), name
    assert processor(text=TEXTS, return_tensors=None)["input_ids"] == rows
    lists = processor(text=["<image>a", "b"], images=[picture], return_tensors=None)
    assert [len(row) for row in lists["input_ids"]] == tensors["attention_mask"].sum(1).tolist()
    assert lists["images_spatial_crop"] == tensors["images_spatial_crop"].tolist()
    assert np.array_equal(np.stack(lists["pixel_values"]), tensors["pixel_values"])
    assert (
        processor(text=TEXTS, return_tensors=None, padding=True)["input_ids"]
        == processor(text=TEXTS)["input_ids"].tolist()
    )
    made = processor.apply_chat_template(user("a"), tokenize=True, return_dict=True, return_tensors=None)
    assert made["input_ids"] == [processor.build(user("a"), add_generation_prompt=False).input_ids]


def test_truncation_stops_before_a_picture(
    processor: DeepseekVL2Processor, rows: list[list[int]], picture: Image.Image
) -> None:
    assert processor(text=TEXTS[1], truncation=True, max_length=5)["input_ids"].tolist() == [rows[1][:5]]
    options = {"truncation": "longest_first", "max_length": 4}
    assert (
        processor.apply_chat_template([user(text) for text in TEXTS], tokenize=True, **options)[1]
        == (processor.build(user(TEXTS[1])).input_ids[:4])
    )
    whole = processor(text="<image>" + TEXTS[1], images=picture)
    length = int(whole["images_seq_mask"].sum()) + 1
    cut = processor(text="<image>" + TEXTS[1], images=picture, truncation=True, max_length=length + 2)
    assert torch.equal(cut["input_ids"], whole["input_ids"][:, : length + 2])
    assert torch.equal(cut["pixel_values"], whole["pixel_values"])
    for short in (length - 1, 1):
        with pytest.raises(PromptError, match=f"cutting it to {short} would cut picture 1"):
            processor(text="<image>" + TEXTS[1], images=picture, truncation=True, max_length=short)
    with pytest.raises(SettingsError, match="max_length needs truncation=True or padding='max_length'"):
        processor(text="a", max_length=5)


def test_special_tokens_can_be_left_out(processor: DeepseekVL2Processor, rows: list[list[int]]) -> None:
    assert processor(text=TEXTS[1], add_special_tokens=False)["input_ids"].tolist() == [rows[1][1:]]
    begun = processor.tokenizer.bos_token + TEXTS[1]
    assert processor(text=begun, add_special_tokens=False)["input_ids"].tolist() == [rows[1]]
    assert "attention_mask" not in processor(text="a", return_attention_mask=False)


def test_groups_of_options(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    grouped = processor(
        text="<image>a",
        images=picture,
        text_kwargs={"padding": "max_length", "max_length": 3000},
        images_kwargs={"tiling": False},
        common_kwargs={"return_tensors": "np"},
        videos_kwargs={},
    )
    assert isinstance(grouped["input_ids"], np.ndarray) and grouped["input_ids"].shape == (1, 3000)
    assert grouped["images_spatial_crop"].tolist() == [[[1, 1]]]
    few = processor(text="<image>a", images=picture, max_tiles=2)["images_spatial_crop"]
    assert few.prod() <= 2
    made = processor.apply_chat_template(
        [user("a"), user("a longer text")], tokenize=True, return_dict=True, processor_kwargs={"padding_side": "right"}
    )
    assert made["attention_mask"][:, 0].all() and not made["attention_mask"][0, -1]
    with pytest.raises(SettingsError, match="'padding' is given twice"):
        processor(text="a", text_kwargs={"padding": False}, padding=True)
    with pytest.raises(SettingsError, match="takes no videos"):
        processor(text="a", videos_kwargs={"fps": 2})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paddding", True),
        ("videos", ["a.mp4"]),
        ("do_resize", False),
        ("image_mean", [0, 0, 0]),
        ("return_offsets_mapping", True),
        ("padding", "longer"),
        ("padding_side", "top"),
        ("return_tensors", "tf"),
        ("max_length", 0),
        ("max_length", True),
        ("pad_to_multiple_of", "8"),
        ("truncation", "only_second"),
        ("add_special_tokens", "no"),
        ("tiling", 2),
        ("chat_template", "{{ messages }}"),
        ("tools", [{"name": "a"}]),
        ("documents", [{"title": "a"}]),
    ],
)
def test_what_is_not_offered_is_refused_by_name(processor: DeepseekVL2Processor, name: str, value: Any) -> None:
    calls = [lambda: processor.apply_chat_template(user("Hi"), tokenize=True, return_dict=True, **{name: value})]
    if name not in ("chat_template", "tools", "documents"):
        calls.append(lambda: processor(text="Hi", **{name: value}))
    for call in calls:
        with pytest.raises(SettingsError, match=name):
            call()
    with pytest.raises(ValueError, match=name):  # what generic callers catch
        calls[0]()


def test_none_and_off_ask_for_nothing(processor: DeepseekVL2Processor) -> None:
    nothing = dict.fromkeys(("padding", "videos", "audio", "max_length", "stride", "padding_side", "tools"))
    assert Options.read({name: value for name, value in nothing.items() if name != "tools"}) == Options()
    made = processor.apply_chat_template(
        user("Hi"), tokenize=True, verbose=False, return_offsets_mapping=False, **nothing
    )
    assert made == processor.build(user("Hi"), add_generation_prompt=False).input_ids


def test_flat_and_nested_images(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    small = picture.resize((90, 60))
    texts = ["<image>a<image>", "b", "<image>c"]
    right = processor(text=texts, images=[[picture, small], [], [small]])
    array = np.stack([np.asarray(small)] * 3)
    for images in (
        [picture, small, small],
        (picture, small, small),
        [[picture, small], None, [small]],
        [[picture, small], None, small],
        [[picture, None, small], [None], small],
    ):
        assert torch.equal(processor(text=texts, images=images)["pixel_values"], right["pixel_values"])
    three = processor(text=texts, images=[small] * 3)
    for images in (array, torch.from_numpy(array).permute(0, 3, 1, 2)):
        assert torch.equal(processor(text=texts, images=images)["pixel_values"], three["pixel_values"])
    assert "pixel_values" not in processor(text=["a", "b"], images=[None, None])
    with pytest.raises(PromptError, match="3 texts come with one flat list of images, 2 for 3 <image> tokens"):
        processor(text=texts, images=[small, small])
    with pytest.raises(PromptError, match="Each text must be a string"):
        processor(text=["a", None])


# -- what the assistant says -------------------------------------------------------------------------------------


def test_assistant_masks(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    first = [*user("Hi"), {"role": "assistant", "content": "Welcome."}]
    second = [
        *user([{"type": "image", "image": picture}, {"type": "text", "text": "What?"}]),
        {"role": "assistant", "content": "A cup. "},
        *user("And now?"),
        {"role": "assistant", "content": "The same cup."},
    ]
    options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
    made = processor.apply_chat_template([first, second], **options)
    end = processor.tokenizer.eos_token
    assert made["assistant_masks"].shape == made["input_ids"].shape and made["assistant_masks"].dtype == torch.int64
    said = [ids[mask == 1].tolist() for ids, mask in zip(made["input_ids"], made["assistant_masks"], strict=True)]
    assert [processor.decode(ids) for ids in said] == [f"Welcome.{end}", f"A cup.{end}The same cup.{end}"]
    lists = processor.apply_chat_template(first, return_tensors=None, **options)
    assert lists["assistant_masks"] == [made["assistant_masks"][0, -len(lists["input_ids"][0]) :].tolist()]
    open_ended = processor.apply_chat_template(first, continue_final_message=True, **options)
    assert processor.decode(open_ended["input_ids"][open_ended["assistant_masks"] == 1]) == "Welcome."
    with pytest.raises(SettingsError, match="needs tokenize=True and return_dict=True"):
        processor.apply_chat_template(first, tokenize=True, return_assistant_tokens_mask=True)
    with pytest.raises(PromptError, match="continues an answer"):
        processor.apply_chat_template(user("Hi"), continue_final_message=True)


# -- where the processor comes from ------------------------------------------------------------------------------


def test_loading_honours_or_refuses(processor: DeepseekVL2Processor, reference_folder: Path, tmp_path: Path) -> None:
    folder = reference_folder / "tiny" / "checkpoint"
    dark = DeepseekVL2Processor.from_pretrained(folder, image_mean=[0.0, 0.0, 0.0], local_files_only=None)
    assert dark.normalise(np.full((1, 1, 1, 3), 255, np.uint8)).flatten().tolist() == [2.0] * 3
    changed = DeepseekVL2Processor.from_pretrained(folder, padding_side="right", sep_token="<|/ref|>")
    assert (changed.tokenizer.padding_side, changed.tokenizer.sep_token) == ("right", "<|/ref|>")
    assert AutoProcessor.from_pretrained(folder, trust_remote_code=True).settings == processor.settings
    inner = DeepseekVL2Processor.from_pretrained(folder.parent, subfolder="checkpoint")
    assert inner.settings == processor.settings
    assert processor.patch_size == 14 and not hasattr(processor, "patchsize")
    for load in (
        lambda: DeepseekVL2Processor.from_pretrained(folder, image_meen=[0, 0, 0]),
        lambda: DeepseekVL2Processor(processor.tokenizer, image_meen=[0, 0, 0]),
    ):
        with pytest.raises(SettingsError, match="no setting 'image_meen'"):
            load()
    for option in ("push_to_hub", "save_jinja_files"):
        with pytest.raises(SettingsError, match=option):
            processor.save_pretrained(tmp_path, **{option: True})
    assert processor.save_pretrained(tmp_path, is_main_process=False) == [] and not list(tmp_path.iterdir())


def test_transformers_push_to_hub_sends_the_files(
    processor: DeepseekVL2Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """push_to_hub with the upload replaced."""
    sent: list[str] = []

    def send(_: Any, folder: str, *__: Any, **___: Any) -> None:
        sent.extend(path.name for path in Path(folder).iterdir())

    repo = SimpleNamespace(repo_id="me/mine")
    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: repo)
    monkeypatch.setattr(hub, "create_and_tag_model_card", lambda *_, **__: SimpleNamespace(save=lambda _: None))
    monkeypatch.setattr(DeepseekVL2Processor, "_upload_modified_files", send)
    processor.push_to_hub("me/mine")
    assert {"processor_config.json", "tokenizer.json", "tokenizer_config.json"} <= set(sent)
