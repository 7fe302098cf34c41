from __future__ import annotations

import re
from random import Random

import pytest

from nano.phrasings import PHRASINGS, expand, phrase

SLOTS = {name: f"«{name}»" for name in re.findall(r"\[(\w+)\]", str(PHRASINGS))}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PHRASINGS)
def test_every_kind_has_a_dozen_wordings_with_all_slots_filled(kind: str):
    rng = Random(0)
    wordings = {phrase(rng, kind, verbatim=True, **SLOTS) for _ in range(600)}
    assert len({wording.lower().rstrip("?.") for wording in wordings}) >= 12
    for wording in wordings:
        assert "[" not in wording and "{" not in wording and "  " not in wording
        assert wording == wording.strip() and not re.search(r" [?.,]", wording), wording


def test_spellings_and_cases_vary():
    rng = Random(0)
    wordings = [phrase(rng, "colour", what="star") for _ in range(300)]
    text = " ".join(wordings)
    assert "colour" in text and "color" in text
    assert any(wording.isupper() for wording in wordings) and any(wording.islower() for wording in wordings)
    assert any(wording[-1] not in "?." for wording in wordings)


def test_words_to_be_read_keep_their_case():
    rng = Random(0)
    assert all('"aBc"' in phrase(rng, "word_where", word='"aBc"') for _ in range(200))
    assert all("<|det|>" in phrase(rng, "read_box", box="<|det|>[[1, 2, 3, 4]]<|/det|>") for _ in range(200))


def test_special_tokens_survive_every_style():
    rng = Random(0)
    for kind in ("locate", "grounded_caption", "in_context"):
        for _ in range(200):
            text = phrase(rng, kind, verbatim=True, **SLOTS)
            assert re.sub(r"<\|(ref|/ref|grounding)\|>", "", text).count("|") == 0


def test_expand():
    assert {expand(Random(seed), "{a|b} {c|} d") for seed in range(40)} == {"a c d", "b c d", "a d", "b d"}
