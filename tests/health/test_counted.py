"""--show-count: the page says how many questions were answered, with it and never without."""

from __future__ import annotations

import httpx
import pytest

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.errors import PromptError
from dsvl2_app.health.counted import CountedBackend
from dsvl2_app.request import Request
from dsvl2_app.settings import Settings
from dsvl2_app.ui.page import show_header
from tests.health.conftest import Serve, ask

ASKED = Request([{"role": "user", "content": "Well?"}])


def answer(backend: CountedBackend) -> None:
    for _ in backend.submit(ASKED):
        pass


def test_what_was_answered_counts_and_nothing_else() -> None:
    script = ScriptedBackend()
    backend = CountedBackend(script)
    assert backend.health().answered == 0
    answer(backend)
    answer(backend)
    assert backend.health().answered == 2
    script.say = PromptError("There is no question yet; type one.")
    with pytest.raises(PromptError):
        answer(backend)
    script.say, script.endless = "Hello.", True
    with backend.submit(ASKED) as stream:
        next(iter(stream))
        stream.cancel()
        for _ in stream:
            pass
    assert backend.health().answered == 2
    assert script.health().answered is None


def test_the_header_tells_it_where_that_is_wanted() -> None:
    backend = CountedBackend(ScriptedBackend())
    answer(backend)
    assert "Questions answered since the start: 1<" in show_header(backend, Settings(show_count=True))
    assert "Questions answered" not in show_header(backend, Settings())


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [True, False])
def test_the_page_tells_it_where_that_is_wanted(wanted: bool, serve: Serve) -> None:
    client: httpx.Client = serve(ScriptedBackend(say="A heron."), show_count=wanted)
    assert ("Questions answered since the start: 0" in client.get("/config").text) is wanted
    ask(client, "Which bird?")
    assert "answered" not in client.get("/healthz").text
