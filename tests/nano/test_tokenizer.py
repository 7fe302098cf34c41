from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dsvl2_app.bundled import NANO
from dsvl2_app.errors import SettingsError
from nano.tokenizer import LEADING, SIZE, TRAILING, build, make, pre_tokenizer, save


@pytest.fixture(scope="module")
def nano() -> Tokenizer:
    return Tokenizer.from_file(str(NANO / "tokenizer.json"))


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    encoded = tokenizer.encode(text, add_special_tokens=False)
    return [tokenizer.decode([token], skip_special_tokens=False) for token in encoded.ids]


def test_special_tokens_stand_first_and_last(nano: Tokenizer):
    assert [nano.token_to_id(token) for token in LEADING] == [0, 1, 2]
    assert [nano.token_to_id(token) for token in TRAILING] == list(range(SIZE - len(TRAILING), SIZE))
    assert nano.get_vocab_size() == SIZE


@pytest.mark.parametrize("number", [*range(12), 99, 100, 101, 500, 998, 999])
def test_a_number_in_a_box_is_one_token_wherever_it_stands(nano: Tokenizer, number: int):
    n = str(number)
    text = f"<|det|>[[{n}, {n}, {n}, {n}], [{n}, {n}, {n}, {n}]]<|/det|>"
    inner = [n, ", ", n, ", ", n, ", ", n]
    assert pieces(nano, text) == ["<|det|>", "[[", *inner, "], [", *inner, "]]", "<|/det|>"]


def test_what_is_read_is_spelled(nano: Tokenizer):
    assert pieces(nano, 'It says "red".') == ["It", " says", " ", '"', "r", "e", "d", '".']
    assert pieces(nano, 'It says "4821".') == ["It", " says", " ", '"', "4", "8", "2", "1", '".']
    assert pieces(nano, "The star is red.") == ["The", " star", " is", " red", "."]


def test_the_words_of_questions_are_single_tokens(nano: Tokenizer):
    for word in ("colour", "color", "circle", "circles", "grey", "button", "picture", "fourth", "tallest", "left"):
        assert len(pieces(nano, f"the {word}")) == 2, word


def test_a_prompt_ends_and_an_answer_begins_at_a_token(nano: Tokenizer):
    prompt, answer = "<|User|>: What is it?\n\n<|Assistant|>:", "The circle is red."
    whole = nano.encode(prompt + answer, add_special_tokens=False).ids
    parts = [nano.encode(text, add_special_tokens=False).ids for text in (prompt, answer)]
    assert whole == parts[0] + parts[1]


@pytest.mark.slow
@given(st.text())
def test_any_text_comes_back(text: str):
    tokenizer = Tokenizer.from_file(str(NANO / "tokenizer.json"))
    if any(token in text for token in (*LEADING, *TRAILING)):
        return
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_a_word_beyond_the_vocabulary_is_bytes(nano: Tokenizer):
    assert pieces(nano, "xylo") == list("xylo")
    assert len(nano.encode("你好", add_special_tokens=False).ids) == 6


def test_build_takes_the_most_frequent_pieces_and_saves_the_official_layout(tmp_path: Path):
    counted = Counter({"Ġcat": 90, "Ġdog": 80, 'Ġ"': 999, "Ġ7": 999, "Ġrare": 1})
    tokenizer = build(counted, size=1400)
    vocabulary = tokenizer.get_vocab()
    assert "Ġcat" in vocabulary and "Ġdog" in vocabulary and len(vocabulary) <= 1400
    assert 'Ġ"' not in vocabulary and "Ġ7" not in vocabulary and "Ġrare" not in vocabulary
    save(tokenizer, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["bos_token"] == LEADING[0] and config["pad_token"] == LEADING[2]
    assert [entry["content"] for entry in config["added_tokens_decoder"].values()] == [*LEADING, *TRAILING]
    assert json.loads((tmp_path / "special_tokens_map.json").read_text(encoding="utf-8"))["eos_token"] == LEADING[1]


def test_digits_outside_a_box_stand_alone():
    pieces_of = [piece for piece, _ in pre_tokenizer().pre_tokenize_str("in 2024, 12 b")]
    assert pieces_of == ["in", "Ġ", "2", "0", "2", "4", ",Ġ", "1", "2", "Ġb"]


def test_a_tokenizer_with_weights_is_never_made_anew():
    with pytest.raises(SettingsError, match="another folder"):
        make(NANO)
