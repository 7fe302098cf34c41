"""--log-prompts: questions and answers are in the log with it, and never without."""

from __future__ import annotations

import pytest

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.health.logs import FIELDS
from dsvl2_app.health.prompts import read_words
from tests.health.conftest import Serve, ask


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [True, False])
def test_words_are_logged_where_that_is_wanted(wanted: bool, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "dsvl2_app")
    ask(serve(ScriptedBackend(say="A heron."), log_prompts=wanted), "Which bird?")
    written = [record for record in caplog.records if "heron" in record.getMessage()]
    assert [record.getMessage() for record in written] == ["asked 'Which bird?', answered 'A heron.'"] * wanted
    assert [getattr(each, FIELDS) for each in written] == [{"question": "Which bird?", "answer": "A heron."}] * wanted
    assert wanted or "Which bird" not in caplog.text


def test_pictures_are_named_as_such() -> None:
    assert read_words([{"type": "image", "image": object()}, {"type": "text", "text": " Well?"}]) == "<image> Well?"
    assert read_words("Hi") == "Hi"
