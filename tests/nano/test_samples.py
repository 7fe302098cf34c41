from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nano.samples import (
    EVALUATION_SEEDS,
    SEEDS_PER_RUN,
    STAGES,
    Mixture,
    Sample,
    SampleStream,
    make_sample,
)


def same(one: Sample, other: Sample) -> bool:
    return one.dialogues == other.dialogues and all(map(np.array_equal, one.images, other.images))


@pytest.mark.parametrize("stage", STAGES)
def test_a_sample_depends_on_run_and_index_alone(stage: str):
    forward, backward = SampleStream(STAGES[stage]), SampleStream(STAGES[stage])
    first = [forward[index] for index in range(5)]
    again = [backward[index] for index in reversed(range(5))][::-1]
    assert all(map(same, first, again))
    assert not same(first[0], SampleStream(STAGES[stage], run=1)[0])


def test_workers_share_the_stream():
    stream = SampleStream(STAGES["align"])
    walks = [stream.walk(start, 2) for start in range(2)]
    assert all(same(next(walks[index % 2]), stream[index]) for index in range(6))


def test_training_never_draws_evaluation_seeds():
    for run in (9, -1):
        with pytest.raises(ValueError, match="evaluation seeds"):
            SampleStream(Mixture(), run)
    with pytest.raises(IndexError):
        SampleStream(Mixture())[SEEDS_PER_RUN]
    last = SampleStream(Mixture(), 8)
    assert last.first + SEEDS_PER_RUN == EVALUATION_SEEDS


@pytest.mark.slow
def test_stages_differ_as_they_should():
    patches = make_sample(STAGES["patches"], 3)
    assert patches.scenes and not patches.dialogues
    pretrain = [make_sample(STAGES["pretrain"], seed) for seed in range(120)]
    assert 0.15 < sum(not sample.scenes for sample in pretrain) / 120 < 0.45
    assert any(len(sample.scenes) > 1 for sample in pretrain)
    assert all(len(dialogue) == 1 for sample in pretrain for dialogue in sample.dialogues)
    sft = [make_sample(STAGES["sft"], seed) for seed in range(60)]
    assert max(len(dialogue) for sample in sft for dialogue in sample.dialogues) > 2
    assert all(sample.dialogues for sample in pretrain + sft)


def test_a_limit_on_tiles_limits_the_pictures():
    mixture = replace(STAGES["align"], most_tiles=1, hardness=(0.0, 0.0))
    assert max(max(make_sample(mixture, seed).scenes[0].size) for seed in range(30)) <= 182


def test_a_window_with_room_for_words_alone_is_drawn_again():
    """Sample 1,054,139 of run 0 has a title and no widget that fits; such a scene is drawn again."""
    sample = make_sample(STAGES["pretrain"], 1_054_139)
    assert sample.scenes[0].family == "screens" and sample.dialogues
    assert any(item.kind != "word" for item in sample.scenes[0].objects)
