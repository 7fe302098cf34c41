"""How commands end, as processes with real pipes and disks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dsvl2_app.errors import ImageError
from dsvl2_app.terminal.manners import run_politely
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
ENDS = "import sys; from dsvl2_app.terminal.manners import run_politely; sys.exit(run_politely(lambda: {}))"


@contextmanager
def start(action: str, **options) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", ENDS.format(action)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, **{"stdout": -1, **options}) as process:
        try:
            yield process
            process.wait(PATIENCE)
        finally:
            process.kill()


def test_a_reader_that_leaves_ends_a_command_without_a_word() -> None:
    with start("[print(n) for n in range(10**6)]") as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("lines", [1, 10**5])  # what fails is the last flush, or a write before
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_sentence(lines: int) -> None:
    with open("/dev/full", "wb") as full, start(f"[print(n) for n in range({lines})]", stdout=full) as process:
        said = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 2
    assert said == "Writing the output failed (No space left on device); free some space or write elsewhere.\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_what_a_terminal_cannot_show_is_a_question_mark(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with start("(print('a 山 b'), print('a 山 b', file=sys.stderr))", env=environment) as process:
        shown, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, shown.split(), said.split()) == (0, [b"a", b"?", b"b"], [b"a", b"\\u5c71", b"b"])


def raise_(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def test_a_mistake_is_a_sentence_and_a_bug_an_exception(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_politely(lambda: None) == 0
    assert run_politely(raise_(ImageError("{name} is empty.", name="a.png"))) == 2
    assert capsys.readouterr() == ("", "a.png is empty.\n")
    assert run_politely(raise_(KeyboardInterrupt())) == 130
    for bug in (PermissionError(13, "no"), ZeroDivisionError()):
        with pytest.raises(type(bug)):
            run_politely(raise_(bug))


@pytest.mark.slow
def test_tiles_of_a_picture_with_any_name_are_shown_in_any_encoding(tmp_path: Path) -> None:
    picture = tmp_path / "山.png"
    picture.write_bytes((ROOT / "assets" / "examples" / "one.png").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "dsvl2_app", "tiles", str(picture)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"?.png: ")
