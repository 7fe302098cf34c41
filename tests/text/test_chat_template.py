"""The template that servers elsewhere render, beside our own prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.bundled import ASSETS
from dsvl2_app.text.messages import ROLES

TEMPLATE = (ASSETS / "chat_template.jinja").read_text(encoding="utf-8")
SPACE = st.sampled_from(["", " ", "\n", " \n\t"])
WORDS = st.text("ab .:", max_size=6)
TEXT = st.tuples(SPACE, WORDS, SPACE).map("".join)
PART = st.one_of(TEXT.map(lambda text: {"type": "text", "text": text}), st.just({"type": "image"}))
QUESTION = st.one_of(TEXT, st.lists(PART, max_size=4)).map(lambda content: {"role": "user", "content": content})
ANSWER = st.one_of(TEXT, TEXT.map(lambda text: [{"type": "text", "text": text}]))
TURN = st.tuples(QUESTION, ANSWER.map(lambda content: {"role": "assistant", "content": content}))
SYSTEM = st.lists(TEXT.map(lambda text: {"role": "system", "content": text}), max_size=1)


@pytest.mark.slow
@given(system=SYSTEM, turns=st.lists(TURN, max_size=2), last=QUESTION)
def test_it_says_what_our_prompt_says(load_processor, system, turns, last) -> None:
    processor = load_processor("tiny")
    messages = [*system, *(message for turn in turns for message in turn), last]
    rendered = processor.tokenizer.apply_chat_template(
        messages, chat_template=TEMPLATE, add_generation_prompt=True, tokenize=False
    )
    assert rendered == processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


@pytest.mark.parametrize("variant", ["tiny", "small", "base"])
def test_its_tokens_are_those_of_our_prompt(open_reference, load_processor, variant, single_case) -> None:
    """Where an image is one token; servers put its others in."""
    reference, processor = open_reference(variant, single_case), load_processor(variant)
    (conversation,) = reference.conversations
    messages = [{**message, "role": ROLES[message["role"]]} for message in conversation]
    text = processor.tokenizer.apply_chat_template(
        messages, chat_template=TEMPLATE, add_generation_prompt=True, tokenize=False
    )
    image = processor.image_token_id
    ours = reference.inputs["input_ids"][0].tolist()
    assert [token for token in processor.tokenizer.encode(text, add_special_tokens=False) if token != image] == [
        token for token in ours if token != image
    ]
