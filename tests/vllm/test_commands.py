"""The commands in docs/serving.md are commands of the vLLM that is installed."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from tests.vllm.conftest import PYTHON

SERVING = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
FLAG = re.compile(r"--[a-z][a-z-]+")


def find_flags() -> set[str]:
    """Of the commands that begin with `vllm serve`, and of the table of vLLM's flags."""
    commands = re.findall(r"^    (vllm serve(?:.*\\\n)*.*)", SERVING, re.MULTILINE)
    table = SERVING[SERVING.index("| flags of vLLM") :].partition("\n\n")[0]
    words = [word for command in commands for word in shlex.split(command.replace("\\\n", " "))]
    return {*filter(FLAG.fullmatch, words), *FLAG.findall(table)}


def test_every_flag_is_one_of_vllms() -> None:
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--help=all"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    flags = find_flags()
    assert {"--chat-template", "--tensor-parallel-size", "--pipeline-parallel-size"} <= flags
    assert flags - set(FLAG.findall(told)) == set()
