"""What people call one of several pictures in a file, and how it is refused by that."""

from __future__ import annotations

from typing import Literal

from PIL import Image

from dsvl2_app.errors import ImageError, PromptError

Kind = Literal["page", "frame", "still"]  # of a PDF or TIFF or a picture alone, of an animation, of a clip


def name_kind(header: Image.Image) -> Kind:
    """Of a file that Pillow reads."""
    return "frame" if header.format != "TIFF" and getattr(header, "is_animated", False) else "page"


def explain_missing(kind: Kind, name: str, number: int) -> ImageError:
    """`name` has none of that number, which counts from 1."""
    if kind == "page":
        return ImageError("{name} has no page {number}; choose an earlier one.", name=name, number=number)
    if kind == "frame":
        return ImageError("{name} has no frame {number}; choose an earlier one.", name=name, number=number)
    return ImageError("{name} has no still {number}; choose an earlier one.", name=name, number=number)


def explain_list(kind: Kind, text: str) -> PromptError:
    """`text` is no list of numbers."""
    if kind == "page":
        return PromptError("Pages are written as 1-3, 7; {text!r} is no such list.", text=text)
    if kind == "frame":
        return PromptError("Frames are written as 1-3, 7; {text!r} is no such list.", text=text)
    return PromptError("Stills are written as 1-3, 7; {text!r} is no such list.", text=text)


def explain_beyond(kind: Kind, count: int, text: str) -> PromptError:
    """`text` names others than the `count` that there are."""
    if kind == "page":
        return PromptError("There are pages 1 to {count:,}; {text!r} names others.", count=count, text=text)
    if kind == "frame":
        return PromptError("There are frames 1 to {count:,}; {text!r} names others.", count=count, text=text)
    return PromptError("There are stills 1 to {count:,}; {text!r} names others.", count=count, text=text)


def explain_many(kind: Kind, most: int) -> PromptError:
    """More than `most` are chosen."""
    if kind == "page":
        return PromptError("At most {most} pages are read at once; choose fewer.", most=most)
    if kind == "frame":
        return PromptError("At most {most} frames are read at once; choose fewer.", most=most)
    return PromptError("At most {most} stills are read at once; choose fewer.", most=most)


def explain_twice(kind: Kind) -> PromptError:
    if kind == "page":
        return PromptError("A page is chosen twice; choose each once.")
    if kind == "frame":
        return PromptError("A frame is chosen twice; choose each once.")
    return PromptError("A still is chosen twice; choose each once.")
