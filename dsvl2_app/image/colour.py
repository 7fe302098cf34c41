"""A picture of any mode and colour space -> opaque sRGB."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageCms


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture itself where it is that already."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = Image.fromarray(_scale_16_bit(np.asarray(image)))
    elif image.mode in ("I", "F"):
        image = Image.fromarray(_scale_range(np.asarray(image)))
    elif image.has_transparency_data:
        image = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    elif image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(_make_profile("LAB")).tobytes()
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile:
        image = _to_srgb(image, profile)
    if image.mode == "RGBA":
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(image, mask=image)
        return opaque
    return image if image.mode == "RGB" else image.convert("RGB")


def _make_profile(space: Literal["LAB", "sRGB"]) -> Any:
    return ImageCms.createProfile(space)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Through the picture's ICC profile; a profile that is broken or of other channels is ignored."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(image, source, _make_profile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image
    return image if converted is None else converted


def _scale_16_bit(values: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255, rounded; 65535 / 257 is 255."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _scale_range(values: np.ndarray) -> np.ndarray:
    """32-bit integers or floats -> 0..255. Such files do not say what is white, so the values do: 1, 255 or
    65535 where none is larger (nor negative), else the smallest value is black and the largest white."""
    values = values.astype(np.float32)
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=np.inf))
    high = float(values.max(where=finite, initial=-np.inf))
    if low > high:  # nothing finite
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, next(white for white in (1.0, 255.0, 65535.0) if high <= white)
    np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    with np.errstate(over="ignore"):  # a range beyond float32 saturates
        values -= low
    values *= 255 / max(high - low, 1e-30)
    np.rint(values, out=values)
    return values.clip(0, 255, out=values).astype(np.uint8)
