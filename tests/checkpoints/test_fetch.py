"""`dsvl2 fetch` and a hub on this machine, over HTTP: whole, resumed, checked, and refused in a sentence."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dsvl2_app.checkpoints.fetch import fetch, list_files
from dsvl2_app.hub import PINNED, find_folder
from dsvl2_app.progress import Progress, listening
from dsvl2_app.settings import RELEASED
from tests.checkpoints.conftest import Run, Start
from tests.checkpoints.hub import Hub

WEIGHTS, LARGE_FILE = "model.safetensors", "second.safetensors"
CHUNK = 10 * 2**20  # what huggingface_hub hands on at once


def cached(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def wanted(hub: Hub) -> dict[str, bytes]:
    return {name: content for name, content in hub.files.items() if name != "README.md"}


def test_every_released_model_has_a_commit() -> None:
    assert set(PINNED) == set(RELEASED.values())
    assert all(len(commit) == 40 and int(commit, 16) for commit in PINNED.values())


@pytest.mark.slow
def test_a_checkpoint_comes_whole_at_its_pinned_commit(hub: Hub, run: Run) -> None:
    done = run("fetch", "tiny", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    folder = Path(told["folder"])
    assert folder.name == told["commit"] == hub.commit
    assert cached(folder) == wanted(hub)
    assert told["bytes"] == told["downloaded"] == sum(map(len, wanted(hub).values()))
    assert {file["name"]: file["size"] for file in told["files"]} == {n: len(c) for n, c in wanted(hub).items()}


@pytest.mark.slow
def test_what_is_there_is_checked_and_not_downloaded_again(hub: Hub, run: Run) -> None:
    run("fetch", "tiny")
    hub.requests.clear()
    done = run("fetch", "tiny", "--json")
    assert json.loads(done.out)["downloaded"] == 0
    assert hub.requests == []


@pytest.mark.slow
def test_a_model_that_was_fetched_is_found_without_a_network(hub: Hub, run: Run) -> None:
    folder = json.loads(run("fetch", "tiny", "--json").out)["folder"]
    hub.close()
    assert find_folder("deepseek-ai/deepseek-vl2-tiny", local_files_only=True) == Path(folder)
    assert find_folder("deepseek-ai/deepseek-vl2-tiny") == Path(folder)


@pytest.mark.slow
def test_a_download_that_broke_goes_on_where_it_ended(hub: Hub, run: Run) -> None:
    """huggingface_hub hands on 10 MiB at a time, and tries five times more by itself."""
    hub.breaks[LARGE_FILE] = CHUNK
    hub.files[LARGE_FILE] = random.Random(0).randbytes(8 * CHUNK)
    hub.refuses.update({LARGE_FILE: 2 * CHUNK})
    broken = run("fetch", "tiny")
    assert broken.status == 2 and len(broken.err.splitlines()) == 1
    assert "run the same command again, which goes on where this one ended" in broken.err
    hub.breaks.clear()
    hub.refuses.clear()
    hub.requests.clear()
    done = run("fetch", "tiny", "--json")
    assert done.status == 0, done.err
    assert hub.requests == [(LARGE_FILE, 2 * CHUNK)]
    told = json.loads(done.out)
    assert told["downloaded"] == 6 * CHUNK
    assert cached(Path(told["folder"])) == wanted(hub)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_download_that_was_stopped_goes_on(stop: signal.Signals, hub: Hub, run: Run, start: Start) -> None:
    hub.files[LARGE_FILE] = random.Random(0).randbytes(4 * CHUNK)
    hub.pauses[LARGE_FILE] = 2 * CHUNK
    command = start("fetch", "tiny")
    assert hub.paused.wait(60)
    time.sleep(0.3)  # for the disk
    command.send_signal(stop)
    assert command.wait(60) == (130 if stop is signal.SIGINT else -stop)
    hub.pauses.clear()
    hub.requests.clear()
    done = run("fetch", "tiny", "--json")
    assert done.status == 0, done.err
    assert [first for name, first in hub.requests if name == LARGE_FILE] == [2 * CHUNK]
    assert cached(Path(json.loads(done.out)["folder"])) == wanted(hub)


@pytest.mark.slow
@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_file_that_arrives_damaged_is_not_kept(name: str, hub: Hub, run: Run) -> None:
    hub.spoilt.add(name)
    done = run("fetch", "tiny")
    assert (done.status, done.out) == (2, "")
    assert done.err == f"{name} of {hub.repo} came damaged; run the same command again.\n"
    hub.spoilt.clear()
    assert run("fetch", "tiny").status == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_file_that_was_damaged_since_is_fetched_again(name: str, hub: Hub, run: Run) -> None:
    folder = Path(json.loads(run("fetch", "tiny", "--json").out)["folder"])
    content = (folder / name).read_bytes()
    (folder / name).resolve().write_bytes(content[:-1] + b"?")
    hub.requests.clear()
    told = json.loads(run("fetch", "tiny", "--json").out)
    assert told["downloaded"] == len(content)
    assert hub.requests == [(name, 0)]
    assert cached(folder) == wanted(hub)


@pytest.mark.slow
def test_into_a_folder(hub: Hub, run: Run, tmp_path: Path) -> None:
    assert run("fetch", hub.repo, "--revision", "main", "--to", "mine").status == 0
    assert cached(tmp_path / "mine") == wanted(hub)
    (tmp_path / "mine" / "config.json").write_text("{}")
    done = run("fetch", hub.repo, "--to", "mine")
    assert (done.status, (tmp_path / "mine" / "config.json").read_text()) == (2, "{}")
    assert "mine/config.json is not that of deepseek-ai/deepseek-vl2-tiny; move it away" in done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["some/thing"], "The hub has no repository some/thing that you may read"),
        (["tiny", "--revision", "nope"], "deepseek-ai/deepseek-vl2-tiny has no revision nope"),
        (["some/where/else"], "some/where/else is no repository id"),
        (["nano"], "nano is here already"),
        (["tinny"], "--model is 'tinny', but must be nano, tiny"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(argv: list[str], sentence: str, run: Run) -> None:
    done = run("fetch", *argv)
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert sentence in done.err


@pytest.mark.slow
def test_a_hub_that_is_out_of_reach_is_one_sentence(start: Start) -> None:
    out, err = (command := start("fetch", "tiny", HF_ENDPOINT="http://127.0.0.1:9")).communicate(timeout=60)
    assert (command.returncode, out, len(err.splitlines())) == (2, "", 1)
    assert "deepseek-ai/deepseek-vl2-tiny could not be fetched (ConnectError" in err


@pytest.mark.slow
def test_a_repository_of_something_else(hub: Hub, run: Run) -> None:
    del hub.files["config.json"]
    done = run("fetch", "tiny")
    assert (done.status, done.out) == (2, "")
    assert "deepseek-ai/deepseek-vl2-tiny has no config.json" in done.err


@pytest.mark.slow
def test_a_full_disk_is_known_before_anything_comes(hub: Hub, run: Run) -> None:
    hub.claims[WEIGHTS] = 2**60
    done = run("fetch", "tiny")
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert "1152921504.6 GB are to come; free some space" in done.err
    assert hub.requests == []


@pytest.mark.slow
def test_progress_is_told_in_bytes(hub: Hub, run: Run) -> None:
    hub.files[LARGE_FILE] = bytes(3 * CHUNK)
    told: list[Progress] = []
    with listening(told.append):
        fetch(list_files(hub.repo))
    downloads = [each for each in told if each.stage == "download"]
    size = sum(map(len, wanted(hub).values()))
    assert [each.done for each in downloads] == sorted(each.done for each in downloads)
    assert (downloads[0].done, downloads[-1].done) == (0, size)
    assert {each.total for each in downloads} == {size}
    assert len(downloads) > 3


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_is(hub: Hub, start: Start) -> None:
    hub.files[LARGE_FILE] = bytes(3 * CHUNK)
    reader, writer = pty.openpty()
    command = start("fetch", "tiny", stderr=writer, TERM="xterm", COLUMNS="120")
    os.close(writer)
    shown = b""
    while piece := read_terminal(reader):
        shown += piece
    os.close(reader)
    assert command.stdout
    said = command.stdout.read()
    assert b"Downloading" in shown and b"33.2/33.2 MB" in shown
    assert "8 files, 0.03 GB" in said and "Every size and hash is right." in said


def read_terminal(reader: int) -> bytes:
    try:
        return os.read(reader, 65536)
    except OSError:  # how Linux tells that the other end is closed
        return b""


def wait_for_status(url: str, seconds: float = 200) -> Iterator[dict[str, Any]]:
    """What /readyz says, again and again, until it is ready."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            told = httpx.get(f"{url}/readyz", timeout=10).json()
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        yield told
        if told["status"] == "ready":
            return
        time.sleep(0.05)
    raise AssertionError("it was never ready")


