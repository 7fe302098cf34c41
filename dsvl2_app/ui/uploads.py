"""Files that a browser or a client has sent -> pictures, and pictures -> files that a browser can show.

Events take uploads as Gradio's bare dicts (`preprocess=False`): its own preprocessing would decode them before any
limit is checked, and answer a broken one with an error for programmers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import gradio as gr
from PIL import Image

from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.errors import ImageError, PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.pixels import LARGE
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Caller
from dsvl2_app.settings import Settings
from dsvl2_app.ui.gradio_quirks import encode_picture, fetch_upload, has_session, is_upload, upload_folder, upload_path

PREVIEW_SIDE = 1280  # px
LONGEST_WEBP, LONGEST_JPEG = 16_383, 65_500  # px that their encoders take
LONGEST_NAME = 200  # bytes; file systems take 255, and downloads add to it
BESIDE = ("files", "images", "image")  # where clients put the pictures of a message
KINDS = ["image", ".heic", ".heif", ".avif", ".webp", ".pdf", ".mp4", ".webm", ".mov"]  # what file pickers offer


@contextmanager
def own_folder() -> Iterator[None]:
    """Uploads lie in a folder of this process, which is removed at its end, within GRADIO_TEMP_DIR if that is set. In a
    folder that processes share, the first one to end would remove the files of the others: Gradio names files by what
    they hold. The page must be built within."""
    shared = os.environ.get("GRADIO_TEMP_DIR")
    if shared:
        os.makedirs(shared, exist_ok=True)
    with TemporaryDirectory(prefix="dsvl2-", dir=shared, ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield


def image_limits(settings: Settings) -> Limits:
    return Limits(max_pixels=settings.max_megapixels * 1_000_000)


def refuse_path() -> ImageError:
    return ImageError("A picture must be an uploaded file; clients send it with handle_file(path or URL).")


def uploaded_path(file: Any) -> str:
    """Of an upload, or of a bundled example; of nothing else on this machine, whatever a file object says of itself and
    wherever links lead."""
    if file is None:
        raise ImageError("There is no picture; choose one first.")
    if isinstance(file, str):
        return fetch(file)
    if not is_upload(file):
        raise refuse_path()
    path = Path(str(file["path"]).replace("\0", "")).resolve()
    if not any(path.is_relative_to(folder) for folder in (upload_folder(), EXAMPLES.resolve())):
        raise refuse_path()
    return str(path)


def uploaded_name(file: Any) -> str:
    """The name that a file had where it comes from; Gradio's path of it lacks some characters. Never a path."""
    name = file.get("orig_name") if isinstance(file, dict) else None
    name = re.split(r"[/\\]", name.encode("utf-8", "replace").decode())[-1] if isinstance(name, str) else ""
    name = "".join(filter(str.isprintable, name))
    fits = name.strip(". ") and len(name.encode()) <= LONGEST_NAME
    return name if fits else Path(file["path"] if isinstance(file, dict) else uploaded_path(file)).name


def fetch(address: str) -> str:
    """A picture as MCP clients name it in a list, where Gradio leaves names alone: an http(s) or data URL."""
    try:
        if address.startswith(("data:image/", "http://", "https://")):
            return fetch_upload(address)
    except Exception:
        shown = address.partition(",")[0] if address.startswith("data:") else address
        raise ImageError(
            "{address} cannot be fetched; give the public address of a picture.", address=shown[:100]
        ) from None
    raise ImageError("A picture must be an uploaded file, or an address that begins with https:// or data:image/.")


@lru_cache(maxsize=256)
def measure(path: str, limits: Limits, frame: int = 0) -> ImageRef:
    """The picture in an upload's file, or a page of it. Those lie in folders named after what is in them, so they never
    change."""
    return ImageRef.of(path, frame=frame, limits=limits)


def list_files(images: Any) -> list[Any]:
    """The files that a client has sent, one or several or none."""
    return images if isinstance(images, list) else [] if images is None else [images]


def gallery_paths(gallery: Any) -> list[str]:
    """What a gr.Gallery holds."""
    return [uploaded_path(item.get("image") or item.get("video")) for item in gallery or []]


