"""Room for uploads: what an address may send, what lies there in all, how long; nothing stays of what is cut off."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.settings import Settings
from dsvl2_app.ui import storage
from dsvl2_app.ui.gradio_quirks import upload_folder
from dsvl2_app.ui.page import build
from dsvl2_app.ui.storage import HOUR, MOST_FILES, PART, hold, sweep
from dsvl2_app.ui.tabs.chat.conversation import Conversation
from tests.ui.conftest import CARD, App, serve_page
from tests.ui.test_leaving import Visitor
from tests.waiting import wait_until

LIMITS = ["--max-upload-files", "6", "--max-upload-mb", "3", "--max-disk-mb", "60"]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """In a folder of its own, because what other tests have sent takes room too."""
    script = ScriptedBackend(card=CARD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("narrow")))
        yield from serve_page(script, Settings.parse(LIMITS, {}), script)


def send(app: App, *files: bytes, address: str = "") -> httpx.Response:
    headers = {"X-Forwarded-For": address} if address else {}
    named = [("files", (f"{number}.bin", data)) for number, data in enumerate(files)]
    return httpx.post(f"{app.url}gradio_api/upload", files=named, headers=headers, timeout=30)


def parts() -> list[Path]:
    """Of uploads that are not whole."""
    return [path for path in upload_folder().iterdir() if path.is_file()]


class Shown:
    def __init__(self, *files: Path) -> None:
        self.files = set(files)


def put(path: Path, age: float) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"pixels")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_nobody_uses_goes_after_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + HOUR + 60
    old, shown = put(tmp_path / "a" / "old.png", 0), put(tmp_path / "b" / "shown.png", 0)
    begun, given_up = put(tmp_path / "tmpnew", 0), put(tmp_path / "tmpold", 0)
    os.utime(begun, (later - PART / 2,) * 2)
    holder = Shown(shown)
    hold(holder)
    sweep(tmp_path, time.time() + HOUR - 60)
    assert old.exists() and shown.exists() and not given_up.exists()
    sweep(tmp_path, later)
    assert not old.parent.exists() and shown.exists() and begun.exists()
    del holder
    sweep(tmp_path, later)
    assert not shown.exists()


def test_a_conversation_shows_its_files_until_it_is_abandoned(tmp_path: Path, pictures: dict[str, Path]) -> None:
    from dsvl2_app.ui.tabs.chat.archive import read_archive, write_archive
    from dsvl2_app.ui.tabs.chat.conversation import Attachment, Turn
    from dsvl2_app.ui.uploads import image_limits, measure

    limits = image_limits(Settings())
    picture = Attachment.of(measure(str(pictures["tall"]), limits))
    conversation = Conversation([Turn("Well?", (picture,), "Hello.", finish="eos")])
    imported = read_archive(str(write_archive(conversation, tmp_path / "a.zip")), limits)
    assert imported.files <= storage.held_files() and len(imported.files) == 2
    imported.abandon()
    assert imported.files == set()


@pytest.mark.slow
def test_an_address_sends_so_much_in_an_hour(narrow: App) -> None:
    assert send(narrow, *[b"x"] * 5, address="203.0.113.1").status_code == 200
    refused = send(narrow, b"x", b"y", address="203.0.113.1")
    assert (refused.status_code, refused.text) == (
        413,
        "6 files within an hour are the most that this server takes from a network address; try again later.",
    )
    assert send(narrow, b"x" * 2_000_000, address="203.0.113.2").status_code == 200
    refused = send(narrow, b"x" * 1_100_000, address="203.0.113.2")
    assert refused.status_code == 413 and refused.text.startswith("3 MB within an hour are the most")
    assert send(narrow, b"x", address="203.0.113.3").status_code == 200
    assert send(narrow, *[b"x"] * 20).status_code == 200  # of this machine
    assert parts() == []


@pytest.mark.slow
def test_a_request_brings_so_many_files(narrow: App) -> None:
    assert send(narrow, *[b"x"] * MOST_FILES).status_code == 200
    refused = send(narrow, *[b"y"] * (MOST_FILES + 300))
    assert (refused.status_code, refused.text) == (
        413,
        f"A request may bring {MOST_FILES} files at most; send them in several.",
    )
    assert parts() == []


@pytest.mark.slow
def test_the_disk_takes_so_much_in_all(narrow: App) -> None:
    kept = [send(narrow, os.urandom(25_000_000)).json()[0] for _ in range(2)]
    refused = send(narrow, os.urandom(25_000_000))
    assert (refused.status_code, refused.text) == (413, "The server's room for files, 60 MB, is full; try again later.")
    for path in kept:
        Path(path).unlink()
    assert send(narrow, b"x").status_code == 200


def test_gradio_deletes_nothing_by_itself() -> None:
    """After a day it would delete what is shown all the same: pictures of examples, and of sessions that go on."""
    assert build(ScriptedBackend(card=CARD), Settings()).delete_cache is None


@pytest.mark.slow
def test_visitors_files_go_by_themselves_and_those_of_the_page_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "EVERY", 0.2)
    forgotten: list[Any] = []
    monkeypatch.setattr("dsvl2_app.ui.page.forget_files", forgotten.append)
    script = ScriptedBackend(card=CARD)
    for app in serve_page(script, Settings(), script):
        page = httpx.get(app.url).text
        names = set(re.findall(rf'"({upload_folder()}/[^"]+)"', page))
        assert len(names) > 5  # the pictures of its examples
        (sent,) = send(app, b"x").json()
        assert Path(sent).exists()
        monkeypatch.setattr(storage, "HOUR", 0.5)
        wait_until(lambda sent=sent: not Path(sent).exists())
        assert {httpx.get(f"{app.url}gradio_api/file={name}").status_code for name in names} == {200}
        wait_until(lambda: len(forgotten) > 1)


@pytest.mark.slow
def test_an_upload_that_is_cut_off_leaves_nothing(narrow: App, capfd: pytest.CaptureFixture[str]) -> None:
    address = urlsplit(narrow.url)
    head = b'--cut\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    for told in (b"Content-Length: 5000000\r\n", b"Transfer-Encoding: chunked\r\n"):
        with socket.create_connection((address.hostname, address.port), 10) as connection:
            lines = (
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
            )
            body = head + b"x" * 300_000
            sent = body if told.startswith(b"Content") else b"%x\r\n%s\r\n" % (len(body), body)
            connection.sendall(lines + told + b"\r\n" + sent)
            wait_until(parts)
        wait_until(lambda: not parts())
    assert "Traceback" not in "".join(capfd.readouterr())
    assert Visitor(narrow.url).run("chat", {"text": "Well?", "files": []})["success"]
