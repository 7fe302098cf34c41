"""What was learnt outlives a full disk: /dev/full is one, and writers that fail stand for the rest."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from dsvl2_app.errors import SettingsError
from dsvl2_app.finetune import keeping
from dsvl2_app.finetune.keeping import Log, try_to_write, write_somewhere, write_whole


def write(folder: Path) -> None:
    (folder / "weights").write_text("new")
    (folder / "config").write_text("new")


def fill_the_disk(folder: Path) -> None:
    (folder / "weights").write_text("ha")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_lay_there_stays_until_all_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "weights").write_text("old")
    with pytest.raises(OSError):
        write_whole(tmp_path, fill_the_disk)
    try_to_write(tmp_path, fill_the_disk)
    assert "No space left on device" in capsys.readouterr().err
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("weights", "old")]
    write_whole(tmp_path, write)
    assert sorted((file.name, file.read_text()) for file in tmp_path.iterdir()) == [
        ("config", "new"),
        ("weights", "new"),
    ]


def test_a_folder_that_cannot_take_it_has_a_spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spare = tmp_path / "spare"
    monkeypatch.setattr(keeping.tempfile, "mkdtemp", lambda prefix: spare.mkdir() or str(spare))
    (tmp_path / "out").write_text("a file, so no folder can be made")
    with pytest.raises(SettingsError, match=r"out cannot be written .* what was learnt is in .*spare instead"):
        write_somewhere(tmp_path / "out", write)
    assert (spare / "weights").read_text() == "new"


def test_nowhere_to_write_is_told_with_both_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping.tempfile, "tempdir", str(tmp_path / "spare"))
    (tmp_path / "spare").mkdir()
    with pytest.raises(SettingsError, match=r"nor .*free some space"):
        write_somewhere(tmp_path / "out", fill_the_disk)
    assert not list((tmp_path / "spare").iterdir()) and not list((tmp_path / "out").iterdir())


def test_the_log_is_json_whatever_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with Log(tmp_path / "new") as log:
        log.note(step=1, loss=2.5)
        with pytest.raises(ValueError):
            log.note(step=2, loss=float("nan"))
    assert [json.loads(line) for line in log.path.read_text().splitlines()] == [{"step": 1, "loss": 2.5}]
    with Log(tmp_path / "new", wanted=False) as silent:
        silent.note(step=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "log.jsonl").symlink_to("/dev/full")
    with Log(tmp_path / "full") as log:
        log.note(step=1)
        log.note(step=2)
    assert len(capsys.readouterr().err.splitlines()) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="give another --out"):
        Log(tmp_path / "file")
