"""Which device a model goes to, and in which number format."""

from __future__ import annotations

import torch

from dsvl2_app.errors import SettingsError
from dsvl2_app.model.configuration import DeepseekVL2Config

NARROW = 1024  # on a CPU, decoders narrower than this are faster in float32 than in bfloat16


def choose_device(name: str) -> torch.device:
    """ "auto" is the first GPU, else Apple's, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    present = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if (device.index or 0) >= present[device.type]:
        raise SettingsError(f"--device {name}: this machine has no such device; use --device auto or cpu.")
    return device


WEIGHTS_SHARE = 0.7  # of a GPU's free memory, up to which weights leave room for graphs, conversations and the work


def choose_device_map(name: str, device: torch.device, weights: int = 0) -> torch.device | str:
    """Where so many bytes of weights go: where no GPU was named and the first has no room for all, over all of them,
    and beyond what fits there into the machine's own memory, from which they are brought for every token; else on
    `device`. A model on one GPU is many times as fast as the same on two."""
    if device.type != "cuda" or name not in ("auto", "cuda"):
        return device
    several = torch.cuda.device_count() > 1
    return torch.device("cuda:0") if several and fits_alone(weights, torch.cuda.mem_get_info(0)[0]) else "auto"


def fits_alone(weights: int, room: int) -> bool:
    """Whether so many bytes of weights are well placed on one of several GPUs, with so much room."""
    return weights <= WEIGHTS_SHARE * room


def choose_dtype(name: str, config: DeepseekVL2Config, device: torch.device) -> str | None:
    """The number format to run in; None is the checkpoint's own."""
    if name != "auto":
        return name
    narrow = config.language_config.hidden_size < NARROW
    return "float32" if device.type == "cpu" and narrow else None


def gpu_memory(device: torch.device) -> int | None:
    """Bytes that PyTorch has given out there; None where that is no GPU of its allocator."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else None
