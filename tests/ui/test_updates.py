"""What each update of an answer costs the browser beside drawing it: a telephone has no time for more."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.ui.steps import ask, bot


def test_progress_is_told_to_what_shows_it_alone(scripted):
    """Gradio copies the value of each component that is told."""
    config = scripted.client().config
    names = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    told: dict[str, set[str | None]] = {}
    for event in config["dependencies"]:
        if event["api_visibility"] == "private" and event["show_progress"] == "hidden":
            shows = event["outputs"] if event["show_progress_on"] is None else event["show_progress_on"]
            name = re.sub(r"_\d+$", "", event["api_name"])
            told.setdefault(name, set()).update(names[part] for part in shows)
    # The conversation shows dots before an answer, and has no pencils while it is written.
    assert {name: parts for name, parts in told.items() if parts} == {
        name: {"conversation"} for name in ("send", "retry", "answer")
    }


@pytest.mark.slow
def test_an_answer_that_grows_asks_the_server_nothing(scripted, open_page):
    scripted.script.endless, scripted.script.pause = True, 0.1
    page = open_page(scripted)
    ask(page, "Go on")
    expect(bot(page)).to_contain_text("Hello." * 3)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    expect(bot(page)).to_contain_text("Hello." * 20)
    assert asked == []
    page.get_by_role("button", name="Stop").click()
    expect(bot(page).locator("summary")).to_contain_text("stopped")
    expect(page.locator("#chat-meter")).to_contain_text("tokens")
