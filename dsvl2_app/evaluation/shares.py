"""One run by several processes, each with a model of its own and a share of the rows; accelerate starts and joins them.

`--processes N` starts them itself; `accelerate launch --multi_gpu -m dsvl2_app eval ...` does the same, over several
machines too where all of them see the folder of --out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from dsvl2_app.errors import ServerError
from dsvl2_app.settings import Settings

LONGEST_WAIT = timedelta(days=30)  # of the first that is ready for the last


@dataclass(frozen=True, slots=True)
class Share:
    """Which of `count` processes this is; alone, it is the first of one."""

    index: int = 0
    count: int = 1
    place: int = 0  # among those of this machine

    @classmethod
    def find(cls) -> Share:
        """What a launcher says in the environment. Waits until every process has come."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        from accelerate import PartialState

        # cpu: they speak over sockets (gloo) whatever they compute on, because they only say what they are done with.
        state = PartialState(cpu=True, timeout=LONGEST_WAIT)
        return cls(state.process_index, state.num_processes, state.local_process_index)

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def has(self, number: int) -> bool:
        """Whether a row, counted from 1, is asked by this process: every `count`-th is."""
        return (number - 1) % self.count == self.index

    def gather(self, found: list[Any]) -> list[Any]:
        """What all of them found, in the order of the processes; waits for all."""
        if self.count == 1:
            return found
        from accelerate.utils import gather_object

        return gather_object(found)

    def settle(self, settings: Settings) -> Settings:
        """With a GPU of its own for each process of a machine, where there are GPUs and none is named."""
        if self.count == 1 or settings.device not in ("auto", "cuda"):
            return settings
        import torch

        if not torch.cuda.is_available():
            return settings
        return replace(settings, device=f"cuda:{self.place % torch.cuda.device_count()}")


def launch(processes: int, arguments: Sequence[str]) -> None:
    """Run `dsvl2` with these arguments in so many processes, and share the cores out among them. Raises ServerError
    where one fails, after what it said itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {"OMP_NUM_THREADS": str(max(1, cores // processes)), **os.environ}
    options = ["--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no"]  # else it warns of each that it chose
    options += ["--multi_gpu"]  # also where there is no GPU: with --cpu it starts one process without saying so
    command = [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", "dsvl2_app", *arguments]
    if subprocess.run(command, env=environment, check=False).returncode:  # noqa: S603  # this very command
        raise ServerError(
            "One of {processes} processes failed, and the others were ended; what it said stands above. The same "
            "command goes on from there.",
            processes=processes,
        )