@pytest.fixture
def app_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@pytest.mark.slow
def test_the_page_is_up_while_weights_are_downloaded(hub: Hub, start: Start, app_port: str, tmp_path: Path) -> None:
    hub.pauses[WEIGHTS] = 0
    flags = ["--model", hub.repo, "--port", app_port, "--compile", "off"]
    app = start("serve", *flags, DSVL2_CACHE_MB="1")
    url, seen = f"http://127.0.0.1:{app_port}", []
    for told in wait_for_status(url):
        seen.append(told)
        if told["status"] == "loading" and told["loading"]["stage"] == "download" and hub.pauses:
            assert "DeepSeek-VL2" in httpx.get(url, timeout=60).text
            hub.pauses.clear()
            hub.resume.set()
    loading = [told["loading"] for told in seen if told["status"] == "loading"]
    assert {each["total"] for each in loading if each["stage"] == "download"} == {len(hub.files[WEIGHTS])}
    assert seen[-1]["status"] == "ready"
    app.send_signal(signal.SIGTERM)
    assert app.wait(60) in (0, 130)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["tiny"])
def test_weights_that_are_damaged_end_the_app_in_a_sentence(checkpoint_copy: Path, start: Start, app_port: str) -> None:
    """In the background of a shell too, where Ctrl-C is ignored."""
    weights = checkpoint_copy / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-8])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        app = start("serve", "--model", str(checkpoint_copy), "--port", app_port, "--compile", "off")
    finally:
        signal.signal(signal.SIGINT, before)
    _, err = app.communicate(timeout=200)
    assert (app.returncode, len(err.splitlines())) == (2, 1)
    assert "model.safetensors is damaged or incomplete" in err or "cannot be read" in err
