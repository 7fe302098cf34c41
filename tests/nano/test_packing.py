"""Packed rows teach exactly the prompts that the processor builds, each dialogue as if it stood alone."""

from __future__ import annotations

from itertools import count
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.bundled import NANO
from dsvl2_app.text.prompt import place_images
from nano.lessons import BatchSize, Lessons, find_special_ids
from nano.packing import DECISIVE_WEIGHT, PADDING, Encoder, collate, pack
from nano.samples import STAGES, Sample, make_sample
from nano.tasks.turn import Turn

LENGTH = 1024


@pytest.fixture(scope="module")
def processor() -> DeepseekVL2Processor:
    return DeepseekVL2Processor.from_pretrained(NANO)


@pytest.fixture(scope="module")
def model() -> DeepseekVL2ForConditionalGeneration:
    config = DeepseekVL2Config.preset("nano")
    config.vision_config.layers, config.language_config.num_hidden_layers = 1, 2
    return DeepseekVL2ForConditionalGeneration.from_random(config, "float32", seed=3)


@pytest.fixture(scope="module")
def samples():
    """One of each number of pictures from none to three, in few tiles; some conversations have several turns."""
    found = {}
    for seed in count():
        sample = make_sample(STAGES["sft"], seed)
        several = max(map(len, sample.dialogues), default=0) > 1
        if (several or len(sample.images) > 1) and sum(image.size for image in sample.images) < 600_000:
            found.setdefault(len(sample.images), sample)
        if found.keys() >= {0, 1, 2, 3}:
            return [found[number] for number in range(4)]


def encode(processor: DeepseekVL2Processor, sample):
    lessons = Lessons(processor, STAGES["sft"], BatchSize(1, LENGTH, 64), 0.0)
    tokenizer = processor.tokenizer
    encoder = Encoder(
        lambda text: tokenizer.encode(text, add_special_tokens=False),
        processor.geometry.tokens_per_side,
        find_special_ids(tokenizer),
        question_weight=0.0,
    )
    return lessons._encode(sample, encoder)


def messages_of(sample, dialogue):
    images = [Image.fromarray(image) for image in sample.images]
    messages = []
    for number, turn in enumerate(dialogue):
        content = place_images(turn.question, images) if number == 0 else turn.question
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": turn.answer}]
    return messages


@pytest.mark.slow
def test_each_dialogue_is_the_processors_prompt(processor, samples):
    for sample in samples:
        encoded = encode(processor, sample)
        prefix = encoded.dialogues == -1
        for number, dialogue in enumerate(sample.dialogues):
            alone = prefix | (encoded.dialogues == number)
            expected = processor.build(messages_of(sample, dialogue), add_generation_prompt=False)
            assert encoded.ids[alone].tolist() == expected.input_ids
            assert encoded.positions[alone].tolist() == list(range(len(expected.input_ids)))


@pytest.mark.slow
def test_packed_rows_give_the_logits_of_each_dialogue_alone(processor, model, samples):
    encoded = [encode(processor, sample) for sample in samples]
    encoded = [each for each in encoded if len(each.ids) <= LENGTH]
    batch = collate([encoded[::2], encoded[1::2]], 2 * LENGTH)
    tokens = model.encode_tiles(processor.normalise(batch.tiles))
    sources = torch.cat((tokens.flatten(0, 1), model.adaptor.tile_newline[None], model.adaptor.view_separator[None]))
    places = torch.where(batch.image_source >= 0, batch.image_source, len(sources) - 3 - batch.image_source)
    embeds = model.decoder.embed_tokens(batch.ids)
    embeds = embeds.masked_scatter(batch.image_mask[..., None], sources[places])
    with torch.no_grad():
        packed = model.decoder(embeds, batch.look(), batch.positions)
        for row, members in enumerate((samples[::2], samples[1::2])):
            for number, sample in enumerate(members):
                mine = batch.samples[row] == number
                for turn, dialogue in enumerate(sample.dialogues[:2]):
                    alone = mine & ((batch.dialogues[row] == -1) | (batch.dialogues[row] == turn))
                    inputs = processor.apply_chat_template(
                        messages_of(sample, dialogue), tokenize=True, return_dict=True, return_tensors="pt"
                    )
                    plain = model.decoder(
                        model.embed(
                            inputs["input_ids"],
                            inputs.get("pixel_values"),
                            inputs["images_seq_mask"],
                            inputs["images_spatial_crop"],
                        )
                    )
                    assert (packed[row, alone] - plain[0]).abs().max() < 1e-3


