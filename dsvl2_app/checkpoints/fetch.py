"""A repository of the hub -> its checkpoint on this disk, resumed where it was interrupted, sizes and hashes checked.

huggingface_hub begins an interrupted file anew. Here what has come of one stays beside its place until its hash is
right; only then does it get the name under which huggingface_hub, and with it every loader, looks for it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import HfApi, constants, hf_hub_url, snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import WeakFileLock, build_hf_headers, logging
from huggingface_hub.utils import tqdm as HubBar

from dsvl2_app.errors import CheckpointError
from dsvl2_app.hub import ALL_FILES, PINNED
from dsvl2_app.progress import Meter

TRANSPORT_ERRORS = (httpx.TransportError,)
with suppress(ImportError):
    import httpx2  # what huggingface_hub asks with from 2.0 on; other libraries may have installed it before

    TRANSPORT_ERRORS += (httpx2.TransportError,)

AT_ONCE = 4  # files
PIECE = 2**22  # bytes that are hashed at once


@dataclass(frozen=True, slots=True)
class File:
    name: str
    size: int
    digest: str  # hexadecimal: SHA-256 of a large file, git's SHA-1 of a small one; its name in the hub's cache

    def is_right(self, path: Path, tell: Callable[[int], None]) -> bool:
        """Whether `path` has this content; bytes read are told as they are read."""
        if path.stat().st_size != self.size:
            return False
        is_large = len(self.digest) == 64
        digest = hashlib.sha256() if is_large else hashlib.sha1(b"blob %d\0" % self.size)  # noqa: S324  # git's own name of a file
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                tell(len(piece))
        return digest.hexdigest() == self.digest


@dataclass(frozen=True, slots=True)
class Listing:
    """A checkpoint's files at one commit."""

    repo: str
    commit: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Fetched:
    listing: Listing
    folder: Path
    downloaded: int  # bytes that came over the network


def list_files(repo: str, revision: str | None = None) -> Listing:
    """What the hub has of a checkpoint at `revision`, else at PINNED's, else at the newest. Raises CheckpointError."""
    revision = revision or PINNED.get(repo)
    with explained(repo, revision):
        api = HfApi()
        commit = api.model_info(repo, revision=revision).sha or ""
        entries = list(api.list_repo_tree(repo, recursive=True, revision=commit))
    files = [
        File(each.path, each.size, each.lfs.sha256 if each.lfs else each.blob_id)
        for each in entries
        if isinstance(each, RepoFile) and any(fnmatch(each.path, pattern) for pattern in ALL_FILES)
    ]
    if not any(file.name == "config.json" for file in files):
        raise CheckpointError(f"{repo} has no config.json; give the repository of a DeepSeek-VL2 checkpoint.")
    return Listing(repo, commit, tuple(files))


def fetch(listing: Listing, folder: Path | None = None) -> Fetched:
    """Have the files in `folder`, or in the hub's cache, where --model finds them; those that are there and right stay.
    Raises CheckpointError, after which another call goes on where this one ended."""
    cache = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=listing.repo, repo_type="model")
    places = {file: folder / file.name if folder else cache / "blobs" / file.digest for file in listing.files}
    with explained(listing.repo, listing.commit):
        wrong = _find_wrong({file: place for file, place in places.items() if place.exists()})
        for place in wrong:
            if folder:
                raise CheckpointError(f"{place} is not that of {listing.repo}; move it away, or choose another folder.")
            place.unlink()
        missing = {file: place for file, place in places.items() if not place.exists()}
        _check_room(missing)
        downloaded = _download(listing, missing)
        if folder is None:
            options: dict[str, Any] = {"allow_patterns": [*ALL_FILES], "tqdm_class": _Silent}
            folder = Path(snapshot_download(listing.repo, revision=listing.commit, **options))
    return Fetched(listing, folder, downloaded)


@contextmanager
def explained(repo: str, revision: str | None) -> Iterator[None]:
    """What goes wrong between here and the hub, as CheckpointError in one sentence; huggingface_hub says nothing of its
    own meanwhile."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except HFValidationError as error:
        raise CheckpointError(f"{repo} is no repository id such as deepseek-ai/deepseek-vl2-tiny.") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repo} has no revision {revision}; choose another --revision, such as main.") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"The hub has no repository {repo} that you may read; check the name, or log in with `hf auth login`."
        ) from error
    except (OSError, *TRANSPORT_ERRORS) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{repo} could not be fetched ({type(error).__name__}: {reason}); once that is mended, run the same "
            "command again, which goes on where this one ended."
        ) from error
    finally:
        logging.set_verbosity(verbosity)


class _Silent(HubBar):
    """A bar that shows nothing."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "disable": True})


def _run_each(meter: Meter, job: Callable[[File, Path], Any], places: Mapping[File, Path]) -> list[Any]:
    """What `job` gives for each file, several at once; the first that fails, or an interrupt, stops the others."""
    with ThreadPoolExecutor(AT_ONCE, "fetch") as pool:
        jobs = [pool.submit(job, file, place) for file, place in places.items()]
        try:
            return [each.result() for each in jobs]
        except BaseException:
            meter.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _find_wrong(places: Mapping[File, Path]) -> list[Path]:
    meter = Meter("check", sum(file.size for file in places))
    right = _run_each(meter, lambda file, place: file.is_right(place, meter.add), places)
    return [place for place, is_right in zip(places.values(), right, strict=True) if not is_right]


def _download(listing: Listing, places: Mapping[File, Path]) -> int:
    """Bytes that came."""
    known = sum(_count_known(place) for place in places.values())
    meter = Meter("download", sum(file.size for file in places), known)
    headers = build_hf_headers()

    class Bar(_Silent):  # how huggingface_hub tells of bytes that came
        def update(self, n: float | None = 1) -> None:
            meter.add(int(n or 0))

    def download(file: File, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = _partial(place)
        lock = place.with_name(place.name + ".lock")
        with WeakFileLock(lock):
            if place.exists():  # another process had the lock
                return
            with partial.open("ab") as target:
                url = hf_hub_url(listing.repo, file.name, revision=listing.commit)
                options: dict[str, Any] = {"resume_size": target.tell(), "expected_size": file.size}
                http_get(url, target, headers=headers, tqdm_class=Bar, **options)
            if not file.is_right(partial, lambda _: None):
                partial.unlink()
                raise CheckpointError(f"{file.name} of {listing.repo} came damaged; run the same command again.")
            os.replace(partial, place)
            with suppress(OSError):
                lock.unlink()

    _run_each(meter, download, places)
    return meter.done - known


def _check_room(places: Mapping[File, Path]) -> None:
    wanted = sum(file.size - _count_known(place) for file, place in places.items())
    for place in [*places.values()][:1]:
        there = next(folder for folder in place.absolute().parents if folder.exists())
        free = shutil.disk_usage(there).free
        if wanted > free:
            raise CheckpointError(
                f"{there} has room for {free / 1e9:.1f} GB and {wanted / 1e9:.1f} GB are to come; free some space, or "
                "choose another folder with --to or HF_HOME."
            )


def _count_known(place: Path) -> int:
    """Bytes that came before."""
    partial = _partial(place)
    return partial.stat().st_size if partial.exists() else 0


def _partial(place: Path) -> Path:
    return place.with_name(place.name + ".partial")
