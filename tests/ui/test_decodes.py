"""What was decoded once is not decoded again: neither for a follow-up question nor for the meter."""

from __future__ import annotations

import re

import pytest
from gradio_client import handle_file
from PIL import Image
from playwright.sync_api import expect

from tests.ui.steps import ask, attach, bot


@pytest.mark.slow
def test_a_follow_up_decodes_nothing(nano, tmp_path, decodes):
    """The pictures are sent again, in other files, and found by what is in them. Nobody has shown them before."""
    client, told = nano.client(), {"max_new_tokens": 3, "temperature": 0, "api_name": "/chat"}
    files = [tmp_path / name for name in ("one.jpg", "two.png")]
    for file in files:
        Image.effect_noise((300, 500), 60).convert("RGB").save(file)
    shown = list(map(handle_file, files))
    client.predict({"text": "What is it?", "files": shown}, **told)
    assert sorted(map(str, decodes)) == ["JPEG", "PNG"]
    decodes.clear()
    history = [
        {"role": "user", "content": "What is it?", "files": shown},
        {"role": "assistant", "content": "Something."},
    ]
    client.predict({"text": "And now?", "files": []}, history=history, **told)
    assert decodes == []


@pytest.mark.slow
def test_tiles_of_the_endpoint_need_no_pixels(nano, pictures, decodes):
    found = nano.client().predict([handle_file(pictures["turned"])], api_name="/tiles")
    assert found["images"][0]["size"] == [400, 1000] and decodes == []


@pytest.mark.slow
def test_neither_the_meter_nor_a_follow_up_on_the_page_decodes(trained, tmp_path, open_page, decodes):
    file = tmp_path / "noise.webp"
    Image.effect_noise((400, 1000), 60).convert("RGB").save(file)
    page = open_page(trained)
    attach(page, file)
    page.locator("#message textarea").fill("What is it?")
    meter = page.locator("#chat-meter")
    expect(meter).to_contain_text("Picture 1")
    assert "WEBP" not in decodes  # which none of the examples is, that the page opens
    ask(page, "What is it?")
    expect(bot(page).locator("summary")).to_be_visible(timeout=60_000)
    assert "WEBP" in decodes  # for the preview, and to be encoded
    decodes.clear()
    before = meter.inner_text()
    ask(page, "Find all <|ref|>shapes<|/ref|>.")
    expect(page.locator("#conversation summary")).to_have_count(2, timeout=60_000)
    expect(meter).not_to_have_text(before)
    expect(meter).to_have_text(re.compile(r"Picture 1"))
    assert decodes == []  # not even where its boxes are drawn


@pytest.mark.slow
def test_a_large_picture_is_decoded_once_for_its_preview_and_the_model(trained, tmp_path, open_page, decodes):
    file = tmp_path / "large.webp"
    Image.linear_gradient("L").resize((2100, 2000)).save(file)
    page = open_page(trained)
    attach(page, file)
    ask(page, "What is it?")
    expect(bot(page).locator("summary")).to_be_visible(timeout=60_000)
    assert decodes.count("WEBP") == 1
