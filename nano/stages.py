"""The stages of a run: which samples, which losses, and how long (DeepSeek-VL2 paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """`share` of the run; `mixture` of samples; which losses count, and how far a corner's target spreads."""

    name: str
    share: float
    mixture: str
    speak: bool
    look_weight: float
    sigma: float  # numbers of 0..999
    question_weight: float  # of predicting what users say; answers weigh 1
    decays: bool = False  # the learning rate falls to zero
    rests: bool = False  # the model stays as it is, and the heads alone learn
    rate: float = 1.0  # times the run's learning rate


# From nothing: the encoder learns to see before the decoder learns to speak.
FROM_NOTHING = (
    Stage("align", 0.25, "patches", speak=False, look_weight=1.0, sigma=16, question_weight=0),
    Stage("pretrain", 0.40, "pretrain", speak=True, look_weight=0.3, sigma=8, question_weight=0.1),
    Stage("sft", 0.35, "sft", speak=True, look_weight=0.1, sigma=3, question_weight=0, decays=True),
)
# From a trained checkpoint that shall learn things as well: much of it while its patches are told what they show.
FROM_CHECKPOINT_WITH_THINGS = (
    Stage(
        "heads", 0.04, "patches_things", speak=False, look_weight=1.0, sigma=4, question_weight=0, rests=True, rate=5
    ),
    Stage("see", 0.34, "pretrain_things", speak=True, look_weight=1.0, sigma=6, question_weight=0.1),
    Stage("sft", 0.62, "sft_things", speak=True, look_weight=0.2, sigma=3, question_weight=0, decays=True),
)
# From a trained checkpoint. It has no heads, and the gradients of new ones would damage its vision, so they are trained
# alone first; then all text, so that no word is forgotten; then answers, with a longer decay.
FROM_CHECKPOINT = (
    Stage("heads", 0.07, "patches", speak=False, look_weight=1.0, sigma=4, question_weight=0, rests=True, rate=5),
    Stage("pretrain", 0.11, "pretrain", speak=True, look_weight=0.3, sigma=4, question_weight=0.1),
    Stage("sft", 0.82, "sft", speak=True, look_weight=0.1, sigma=3, question_weight=0, decays=True),
)
