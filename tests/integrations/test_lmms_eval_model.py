from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.errors import AppError, SettingsError

PICTURE = Image.new("RGB", (40, 30), "red")


def ask(text: str, arguments: dict[str, Any], doc_id: int = 0) -> SimpleNamespace:
    """A request for a document that has a picture and a text."""
    content = [{"type": "image", "url": PICTURE}, {"type": "text", "text": text}]

    def messages(doc: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [*content, {"type": "text", "text": doc}]}]

    return SimpleNamespace(args=(text, messages, arguments, doc_id, "task", "test"))


def make(module: Any, **arguments: Any) -> Any:
    model = module.DSVL2(backend="scripted", **arguments)
    model.task_dict = {"task": {"test": [" one", " two"]}}
    return model


def test_answers_come_in_the_order_of_the_requests(lmms_eval, backend) -> None:
    requests = [ask("What?", {"max_new_tokens": 16, "temperature": 0}, place % 2) for place in range(5)]
    model = make(lmms_eval, batch_size="3", device=None)
    assert model.generate_until(requests) == [f"<p>\nWhat?{end}" for end in (" one", " two", " one", " two", " one")]
    assert {request.sampling.max_new_tokens for request in backend.requests} == {16}
    assert [given[1][0] for given in model.cached] == ["What?"] * 5 and (model.rank, model._world_size) == (0, 1)
    assert model.is_simple is False


def test_an_answer_ends_before_a_text_that_ends_it(lmms_eval, backend) -> None:
    model = make(lmms_eval)
    assert model.generate_until([ask("one.two", {"until": ["."]})]) == ["<p>\none"]
    assert model.generate_until([ask("one.two", {"until": "tw"})]) == ["<p>\none."]
    with pytest.raises(AppError, match="until is"):
        model.generate_until([ask("one", {"until": [3]})])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (0.0, 1.0, 1.0, 512)),
        ({"temperature": 0, "top_p": None, "num_beams": 1, "do_sample": False}, (0.0, 1.0, 1.0, 512)),
        ({"temperature": 0.7, "top_p": 0.9, "do_sample": True, "max_new_tokens": 9}, (0.7, 0.9, 1.0, 9)),
        ({"temperature": 0.7, "do_sample": False}, (0.0, 1.0, 1.0, 512)),
        ({"repetition_penalty": 1.1, "image_aspect_ratio": "original"}, (0.0, 1.0, 1.1, 512)),
    ],
)
def test_generation_arguments(lmms_eval, arguments: dict[str, Any], expected: tuple[float, float, float, int]) -> None:
    found = lmms_eval.read_sampling(arguments)
    assert (found.temperature, found.top_p, found.repetition_penalty, found.max_new_tokens) == expected


@pytest.mark.parametrize("arguments", [{"num_beams": 4}, {"stop_words": ["a"]}, {"temperature": 99.0}])
def test_what_is_not_honoured_is_refused_by_name(lmms_eval, arguments: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(arguments))):
        lmms_eval.read_sampling(arguments)


def test_videos_likelihoods_and_rounds_are_refused(lmms_eval, backend) -> None:
    model = make(lmms_eval)
    film = SimpleNamespace(
        args=("", lambda doc: [{"role": "user", "content": [{"type": "video", "url": "a.mp4"}]}], {}, 0, "task", "test")
    )
    with pytest.raises(AppError, match="A message has video"):
        model.generate_until([film])
    for refuse in (model.loglikelihood, model.generate_until_multi_round):
        with pytest.raises(NotImplementedError):
            refuse([])
    with pytest.raises(SettingsError, match="max_batch_size"):
        make(lmms_eval, max_batch_size=4)
    with pytest.raises(SettingsError, match="quantise"):
        lmms_eval.DSVL2(quantise="int8")
    with pytest.raises(SettingsError, match="batch size is 33"):
        make(lmms_eval, batch_size=33).generate_until([ask("What?", {})])


def test_the_manifest_names_the_class(lmms_eval) -> None:
    module, _, name = lmms_eval.MANIFEST.chat_class_path.rpartition(".")
    assert (lmms_eval.MANIFEST.model_id, module, name) == ("dsvl2", lmms_eval.__name__, "DSVL2")
