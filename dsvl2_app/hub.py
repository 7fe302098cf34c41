"""Where a checkpoint lies: a folder of this disk, or a repository of the Hugging Face hub, fetched first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from dsvl2_app.errors import CheckpointError

HUB_OPTIONS = ("revision", "token", "cache_dir", "local_files_only", "force_download", "subfolder")
ADAPTER_CONFIG = "adapter_config.json"
TEXT_FILES, ALL_FILES = ("*.json", "*.txt"), ("*.json", "*.txt", "*.safetensors")
# The commits of the released repositories that are meant where none is named, so that nothing changes under an app.
PINNED = {
    "deepseek-ai/deepseek-vl2-tiny": "66c54660eae7e90c9ba259bfdf92d07d6e3ce8aa",
    "deepseek-ai/deepseek-vl2-small": "6033e16432a1d771cf9fe4a6f894ff5e5e1459af",
    "deepseek-ai/deepseek-vl2": "f363772d1c47f4239dd844015b4bd53beb87951b",
}


def find_folder(
    path_or_repo: str | Path, files: tuple[str, ...] = ALL_FILES, subfolder: str | None = "", **hub: Any
) -> Path:
    """The folder of a checkpoint on this disk.

    If `path_or_repo` is a repository id, the files that match `files` are downloaded first; `hub` takes the other
    HUB_OPTIONS, of which `revision` is by default that of PINNED, or else the newest. `subfolder` is where the
    checkpoint lies in the folder or repository. Raises CheckpointError.
    """
    folder, inner = Path(path_or_repo), subfolder or ""
    hub["revision"] = hub.get("revision") or PINNED.get(str(path_or_repo))
    if folder.is_dir():
        return folder / inner
    if folder.exists():
        raise CheckpointError(f"{folder} is a file; give the folder that holds config.json and the weights.")
    try:
        patterns = [f"{inner}/{name}" if inner else name for name in files]
        return Path(snapshot_download(str(path_or_repo), allow_patterns=patterns, **hub)) / inner
    except HFValidationError as error:
        raise CheckpointError(
            f"{path_or_repo} is neither a folder here nor a repository id such as deepseek-ai/deepseek-vl2-tiny."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path_or_repo} is no folder here and could not be downloaded; check the name and the network, or give "
            f"a folder ({type(error).__name__}: {reason})."
        ) from error


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter (LoRA) and no model."""
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").exists()


def find_base(adapter: Path, files: tuple[str, ...] = ALL_FILES, **hub: Any) -> Path:
    """The folder of the model that an adapter changes, found as `find_folder` finds one.

    Of `hub`, `revision` and `subfolder` are ignored, because they belong to the adapter's repository. Raises
    CheckpointError.
    """
    path = adapter / ADAPTER_CONFIG
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error!r}); copy the adapter again.") from error
    try:
        if not base:
            raise CheckpointError("none is named.")
        return find_folder(base, files, **{name: hub[name] for name in hub.keys() - {"revision", "subfolder"}})
    except CheckpointError as error:
        raise CheckpointError(
            f"{adapter} is an adapter, whose model could not be found: {error} Write the model's folder or repository "
            f"as base_model_name_or_path into {ADAPTER_CONFIG}."
        ) from error


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as a dictionary. Raises CheckpointError unless it is that of a DeepSeek-VL2 model."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if is_adapter(folder):
            raise CheckpointError(
                f"{folder} is an adapter; give the folder of a whole DeepSeek-VL2 checkpoint."
            ) from error
        raise CheckpointError(f"{folder} has no config.json; give the folder of a DeepSeek-VL2 checkpoint.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}); copy it again.") from error
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type != "deepseek_vl_v2":
        raise CheckpointError(
            f"{path} describes a model of type {model_type!r}, not deepseek_vl_v2; choose a DeepSeek-VL2 checkpoint."
        )
    return config
