"""What strangers type stays text: in the prompt no token of control comes of it, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.errors import ContextError
from dsvl2_app.text.messages import Message
from dsvl2_app.text.prompt import place_images
from dsvl2_app.text.tokens import PromptBuilder
from tests.hostile.words import CONTROL, PLACES, SCRIPTS, WRITINGS, spell

SPELLINGS = sorted(set(chain.from_iterable(map(spell, CONTROL))))
TYPED = (*SPELLINGS, *SCRIPTS, *WRITINGS, *PLACES)
NOBODY: frozenset[str] = frozenset()


@pytest.fixture(scope="module", params=["tiny", "nano"])
def builder(request: pytest.FixtureRequest, load_processor: Callable[[str], DeepseekVL2Processor]) -> PromptBuilder:
    if request.param == "tiny":
        return load_processor("tiny").prompts
    from dsvl2_app.bundled import NANO

    return DeepseekVL2Processor.from_pretrained(NANO).prompts


def find_control(builder: PromptBuilder, messages: list[Message], allow: frozenset[str] = NOBODY) -> list[int]:
    """Ids of special tokens in a prompt, but of those that are allowed."""
    special = {number for token, number in builder.tokenizer.get_added_vocab().items() if token not in allow}
    return [each for each in builder.build(messages, allow=allow).input_ids if each in special]


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def test_there_are_many_spellings() -> None:
    assert len(SPELLINGS) > 150 and set(CONTROL) < set(SPELLINGS)


def test_no_spelling_of_a_token_becomes_one(builder: PromptBuilder) -> None:
    plain = find_control(builder, ask("Hi"))
    assert {
        typed: found for typed in TYPED if (found := find_control(builder, ask(f"Hi {typed} there"))) != plain
    } == {}


@pytest.mark.parametrize("token", [each for each in CONTROL if each != "<image>"])
def test_text_that_is_trusted_may_hold_each(builder: PromptBuilder, token: str) -> None:
    """So the tests above would see one."""
    ids = builder.build(ask(f"Hi {token} there")).input_ids
    assert ids.count(builder.tokenizer.convert_tokens_to_ids(token)) > ids_of_the_template(builder, token)


def ids_of_the_template(builder: PromptBuilder, token: str) -> int:
    return builder.build(ask("Hi")).input_ids.count(builder.tokenizer.convert_tokens_to_ids(token))


def test_nor_in_a_system_prompt_or_an_answer(builder: PromptBuilder) -> None:
    def talk(words: str) -> list[Message]:
        return [{"role": "system", "content": words}, *ask("Hi"), {"role": "assistant", "content": words}, *ask("And?")]

    carried = frozenset({"<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>"})  # which an answer may hold
    plain = find_control(builder, talk("x"), carried)
    assert {typed for typed in TYPED if typed.strip() and find_control(builder, talk(typed), carried) != plain} == set()


def test_a_token_cannot_be_put_together_of_two_turns(builder: PromptBuilder) -> None:
    for token in CONTROL:
        for cut in range(1, len(token)):
            first, second = token[:cut], token[cut:]
            turns = [*ask(first), {"role": "assistant", "content": second}, *ask(second)]
            plain = [*ask("a"), {"role": "assistant", "content": "b"}, *ask("c")]
            assert find_control(builder, turns) == find_control(builder, plain), (first, second)
            parts: list[Message] = [
                {"role": "user", "content": [{"type": "text", "text": each} for each in (first, second)]}
            ]
            assert find_control(builder, parts) == find_control(builder, ask("a")), (first, second)


def test_nothing_typed_is_lost_or_changed(builder: PromptBuilder) -> None:
    for typed in TYPED:
        ids = builder.build(ask(f"Say {typed} again"), allow=NOBODY).input_ids
        assert f": Say {typed} again\n\n" in builder.tokenizer.decode(ids, clean_up_tokenization_spaces=False), typed


@pytest.mark.slow
@given(st.lists(st.one_of(st.sampled_from(TYPED), st.text(max_size=5)), max_size=6).map("".join))
def test_any_mixture_stays_text(load_processor: Callable[[str], DeepseekVL2Processor], typed: str) -> None:
    builder = load_processor("tiny").prompts
    assert find_control(builder, ask(f"a{typed}a")) == find_control(builder, ask("a"))


@pytest.mark.parametrize("typed", PLACES)
def test_pictures_are_those_that_were_sent(builder: PromptBuilder, typed: str) -> None:
    """However often a place is typed: too many stay text, too few get their pictures first."""
    picture = Image.new("RGB", (40, 30), "red")
    for count in range(3):
        prompt = builder.build([{"role": "user", "content": place_images(typed, [picture] * count)}], allow=NOBODY)
        assert len(prompt.images) == count
        held = prompt.input_ids.count(builder.image_token_id)
        assert held == sum(layout.num_tokens for layout in prompt.layouts) == int(prompt.image_mask.sum())


@pytest.mark.parametrize("word", ["a", "<|User|>", "<image>", "\u200b", "😀", "\n", "<"])
def test_a_megabyte_is_refused_before_it_is_tokenised(
    builder: PromptBuilder, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder.tokenizer, "encode", lambda *_, **__: pytest.fail("it was tokenised"))
    with pytest.raises(ContextError, match="more than 4,096 tokens hold; write less"):
        builder.build(ask(f"a{word * 1_000_000}a"), allow=NOBODY, context=4096)
