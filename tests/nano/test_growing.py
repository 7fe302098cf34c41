from __future__ import annotations

import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer

from dsvl2_app.bundled import NANO
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from nano.growing import grow_model, grow_tokenizer, keep_some
from nano.tokenizer import SIZE


def test_words_are_added_behind_all_others_and_only_once(tmp_path: Path):
    file = tmp_path / "tokenizer.json"
    shutil.copy(NANO / "tokenizer.json", file)
    before = Tokenizer.from_file(str(file))
    size = grow_tokenizer(file)
    after = Tokenizer.from_file(str(file))
    old, new = before.get_vocab(), after.get_vocab()
    assert {piece: new[piece] for piece in old} == old
    assert sorted(new.values()) == list(range(size)) and 1000 < size - SIZE < 2600
    assert grow_tokenizer(file) == size and Tokenizer.from_file(str(file)).get_vocab() == new
    said = "It is a crocodile. <|ref|>mice<|/ref|> I don't know what this is."
    pieces = [after.decode([token], skip_special_tokens=False) for token in after.encode(said).ids]
    assert pieces[:9] == ["It", " is", " a", " crocodile", ".", " ", "<|ref|>", "mice", "<|/ref|>"]
    assert after.decode(after.encode(said).ids, skip_special_tokens=False) == said
    read = 'It says "dog".'  # what is read is spelled as before
    assert after.encode(read).ids == before.encode(read).ids


def test_a_model_with_more_words_answers_as_before_over_the_old_ones():
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(NANO, dtype="float32")
    ids = torch.tensor([[0, 5, 6, 7]])
    old = model.lm_head.weight.detach().clone()
    with torch.inference_mode():
        before = model.lm_head(model.decoder.embed_tokens(ids))
    grow_model(model, SIZE + 100)
    with torch.inference_mode():
        after = model.lm_head(model.decoder.embed_tokens(ids))
    assert after.shape[-1] == SIZE + 100 == model.config.language_config.vocab_size
    assert torch.equal(model.lm_head.weight[:SIZE], old)
    torch.testing.assert_close(after[..., :SIZE], before)  # more rows may be added in another order
    again = DeepseekVL2ForConditionalGeneration.from_pretrained(NANO, dtype="float32")
    grow_model(again, SIZE + 100)
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)


def test_what_is_kept_is_kept_of_old_rows_alone():
    weights = {"rows": torch.full((3, 2), 4.0), "one": torch.tensor(4.0)}
    mixed = keep_some(weights, {"rows": torch.zeros(2, 2), "one": torch.tensor(0.0)}, 0.25)
    assert mixed["rows"].tolist() == [[3.0, 3.0], [3.0, 3.0], [4.0, 4.0]] and mixed["one"] == 3.0
    assert weights["rows"].unique().tolist() == [4.0]  # left as they are
