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


def choose_device_map(name: str, device: torch.device) -> torch.device | str:
    """Where the weights go: where no GPU was named, over all of them, and beyond what fits there into the machine's own
    memory, from which they are brought for every token; else on `device`."""
    return "auto" if device.type == "cuda" and name in ("auto", "cuda") else device


def choose_dtype(name: str, config: DeepseekVL2Config, device: torch.device) -> str | None:
    """The number format to run in; None is the checkpoint's own."""
    if name != "auto":
        return name
    narrow = config.language_config.hidden_size < NARROW
    return "float32" if device.type == "cpu" and narrow else None


def gpu_memory(device: torch.device) -> int | None:
    """Bytes that PyTorch has given out there; None where that is no GPU of its allocator."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else None
