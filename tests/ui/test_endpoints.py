"""/chat, /ground, /tiles and /inspect over HTTP, as a script calls them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from dsvl2_app.errors import PromptError
from dsvl2_app.inspection.file import describe, read
from dsvl2_app.text.repetition import WIDEST
from dsvl2_app.ui.words.wording import UNEXPECTED
from tests.ui.steps import see
from tests.waiting import PATIENCE, wait_until

TWO_BOXES = "<|ref|>dog<|/ref|><|det|>[[0, 0, 999, 500], [9, 9]]<|/det|>"


def text_of(request) -> str:
    content = request.messages[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "<picture>") for part in content)


def test_only_the_four_endpoints_are_public(nano):
    info = nano.client().view_api(return_format="dict", print_info=False)
    assert info["unnamed_endpoints"] == {}
    required = {
        name: [each["parameter_name"] for each in endpoint["parameters"] if not each["parameter_has_default"]]
        for name, endpoint in info["named_endpoints"].items()
    }
    assert required == {"/chat": [], "/ground": ["image"], "/tiles": ["images"], "/inspect": ["images"]}


def test_plain_http_may_leave_out_what_has_a_default(scripted, pictures):
    """So a call that was written before there was such an argument goes on being answered."""
    scripted.script.say = TWO_BOXES
    with httpx.Client(base_url=f"{scripted.url}gradio_api/", timeout=60) as http:

        def call(name: str, *data: object) -> tuple[str, Any]:
            event = http.post(f"call/{name}", json={"data": [*data]}).raise_for_status().json()["event_id"]
            *_, last = http.get(f"call/{name}/{event}").raise_for_status().text.strip().split("\n\n")
            kind, said = last.split("\n")
            return kind.removeprefix("event: "), json.loads(said.removeprefix("data: "))

        with pictures["wide"].open("rb") as file:
            (path,) = http.post("upload", files={"files": file}).raise_for_status().json()
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
        assert call("chat", {"text": "Well?", "files": []}) == ("complete", [TWO_BOXES])
        assert call("chat", {"text": "Well?", "files": []}, [], 0) == ("complete", [TWO_BOXES])
        kind, (_, found, _) = call("ground", picture, "the dog")
        assert (kind, found["boxes"][0]["centre"]) == ("complete", pytest.approx([500, 100], abs=0.2))
        kind, (layouts,) = call("tiles", [picture])
        assert (kind, layouts["images"][0]["size"]) == ("complete", [1000, 400])
        kind, said = call("ground")
        assert (kind, said["error"]) == ("error", "There is no picture; choose one first.")
    assert [request.sampling.temperature for request in scripted.script.requests] == [0.2, 0, 0]


@pytest.mark.slow
def test_chat_streams_text_that_grows(nano, pictures):
    job = nano.client().submit(
        {"text": "What is it?", "files": [handle_file(pictures["wide"])]},
        max_new_tokens=12,
        temperature=0,
        api_name="/chat",
    )
    answer = job.result(timeout=120)
    outputs = job.outputs()
    assert answer
    assert all(answer.startswith(output) for output in outputs)
    assert len(set(outputs)) > 1


@pytest.mark.slow
def test_chat_ends_an_answer_that_repeats_itself_where_that_is_wanted(scripted):
    scripted.script.say, scripted.script.endless, scripted.script.pause = "again. ", True, 0
    asked = {"text": "Well?", "files": []}
    answer = scripted.client().predict(asked, stop_repetition=True, api_name="/chat")
    assert len(answer) >= WIDEST and set(answer.split()) == {"again."}


@pytest.mark.slow
def test_chat_places_pictures_and_takes_history(scripted, pictures):
    answer = scripted.client().predict(
        {"text": "Is <image> in <image>?", "files": [handle_file(pictures["wide"]), handle_file(pictures["turned"])]},
        history=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "image", "image": handle_file(pictures["tall"])}]},
            {"role": "assistant", "content": "A green one."},
        ],
        seed=3,
        api_name="/chat",
    )
    assert answer == "Hello."
    (request,) = scripted.script.requests
    system, question, reply, last = request.messages
    assert (system["content"], reply["content"]) == ("Be brief.", "A green one.")
    assert question["content"][0]["image"].size == (300, 500)
    assert text_of(request) == "Is <picture> in <picture>?"
    assert [part["image"].size for part in last["content"] if part["type"] == "image"] == [(1000, 400), (400, 1000)]
    assert request.sampling.seed == 3
    assert request.allow == {"<|ref|>", "<|/ref|>", "<|grounding|>"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"message": {"text": " ", "files": []}}, "empty"),
        ({"message": {"text": "Hi", "files": []}, "temperature": -1}, "temperature is -1"),
        ({"message": {"text": "Hi", "files": []}, "max_new_tokens": "many"}, "choose a whole number"),
        ({"message": {"text": "Hi", "files": []}, "stop_repetition": "often"}, "choose true or false"),
        ({"message": {"text": "Hi", "files": []}, "history": "Hi"}, "history must be a list"),
        (
            {
                "message": {"text": "Hi", "files": []},
                "history": [{"role": "user", "content": [{"type": "image", "image": {"path": "/etc/passwd"}}]}],
            },
            "must be an uploaded file",
        ),
        (
            {
                "message": {"text": "Hi", "files": []},
                "history": [{"role": "user", "content": {"type": "image", "path": "/etc/passwd"}}],
            },
            "no picture",
        ),
    ],
)
def test_chat_refuses_in_one_sentence(scripted, arguments, said):
    with pytest.raises(AppError, match=said) as refusal:
        scripted.client().predict(**arguments, api_name="/chat")
    assert "\n" not in str(refusal.value)
    assert scripted.script.requests == []


def test_files_that_were_not_uploaded_are_not_opened(scripted):
    file = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError):
        scripted.client().predict(
            {"text": "Hi", "files": []},
            history=[{"role": "user", "content": [{"type": "image", "image": file}]}],
            api_name="/chat",
        )
    assert scripted.script.requests == []


@pytest.mark.slow
def test_failures_are_one_sentence_and_the_next_request_works(scripted, pictures, caplog):
    client = scripted.client()
    with pytest.raises(AppError, match=r"'broken.png' is damaged"):
        client.predict({"text": "What?", "files": [handle_file(pictures["broken"])]}, api_name="/chat")
    scripted.script.say = PromptError("The conversation is too long; write less.")
    with pytest.raises(AppError, match="too long; write less"):
        client.predict({"text": "What?"}, api_name="/chat")
    scripted.script.say = ZeroDivisionError("internal detail")
    with pytest.raises(AppError) as failure:
        client.predict({"text": "What?"}, api_name="/chat")
    assert str(failure.value) == UNEXPECTED
    assert "internal detail" in caplog.text
    scripted.script.say = "Fine."
    assert client.predict({"text": "What?"}, api_name="/chat") == "Fine."


@pytest.mark.slow
def test_cancelling_a_call_stops_the_engine(scripted):
    scripted.script.endless = True
    job = scripted.client().submit({"text": "Go on"}, api_name="/chat")
    wait_until(lambda: job.outputs() or job.done())
    assert not job.done()
    job.cancel()
    assert scripted.script.closed.wait(PATIENCE)


@pytest.mark.slow
def test_ground_returns_picture_boxes_and_text(scripted, pictures):
    scripted.script.say = TWO_BOXES
    drawn, found, text = scripted.client().predict(handle_file(pictures["turned"]), "the dog", api_name="/ground")
    assert text == TWO_BOXES
    (box,), (problem,) = found["boxes"], found["problems"]
    assert (box["label"], box["x2"], box["y2"]) == ("dog", 999, 500)
    assert box["pixels"] == pytest.approx([0, 0, 400, 500 * 1000 / 999])
    assert problem["what"] == "a box needs 4 numbers and has 2"
    with Image.open(drawn if isinstance(drawn, str) else drawn["path"]) as image:
        assert image.size == (400, 1000)
    (request,) = scripted.script.requests
    assert text_of(request) == "<picture>\n<|ref|>the dog<|/ref|>."
    assert (request.sampling.temperature, request.sampling.repetition_penalty) == (0, 1)
    assert request.allow == {"<|ref|>", "<|/ref|>", "<|grounding|>"}


@pytest.mark.slow
def test_ground_describes(scripted, pictures):
    scripted.client().predict(handle_file(pictures["wide"]), "What is there?", "describe", api_name="/ground")
    assert text_of(scripted.script.requests[0]) == "<picture>\n<|grounding|>What is there?"


@pytest.mark.slow
def test_ground_describes_without_a_question(scripted, pictures):
    scripted.client().predict(handle_file(pictures["wide"]), " ", "describe", api_name="/ground")
    assert text_of(scripted.script.requests[0]) == "<picture>\n<|grounding|>Describe this picture."


@pytest.mark.slow
def test_ground_finds_what_an_example_marks(scripted, pictures):
    scripted.script.say = TWO_BOXES
    _, found, _ = scripted.client().predict(
        handle_file(pictures["tall"]),
        mode="in_context",
        example=handle_file(pictures["turned"]),  # its rectangle is in pixels of the upright picture
        rectangle=[10.4, 20, 5000, 900],
        well_formed=False,
        api_name="/ground",
    )
    assert found["boxes"][0]["pixels"][2] == 300
    (request,) = scripted.script.requests
    marked, searched = (part["image"] for part in request.messages[-1]["content"] if part["type"] == "image")
    assert (marked.size, searched.size) == ((400, 1000), (300, 500))
    assert see(marked).getpixel((10, 500)) == see(marked).getpixel((399, 500)) == (255, 0, 0)
    assert "within the red rectangle" in text_of(request)
    assert not request.grammar


@pytest.mark.slow
def test_ground_keeps_boxes_well_formed_and_knows_whose_request_it_is(scripted, pictures, way):
    client = scripted.client()
    client.predict(handle_file(pictures["wide"]), "the dog", api_name="/ground")
    (request,) = scripted.script.requests
    assert request.grammar
    name = client.session_hash
    assert request.owner == (name if way == "local" else f"api 127.0.0.1 {name}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rectangle", "said"),
    [
        (None, "needs an example and a rectangle"),
        ([1, 2, 3], "give four numbers"),
        ([1, 2, "3", 4], "give four numbers"),
        ([50, 2, 20, 40], "holds nothing"),
        ([2000, 2, 3000, 40], "holds nothing"),
    ],
)
def test_ground_refuses_rectangles(scripted, pictures, rectangle, said):
    files = [handle_file(pictures["wide"])] * 2
    with pytest.raises(AppError, match=said):
        scripted.client().predict(files[0], "", "in_context", files[1], rectangle, api_name="/ground")


@pytest.mark.slow
@pytest.mark.parametrize(("phrase", "mode", "said"), [(" ", "find", "nothing to look for"), ("x", "other", "mode")])
def test_ground_refuses(scripted, pictures, phrase, mode, said):
    with pytest.raises(AppError, match=said):
        scripted.client().predict(handle_file(pictures["wide"]), phrase, mode, api_name="/ground")


@pytest.mark.slow
def test_ground_with_nano(nano, pictures):
    _, found, text = nano.client().predict(handle_file(pictures["tall"]), "the dog", api_name="/ground")
    assert isinstance(text, str)
    assert set(found) == {"boxes", "problems"}


@pytest.mark.slow
def test_tiles_agree_with_the_layout(scripted, pictures):
    client = scripted.client()
    found = client.predict([handle_file(pictures["wide"])], api_name="/tiles")
    (image,) = found["images"]
    assert (image["size"], image["grid"], image["canvas"]) == ([1000, 400], [3, 2], [1152, 768])
    assert image["tokens"] == found["tokens"] == 14 * 15 + 1 + 28 * 43
    assert [(part["first"], part["last"]) for part in image["parts"]] == [(0, 209), (210, 210), (211, 1414)]
    assert [candidate["rank"] for candidate in image["candidates"]] == list(range(1, 24))
    three = client.predict([handle_file(pictures["wide"])], 3, api_name="/tiles")
    assert three["images"][0]["grid"] == [1, 1]
    assert three["tokens"] == 421


@pytest.mark.slow
def test_tiles_refuse(scripted, pictures):
    with pytest.raises(AppError, match="is damaged"):
        scripted.client().predict([handle_file(pictures["broken"])], api_name="/tiles")
    with pytest.raises(AppError, match="no picture"):
        scripted.client().predict([], api_name="/tiles")


def test_the_page_says_which_model_is_loaded(scripted):
    with urlopen(scripted.url + "config") as response:
        page = json.dumps(json.load(response))
    assert all(part in page for part in ("script", "12.3 M parameters", "These words are a test&#x27;s."))


def test_other_files_are_not_served(nano):
    for path in (Path(__file__).resolve(), Path("/etc/passwd")):
        with pytest.raises(OSError, match="403"):
            urlopen(f"{nano.url}gradio_api/file={path}")


@pytest.mark.slow
def test_inspect_answers_and_hands_out_what_was_seen(nano, pictures, way):
    images = [handle_file(pictures["wide"])]
    if way == "openai":
        with pytest.raises(AppError, match="cannot be looked into"):
            nano.client().predict(images, "What is there?", api_name="/inspect")
        return
    text, file, about = nano.client().predict(images, "What is there?", api_name="/inspect")
    seen, shown = read(file)
    assert [Image.open(io.BytesIO(each)).size for each in shown] == [layout.image_size for layout in seen.layouts]
    assert about == json.loads(json.dumps(describe(seen)))
    assert "".join(seen.tokens) == text and seen.layouts[0].image_size == (1000, 400)
    with pytest.raises(AppError, match="no question yet"):
        nano.client().predict(images, " ", api_name="/inspect")
