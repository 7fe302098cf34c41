"""The kernels are built once for a processor, and kept; what keeps them from being built is said."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from dsvl2_app.errors import SettingsError
from dsvl2_app.runtime.cpu.library import Library, find_compiler, open_cache


def test_tiny_numbers_survive_in_the_rest_of_the_process(library: Library) -> None:
    assert float.fromhex("0x1p-1074") * 1.0 > 0  # what -ffast-math would take away


def test_without_a_compiler_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match="install gcc"):
        Library.build()


@pytest.mark.slow
def test_kernels_are_kept_where_there_is_room(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with open_cache() as folder:
        assert folder == tmp_path / "cache" / "dsvl2" and folder.is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # in which no folder can be made
    with open_cache() as folder:
        assert os.access(folder, os.W_OK)
    assert not folder.exists()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("no home")))
    assert isinstance(Library.build(), Library)


def test_a_compiler_may_have_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "ccache gcc -m64")
    assert find_compiler() == ["ccache", "gcc", "-m64"]


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SettingsError, match="false"):
        Library.build()
