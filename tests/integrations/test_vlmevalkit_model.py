from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dsvl2_app.errors import SettingsError
from dsvl2_app.evaluation.questions import Question
from dsvl2_app.evaluation.tasks import TASKS
from dsvl2_app.image.reference import ImageRef

CHOICES = "A. a cat\nB. a dog\nPlease select the correct answer from the options above. \n"


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    Image.effect_noise((40, 30), 50).convert("RGB").save(paths[0])
    Image.new("RGB", (20, 10), "blue").save(paths[1])
    return [str(path) for path in paths]


def test_a_question_is_asked_as_our_own_evaluation_asks(vlmevalkit, backend, pictures: list[str]) -> None:
    model = vlmevalkit.DSVL2(backend="scripted")
    said = f"Question: What is it?\nOptions:\n{CHOICES}"
    message = [{"type": "image", "value": pictures[0]}, {"type": "text", "value": said}]
    assert model.generate(message, "MMStar") == f"<p>\n{said}"
    options = {"A": "a cat", "B": "a dog"}
    asked = Question(1, "1", (ImageRef.of(Path(pictures[0])),), "What is it?", ("A",), options)
    (ours,) = TASKS["mmstar"].ask(asked)
    (theirs,) = backend.requests[0].messages
    assert [part.get("text") for part in ours["content"]] == [part.get("text") for part in theirs["content"]]
    assert backend.requests[0].sampling.max_new_tokens == 2048 and backend.requests[0].sampling.temperature == 0


def test_mmmu_has_its_pictures_first_and_the_first_doubled(vlmevalkit, backend, pictures: list[str]) -> None:
    model = vlmevalkit.DSVL2(backend="scripted", max_new_tokens=9)
    message = [
        {"type": "text", "value": "Question: Is "},
        {"type": "image", "value": pictures[0]},
        {"type": "text", "value": " or "},
        {"type": "image", "value": pictures[1]},
        {"type": "text", "value": f" it?\nOptions:\n{CHOICES}"},
    ]
    said = model.generate(message, "MMMU_DEV_VAL")
    options = {"A": "a cat", "B": "a dog"}
    shown = tuple(ImageRef.of(Path(path)) for path in pictures)
    (ours,) = TASKS["mmmu"].ask(Question(1, "1", shown, "Is <image 1> or <image 2> it?", ("A",), options))
    assert said == "<p><p>" + ours["content"][2]["text"]
    (theirs,) = backend.requests[0].messages
    for place in (0, 1):
        same = [content["content"][place]["image"] for content in (ours, theirs)]
        assert same[0].size == same[1].size and same[0].open().tobytes() == same[1].open().tobytes()


def test_a_chat_keeps_its_turns_and_a_full_stop_goes(vlmevalkit, backend) -> None:
    model = vlmevalkit.DSVL2(backend="scripted")
    turns = [("user", "One?"), ("assistant", "Two."), ("user", "Three...")]
    said = model.chat_inner([{"role": role, "content": [{"type": "text", "value": text}]} for role, text in turns])
    assert said == "Three"
    assert [message["role"] for message in backend.requests[0].messages] == ["user", "assistant", "user"]


def test_a_flag_that_is_none_is_refused(vlmevalkit) -> None:
    with pytest.raises(SettingsError, match="quantise"):
        vlmevalkit.DSVL2(quantise="int8")
