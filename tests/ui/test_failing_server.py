"""The page in front of a server elsewhere with which everything goes wrong: one sentence each, what was written stays,
and the page goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from playwright.sync_api import expect

from dsvl2_app.backend import servers
from dsvl2_app.backend.remote import RemoteBackend
from dsvl2_app.bundled import NANO
from dsvl2_app.settings import Settings
from dsvl2_app.text.processor import DeepseekVL2Processor
from tests.backend.fake import WHOLE, Fake, chunk
from tests.ui.conftest import App, serve_page
from tests.ui.steps import ask, attach, bot
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@dataclass
class Elsewhere:
    """A page, and the server that it asks, which can go away and come back."""

    app: App
    fake: Fake = field(default_factory=Fake)

    def restart(self) -> None:
        self.fake = Fake(self.fake.port)


@pytest.fixture(scope="module")
def page_and_server() -> Iterator[Elsewhere]:
    fake = Fake()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "CHECK_EVERY", 0.2)
        backend = RemoteBackend([fake.url], DeepseekVL2Processor.from_pretrained(NANO), "", "", 8.0)
        for app in serve_page(backend, Settings.parse([], {})):
            elsewhere = Elsewhere(app, fake)
            yield elsewhere
            elsewhere.fake.close()


@pytest.fixture
def elsewhere(page_and_server: Elsewhere) -> Elsewhere:
    page_and_server.fake.says, page_and_server.fake.status = list(WHOLE), 200
    return page_and_server


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        (401, "bad key", "refuses the API key; name the variable that holds another one with --api-key-env."),
        (404, "The model `x` does not exist.", "has no model org/vl2; name another one with --remote-model."),
        (404, "", "answers with status 404; check --api-base, which usually ends in /v1."),
        (400, "cannot identify image file", "The model's server says: cannot identify image file"),
    ],
)
def test_a_refusal_is_one_sentence_and_the_question_stays(
    elsewhere, pictures, open_page, status, reason, sentence
) -> None:
    page = open_page(elsewhere.app)
    elsewhere.fake.status, elsewhere.fake.reason = status, reason
    attach(page, pictures["wide"])
    ask(page, "What is this?")
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.locator("#message textarea")).to_have_value("What is this?")
    expect(page.locator("#message .thumbnail-item")).to_have_count(1)
    elsewhere.fake.status = 200
    ask(page, "What is this?")
    expect(bot(page)).to_contain_text("one two")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_server_that_dies_leaves_what_was_written_and_the_page_goes_on_when_it_is_back(elsewhere, open_page) -> None:
    page = open_page(elsewhere.app)
    elsewhere.fake.says = [chunk("one "), "wait", "die"]
    ask(page, "Go on")
    expect(bot(page)).to_contain_text("one")
    elsewhere.fake.close()
    expect(page.get_by_role("alert")).to_contain_text("broke, so the answer ends here; try again.")
    expect(bot(page)).to_contain_text("one")
    ask(page, "Still there?")
    expect(page.get_by_role("alert")).to_contain_text("No model's server answers at")
    elsewhere.restart()
    ask(page, "And now?")
    expect(bot(page)).to_contain_text("one two")
    expect(page.locator("#conversation .bot-row").first).to_contain_text("one")


def test_a_silent_server_is_given_up(elsewhere, open_page) -> None:
    page = open_page(elsewhere.app)
    elsewhere.fake.says = [chunk("one "), "wait", *WHOLE[1:]]
    ask(page, "Go on")
    expect(page.get_by_role("alert")).to_contain_text("has been silent for 8 s")
    expect(bot(page)).to_contain_text("one")
    threading.Timer(0.1, elsewhere.fake.go_on.set).start()
    elsewhere.fake.says = list(WHOLE)
    wait_until(lambda: httpx.get(f"{elsewhere.app.url}readyz").status_code == 200)  # a look has shown that it is up
    ask(page, "And now?")
    expect(bot(page)).to_contain_text("one two")