@pytest.mark.slow
def test_only_answers_are_learnt_and_each_from_the_token_before(processor, samples):
    for sample in samples:
        batch = collate([[encode(processor, sample)]], LENGTH)
        text = processor.decode(batch.targets.tolist())
        answers = "".join(turn.answer + processor.tokenizer.eos_token for d in sample.dialogues for turn in d)
        assert text == answers
        flat, dialogues = batch.ids.flatten(), batch.dialogues.flatten()
        assert torch.equal(flat[batch.learnt + 1], batch.targets)
        assert torch.equal(dialogues[batch.learnt], dialogues[batch.learnt + 1])


def test_the_number_alone_weighs_more_and_only_where_something_is_counted(processor):
    counted = Turn("How many?", "There are 6 red stars.", "shapes.count", {"number": 6})
    read = Turn("What does it say?", 'It says "6".', "documents.number", {"text": "6"})
    none = Turn("How many?", "There are no stars.", "shapes.count", {"number": 0})
    batch = collate([[encode(processor, Sample((), ((counted,), (read,), (none,))))]], LENGTH)
    heavy = batch.targets[batch.weights == DECISIVE_WEIGHT].tolist()
    assert processor.decode(heavy) == "6"
    assert set(batch.weights.tolist()) == {1.0, DECISIVE_WEIGHT}


def test_in_context_what_follows_the_kind_weighs_more(processor):
    there = Turn("Find it.", "<|ref|>star<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>", "pictures.in_context", {"boxes": [1]})
    absent = Turn("Find it.", "<|ref|>star<|/ref|>: there is none.", "pictures.in_context", {"boxes": []})
    named = Turn("Find a star.", there.answer, "shapes.locate", {"boxes": [1]})
    batch = collate([[encode(processor, Sample((), ((there,), (absent,), (named,))))]], LENGTH)
    heavy = batch.targets[batch.weights == DECISIVE_WEIGHT].tolist()
    assert processor.decode(heavy) == "<|det|>:"


def test_corners_are_the_numbers_of_boxes_and_no_other(processor, samples):
    for sample in samples:
        encoded = encode(processor, sample)
        pieces = processor.decode(encoded.ids.tolist()).split("<|det|>")[1:]
        written = sum(piece.partition("<|/det|>")[0].count(",") + 1 for piece in pieces)
        assert encoded.corners.sum() == written


@pytest.mark.slow
def test_packing_loses_no_sample_and_never_splits_one(processor):
    rng = Random(1)
    encoded = [encode(processor, make_sample(STAGES["sft"], seed)) for seed in range(30)]
    fitting = [each for each in encoded if len(each.ids) <= LENGTH and len(each.tiles) <= 40]
    rng.shuffle(encoded)
    batches = list(pack(iter([*encoded, *encoded]), rows=3, length=LENGTH, most_tiles=40))
    for batch in batches:
        assert len(batch.tiles) <= 40
        assert batch.image_source.shape[0] == int(batch.image_mask.sum())
        assert int(batch.image_source.max(initial=0) if isinstance(batch.image_source, np.ndarray) else 0) >= 0
    packed = sum(batch.count for batch in batches)
    assert 2 * len(fitting) - 3 * 12 <= packed <= 2 * len(fitting)  # the last batch is not full and not given
    assert all((batch.samples == PADDING).float().mean() < 0.9 for batch in batches)
