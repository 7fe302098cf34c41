"""Whatever names or holds a picture, as transformers accepts it -> a reference: the one entrance of pictures.

Names are opened here: a path, an http(s) or data URL, letters of base64. Whoever takes them from strangers must not
come here (see `PromptBuilder.build`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from torch import Tensor

from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import USUAL, Limits
from dsvl2_app.image.reference import ImageRef

CHANNELS = (1, 3, 4)
PATIENCE = 30.0  # seconds that a server may keep silent


def refer_to(source: Any, limits: Limits = USUAL, domains: Sequence[str] | None = None) -> ImageRef:
    """As `ImageRef.of`, from a reference, an http(s) or data URL, base64, an array or a tensor too. With `domains`
    nothing is fetched from others, though these may lead there.

    Arrays are [H, W], [H, W, C] or [C, H, W] of 1, 3 or 4 channels, whole numbers up to 255 or floats up to 1, read
    as transformers reads them: where both ends could be the channels, the first one is.
    """
    if isinstance(source, ImageRef):
        return source
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    if isinstance(source, np.ndarray):
        return ImageRef.of(_from_array(source), limits=limits)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(source, str):
        if source.startswith(("http://", "https://")):
            return ImageRef.of(_fetch(source, limits, domains), limits=limits)
        if source.startswith("data:"):
            return ImageRef.of(_decode(source.partition(",")[2]), limits=limits)
        if not _is_file(source) and (data := _decode_unnamed(source)):
            return ImageRef.of(data, limits=limits)
    return ImageRef.of(source, limits=limits)


def _from_array(array: np.ndarray) -> Image.Image:
    # here, because importing transformers registers our classes with it, which need this module
    from transformers.image_transforms import to_pil_image  # pyright: ignore[reportUnknownVariableType]
    from transformers.image_utils import ChannelDimension, infer_channel_dimension_format

    try:
        if array.ndim == 2:
            array = array[..., None]
        # only of one or three channels does transformers ask itself which end they are at
        channels = infer_channel_dimension_format(array, num_channels=CHANNELS if 4 in array.shape[::2] else None)
        if array.ndim != 3 or not array.size:
            raise ValueError("three dimensions are a picture's")
        return to_pil_image(array, input_data_format=ChannelDimension(channels))  # pyright: ignore
    except (ValueError, TypeError):
        raise ImageError(
            "An array of shape {shape} and type {kind} is no picture; give [height, width, 3] or [3, height, width], "
            "whole numbers from 0 to 255 or floats from 0 to 1.",
            shape=str(list(array.shape)),
            kind=str(array.dtype),
        ) from None


def _fetch(address: str, limits: Limits, domains: Sequence[str] | None) -> bytes:
    hooks = {"request": [partial(_check_domain, domains)]} if domains is not None else {}
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=PATIENCE, event_hooks=hooks) as client,
            client.stream("GET", address) as response,
        ):
            response.raise_for_status()
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > limits.max_bytes:  # which is said of the bytes
                    break
            return bytes(data)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise ImageError(
            "{address} cannot be fetched; give the public address of a picture.", address=address[:100]
        ) from None


def _check_domain(domains: Sequence[str], request: httpx.Request) -> None:
    """Before each request, those that a redirect leads to as well."""
    if request.url.host not in domains:
        raise ImageError(
            "Pictures are not fetched from {domain}; send the picture itself, as a data URL.", domain=request.url.host
        )


def _decode(letters: str) -> bytes:
    try:
        return base64.b64decode("".join(letters.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ImageError("The picture is no whole base64; encode the bytes of its file.") from None


def _decode_unnamed(letters: str) -> bytes:
    """Base64 without a word that it is; nothing where it is not."""
    try:
        return base64.b64decode("".join(letters.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_file(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with a null byte in it
        return False