def read_message(message: Any) -> tuple[str, list[str]]:
    """What a gr.MultimodalTextbox holds, as something to answer: text and paths of pictures."""
    text, paths = read_parts(message)
    if not text.strip():
        if paths:
            raise PromptError("There is no question about the picture yet; type one.")
        raise PromptError("The message is empty; type a question.")
    return text, paths


def read_parts(message: Any) -> tuple[str, list[str]]:
    """What a gr.MultimodalTextbox holds while it is being written, when either may be missing."""
    if isinstance(message, str):
        message = {"text": message}
    if not isinstance(message, dict):
        raise PromptError('A message must be text or {"text": ..., "files": [...]}.')
    text, others = message.get("text") or "", message.keys() - {"text", *BESIDE}
    if not isinstance(text, str) or any(message[name] not in (None, "", []) for name in others):
        raise PromptError('A message must be {"text": ..., "files": [...]}, text first, then a list of pictures.')
    return text, [uploaded_path(file) for file in list_beside(message)]


def list_beside(message: dict[str, Any]) -> list[Any]:
    """The pictures that stand beside a message's text, under any of the names that clients give them."""
    given = [message[name] for name in BESIDE if message.get(name)]
    return [file for value in given for file in (value if isinstance(value, list) else [value])]


def name_caller(request: gr.Request | None) -> Caller:
    """Whose request it is (see request.Request): one page that is open, or one client; "" where it cannot come
    back."""
    if request is None:
        return Caller()
    client = request.client if request.request is not None else None
    return Caller(str(request.session_hash) if has_session(request) else "", client.host if client else "")


def shrink(image: Image.Image) -> Image.Image:
    """A picture of its own, small enough to be shown quickly."""
    share = PREVIEW_SIDE / max(image.size)
    if share >= 1:
        return image.copy()
    size = max(1, round(image.width * share)), max(1, round(image.height * share))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


@lru_cache(maxsize=8)  # of at most 5 MB each
def preview(image: ImageRef) -> Image.Image:
    """The picture, shrunk. It is kept for a while and shared: callers draw boxes on copies of it."""
    return shrink(image.open_small(PREVIEW_SIDE))


def save_preview(image: Image.Image | ImageRef) -> str:
    """A file in Gradio's cache that every browser can show, whatever format was uploaded."""
    small = preview(image) if isinstance(image, ImageRef) else shrink(image)
    return save_upload(encode_picture(small, "webp"), "picture.webp")


def encode_small(image: Image.Image, side: int) -> bytes:
    """A .webp at most `side` px long."""
    small = image.copy()
    small.thumbnail((side, side))
    return encode_picture(small, "webp")


def save_picture(image: Image.Image, name: str) -> str:
    """A .png in Gradio's cache, to the pixel."""
    return save_upload(encode_picture(image, "png"), name)


def save_drawing(image: Image.Image) -> str:
    """A file in Gradio's cache, of the picture's size: WebP where that is small, else JPEG, because WebP takes seconds
    for the largest pictures and no side beyond 16,383 px; PNG beyond those of a JPEG."""
    data, suffix = encode_drawing(image)
    return save_upload(data, f"image.{suffix}")


def encode_drawing(image: Image.Image) -> tuple[bytes, str]:
    """The bytes of such a file, and its suffix."""
    longest = max(image.size)
    if longest <= LONGEST_WEBP and image.width * image.height <= LARGE:
        return encode_picture(image, "webp"), "webp"
    kind, suffix = ("jpeg", "jpg") if longest <= LONGEST_JPEG else ("png", "png")
    return encode_picture(image, kind), suffix


def save_upload(data: bytes, name: str) -> str:
    """A file in Gradio's cache, as if it had been uploaded under that name. A file that is there already is not written
    again, because a browser may be reading it, and is there as a whole or not at all, whatever goes wrong. Its time is
    set to now, because Gradio removes old files."""
    path = upload_path(data, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.touch()
    else:
        part = path.with_name(uuid4().hex)
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return str(path)
