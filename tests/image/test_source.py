"""Every name and form of a picture gives the same pixels, and what is none is refused without showing it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops
from transformers.image_transforms import to_pil_image

from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.source import refer_to


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    red, green, blue = (Image.effect_noise((41, 27), spread) for spread in (40, 80, 120))
    return Image.merge("RGB", (red, green, blue))


@pytest.fixture(scope="module")
def file(picture: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "one.png"
    picture.save(path)
    return path


@pytest.fixture(scope="module")
def server(file: Path) -> Iterator[str]:
    """Gives the file at /one.png, one without end at /endless, and moves on from /moved."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/one.png")
                self.end_headers()
                return
            self.send_response(200 if self.path in ("/one.png", "/endless") else 404)
            self.end_headers()
            self.wfile.write(file.read_bytes())
            try:
                while self.path == "/endless":
                    self.wfile.write(bytes(2**16))
            except OSError:  # the client has closed the connection
                pass

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and ImageChops.difference(one, other).getbbox() is None


def test_names_of_a_picture(picture: Image.Image, file: Path, server: str) -> None:
    letters = base64.b64encode(file.read_bytes()).decode()
    lines = "\n".join(letters[start : start + 76] for start in range(0, len(letters), 76))
    for source in (
        picture,
        file,
        str(file),
        file.read_bytes(),
        letters,
        lines,
        f"data:image/png;base64,{letters}",
        f"{server}/one.png",
        f"{server}/moved",
    ):
        assert same(refer_to(source).open(), picture)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_arrays_are_read_as_transformers_does(
    picture: Image.Image, channels_first: bool, kind: str, as_tensor: bool
) -> None:
    array = np.asarray(picture).astype(kind)
    array = array / 255 if kind.startswith("float") else array
    array = np.ascontiguousarray(array.transpose(2, 0, 1)) if channels_first else array
    read = refer_to(torch.from_numpy(array) if as_tensor else array).open()
    assert same(read, to_pil_image(array.astype(np.float32) if as_tensor and kind == "float64" else array))
    assert np.abs(np.asarray(read).astype(int) - np.asarray(picture)).max() <= (1 if kind.startswith("float") else 0)


def test_arrays_of_other_channels(picture: Image.Image) -> None:
    grey = picture.convert("L")
    for array in (np.asarray(grey), np.asarray(grey)[..., None], np.asarray(grey)[None]):
        assert same(refer_to(array).open(), grey.convert("RGB"))
    clear = np.dstack([np.asarray(picture), np.zeros((27, 41), np.uint8)])
    assert same(refer_to(clear).open(), Image.new("RGB", picture.size, "white"))
    assert same(
        refer_to(torch.full((3, 27, 41), 0.5, dtype=torch.bfloat16)).open(), Image.new("RGB", (41, 27), (127,) * 3)
    )


def test_where_both_ends_could_be_channels_the_first_is() -> None:
    array = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    assert refer_to(array).size == (3, 5)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5),
        np.zeros((2, 5, 5, 3)),
        np.zeros((5, 6, 7)),
        np.zeros((0, 5, 3)),
        np.full((5, 5, 3), 300),
        np.full((5, 5, 3), -0.5),
        np.full((5, 5, 3), np.nan),
        np.full((5, 5, 3), "a"),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_arrays_that_are_no_pictures(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="is no picture; give"):
        refer_to(array)


def test_what_cannot_be_opened_is_not_shown(server: str, file: Path) -> None:
    letters = base64.b64encode(b"\0nothing of the sort" * 2000).decode()
    for source, sentence in (
        (letters, "not a picture of a known kind"),
        (f"data:image/png;base64,{letters}", "not a picture of a known kind"),
        (f"data:image/png;base64,{letters[:-1]}", "no whole base64"),
        ("x" * 5000, "."),
        (str(file.with_name("two.png")), "There is no file 'two.png'"),
        (f"{server}/two.png", "cannot be fetched"),
        ("http://127.0.0.1:9/one.png", "cannot be fetched"),
        ("http://[", "cannot be fetched"),
        (5, "not int"),
        (None, "not NoneType"),
    ):
        with pytest.raises(ImageError, match=sentence) as refusal:
            refer_to(source)
        assert len(str(refusal.value)) < 300 and str(file.parent) not in str(refusal.value)


@pytest.mark.slow
def test_a_download_ends_at_the_limit(server: str) -> None:
    with pytest.raises(ImageError, match="the limit is 1 MB"):
        refer_to(f"{server}/endless", Limits(max_bytes=1_000_000))
