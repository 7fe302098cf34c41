"""The backend without a model, and what every backend has in common."""

from __future__ import annotations

import pytest
from PIL import Image

from dsvl2_app.backend import NAMES, load, scripted
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from tests.waiting import PATIENCE

ASKED = Request([{"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (400, 300))}]}])


def test_it_says_what_it_is_told() -> None:
    backend = ScriptedBackend("one two three", pause=0)
    events = list(backend.submit(ASKED))
    assert "".join(event.text for event in events) == "one two three"
    assert [event.stage for event in events] == ["queued", "vision", "decode", "decode", "done"]
    assert events[-1].finish == "eos" and events[-1].timings.new_tokens == 2
    assert backend.requests == [ASKED] and backend.closed.wait(PATIENCE)


def test_it_goes_on_until_it_is_cancelled() -> None:
    backend = ScriptedBackend("word ", endless=True, pause=0.001)
    stream = backend.submit(ASKED)
    for event in stream:
        if event.timings.new_tokens == 3:
            stream.cancel()
    assert event.finish == "cancelled" and backend.closed.wait(PATIENCE)


def test_it_fails_as_it_is_told() -> None:
    with pytest.raises(PromptError, match="Too long"):
        list(ScriptedBackend(PromptError("Too long.")).submit(ASKED))


def test_its_inspection_adds_up() -> None:
    *_, last = ScriptedBackend().inspect(ASKED, [5, 5, 5])
    found = last.inspection
    assert found is not None and len(found.tokens) == found.attention.shape[2] == 3
    total = found.attention.sum(-1, dtype="float32") + found.answer_attention
    assert total == pytest.approx(1.0, abs=1e-2)
    assert found.image_attention(0).shape == (3, found.layouts[0].num_tokens)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES.keys() - {"openai"}))  # which needs a server: see test_remote
def test_every_backend_is_chosen_by_its_name_and_has_the_protocol(name: str) -> None:
    backend = load(Settings(backend=name, load_format="dummy", compile="off"))
    try:
        assert backend.card.context > 0 and backend.health().alive
        assert isinstance(backend.capabilities.grammar, bool)
        messages = [{"role": "user", "content": "Hi"}]
        assert backend.plan(messages).context == backend.card.context
        *_, last = backend.submit(Request(messages, Sampling(max_new_tokens=8)))
        assert last.finish in ("eos", "length")
        *_, last = backend.inspect(Request(messages), [1000])
        assert last.inspection is not None
    finally:
        backend.close()


def test_an_unknown_backend_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="is 'remote', but must be one of auto, local, zerogpu, openai, scripted"):
        load(Settings(backend="remote"))


def test_it_remembers_the_last_requests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted, "KEPT", 3)
    backend = ScriptedBackend("a", pause=0)
    for number in range(5):
        list(backend.submit(Request([{"role": "user", "content": str(number)}])))
    assert [request.messages[0]["content"] for request in backend.requests] == ["2", "3", "4"]
