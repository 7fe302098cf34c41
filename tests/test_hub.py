"""A checkpoint by its name: a folder, a repository, a config.json of the right kind, or one sentence why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvl2_app.errors import CheckpointError
from dsvl2_app.hub import find_folder, read_config


def test_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_folder(tmp_path) == find_folder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("source", ["/no/such/folder", "a/b/c", "what is this?"])
def test_neither_folder_nor_repository(source: str) -> None:
    with pytest.raises(CheckpointError, match="neither a folder here nor a repository id"):
        find_folder(source)


@pytest.mark.parametrize("variant", ["tiny"])
def test_file_in_place_of_a_folder(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="is a file; give the folder"):
        find_folder(checkpoint / "config.json")


def test_repository_that_cannot_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nobody/nothing is no folder here and could not be downloaded"):
        find_folder("nobody/nothing", cache_dir=tmp_path, local_files_only=True)


def test_no_config(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json; give the folder of a DeepSeek-VL2 checkpoint"):
        read_config(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"model_type": deepseek}', "\x00"])
def test_config_that_is_no_json(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read as JSON"):
        read_config(tmp_path)


def test_config_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read as JSON"):
        read_config(tmp_path)


@pytest.mark.parametrize(("content", "named"), [("[]", "None"), ("{}", "None"), ('{"model_type": "llava"}', "llava")])
def test_config_of_another_model(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"of type '?{named}'?, not deepseek_vl_v2"):
        read_config(tmp_path)
