"""Bad and odd files, and words, over HTTP: each is answered, and so is whoever comes next."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.hostile.corpus import build
from tests.hostile.words import CONTROL, PLACES, SCRIPTS, WRITINGS
from tests.ui.conftest import App

# Pillow warns of metadata that it leaves out.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{each}:UserWarning")
    for each in (".*EXIF", "Truncated File Read", "Invalid APNG")
]


# Of what differs by where a file was cut or by how it is turned alone, some: all are read by hostile/test_files.py.
REPEATED = re.compile(r"cut-[2-46-9]\.|turned-[2-57-8]\.")


@pytest.mark.slow
@pytest.mark.timeout(390)
def test_the_page_answers_each_and_whatever_comes_next(
    scripted: App, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Through /ground, which decodes a picture, draws on it and writes it."""
    assert scripted.script
    scripted.script.say = "<|ref|>it<|/ref|><|det|>[[100, 100, 800, 800]]<|/det|>"
    scripted.script.pause = 0
    files = [file for file in build() if not REPEATED.match(file.name)]
    clients = local()  # one a thread: in gradio_client, whoever asks as another one's stream ends waits for nothing
    assert len(files) > 250

    def ask(number: int) -> str | None:
        file = files[number]
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / file.name
        path.write_bytes(file.data)
        try:
            drawn, found, _ = clients.one.predict(handle_file(path), "it", api_name="/ground")
        except AppError as error:
            said = str(error)
            return None if file.size is None and "\n" not in said and said.endswith(".") else f"refused: {said}"
        with Image.open(drawn) as image:
            fits = image.size == file.size and len(found["boxes"]) == 1
        return None if fits else f"shown: {image.size}, {found}"

    def connect() -> None:
        clients.one = scripted.client()

    with ThreadPoolExecutor(8, initializer=connect) as threads:
        faults = list(threads.map(ask, range(len(files))))
    assert {file.name: fault for file, fault in zip(files, faults, strict=True) if fault} == {}
    assert httpx.get(f"{scripted.url}healthz").status_code == 200
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.slow
def test_words_arrive_as_they_were_typed(scripted: App) -> None:
    assert scripted.script
    client = scripted.client()
    typed = [*CONTROL, *SCRIPTS, *WRITINGS, *PLACES]
    for words in typed:
        assert client.predict({"text": f"Say {words}.", "files": []}, api_name="/chat") == "Hello."
    requests = scripted.script.requests
    contents = [request.messages[-1]["content"] for request in requests]
    arrived = [each if isinstance(each, str) else "".join(part["text"] for part in each) for each in contents]
    assert arrived == [f"Say {words}." for words in typed]
    assert {request.allow for request in requests} == {frozenset({"<|ref|>", "<|/ref|>", "<|grounding|>"})}


@pytest.mark.slow
@pytest.mark.parametrize("word", ["word ", "<|User|>", "\u202e", "<script>"])
def test_a_megabyte_of_words_is_refused_and_the_next_is_answered(nano: App, word: str) -> None:
    client = nano.client()
    with pytest.raises(AppError, match="write less") as refusal:
        client.predict({"text": word * (1_000_000 // len(word)), "files": []}, api_name="/chat")
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200
    assert isinstance(client.predict({"text": "Hi", "files": []}, max_new_tokens=2, api_name="/chat"), str)
