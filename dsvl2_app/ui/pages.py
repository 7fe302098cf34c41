"""Which pages of the documents that are attached are meant: thumbnails to click, ranges to type (assets/pages.js); or,
where a thumbnail shows its page elsewhere, boxes to tick."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.errors import PromptError
from dsvl2_app.image.clips import Clip, describe_moment, is_clip, read_clip, render_stills, spread
from dsvl2_app.image.documents import is_document, render_small
from dsvl2_app.image.load import Limits, name_source, read_source
from dsvl2_app.image.page_kinds import Kind
from dsvl2_app.image.page_ranges import FIRST, read_ranges, write_ranges
from dsvl2_app.image.reference import Frames, ImageRef, find_frames
from dsvl2_app.ui.gradio_quirks import file_address, read_event_data
from dsvl2_app.ui.uploads import encode_small, measure, save_upload
from dsvl2_app.ui.words.translations import say

MOST_SHOWN = 24  # thumbnails of a document
STILLS = 6  # of a clip, unless others are chosen: what a conversation of the released models has room for
SIDE = 160  # px of a thumbnail
# Handlebars, which escapes what it puts in.
_TEMPLATE = """{{#if value}}{{#each value.documents}}<fieldset class="document" data-key="{{this.key}}">
<legend>{{this.title}}</legend>
<label>{{this.label}} <input value="{{this.chosen}}" placeholder="1-3, 7"></label>
<div class="thumbnails">{{#each this.thumbnails}}THUMBNAIL{{/each}}</div>
{{#if this.more}}<p>{{this.more}}</p>{{/if}}</fieldset>{{/each}}{{/if}}"""
_MOMENT = "{{#if this.moment}}<small>{{this.moment}}</small>{{/if}}"
_PRESSED = (
    '<button type="button" data-number="{{this.number}}" aria-label="{{this.words}}">'
    f'<img src="{{{{this.source}}}}" alt=""><span>{{{{this.number}}}}</span>{_MOMENT}</button>'
)
_SHOWN = (
    '<div class="page"><button type="button" data-number="{{this.number}}" aria-label="{{this.words}}">'
    '<img src="{{this.source}}" alt=""></button><label><input type="checkbox" data-number="{{this.number}}" '
    f'aria-label="{{{{this.read}}}}">{{{{this.number}}}}</label>{_MOMENT}</div>'
)


def build_pages(elem_id: str, *, single: bool = False, shows: bool = False) -> gr.HTML:
    """A component whose value is None or `offer_pages`'s; its event `pick` tells that other pages are chosen. With
    `single` a thumbnail takes the place of the one before. With `shows` pages are chosen by boxes to tick, and the
    event `look` tells of the one whose thumbnail was clicked, see `read_look`; `mark_page` marks one."""
    return gr.HTML(
        None,
        html_template=_TEMPLATE.replace("THUMBNAIL", _SHOWN if shows else _PRESSED),
        js_on_load=read_asset("pages.js"),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes="pages",
        single=single,
        shows=shows,
        current=None,
    )


def mark_page(image: ImageRef | None, **options: Any) -> gr.HTML:
    """What the component becomes: its thumbnail of that page is marked as the one that is shown."""
    return gr.HTML(current=image and {"key": str(image.path), "number": image.frame + 1}, **options)


def offer_pages(
    files: Sequence[str],
    shown: Any,
    limits: Limits,
    chosen: Mapping[str, Sequence[int]] | None = None,
    first: str = "",
    *,
    single: bool = False,
) -> dict[str, Any] | None:
    """What the component shows for the files that have several pages; None without such. What was chosen in `shown`,
    its value so far, stays; of other files the pages in `chosen`, which count from 0, or `first`. With `single` no more
    than one is looked at, which is said."""
    before, documents = read_chosen(shown), []
    for file in dict.fromkeys(files):
        pages = find_pages(file, limits)
        if pages.total > 1:
            described = _describe(file, pages, limits, first, (chosen or {}).get(file, ()), single)
            documents.append(described | ({"chosen": before[file]} if file in before else {}))
    return {"documents": documents} if documents else None


def _describe(
    file: str, pages: Frames, limits: Limits, first: str, chosen: Sequence[int], single: bool
) -> dict[str, Any]:
    """What the component shows of a file."""
    (count, kind), name = pages, name_source(file).strip("'")
    clip = find_clip(file, limits) if kind == "still" else None
    title, label = say("{name}: {count:,} pages", name=name, count=count), say("Pages")
    if clip:
        title = say("{name}: {count} stills of {seconds:.1f} s", name=name, count=count, seconds=clip.length)
        label = say("Stills")
    elif kind == "frame":
        title, label = say("{name}: {count:,} frames", name=name, count=count), say("Frames")
    thumbnails = [
        {
            "number": number,
            "source": file_address(source),
            "words": name_page(kind, number).capitalize(),
            "read": say("To be read: {words}", words=name_page(kind, number)),
            "moment": describe_moment(clip.seconds[number - 1]) if clip else "",
        }
        for number, source in enumerate(_thumbnails(file, min(count, MOST_SHOWN), limits), start=1)
    ]
    usual = write_ranges(chosen) or first or (write_ranges(spread(count, STILLS)) if clip else FIRST)
    more = " ".join(_explain(kind, count, single))
    shown = {"key": file, "title": title, "label": label, "thumbnails": thumbnails, "more": more}
    return {**shown, "count": count, "chosen": usual}


def _explain(kind: Kind, count: int, single: bool) -> Iterator[str]:
    """What the model gets to see of a file with so many pages, and how later ones are chosen."""
    if single:
        yield say("Only the one that is chosen is searched.")
    elif kind == "still":
        yield say("The model sees these stills one by one, neither motion nor sound.")
    elif kind == "frame":
        yield say("The model sees the chosen frames one by one, and no motion.")
    if count > MOST_SHOWN:
        yield say("Type the numbers of later ones.")


def name_page(kind: Kind, number: int) -> str:
    """ "page 2", within a sentence."""
    if kind == "page":
        return say("page {number}", number=number)
    return say("frame {number}", number=number) if kind == "frame" else say("still {number}", number=number)


def read_chosen(shown: Any) -> dict[str, str]:
    """What is typed for each file, of the component's value, which comes from the browser."""
    documents = shown.get("documents") if isinstance(shown, dict) else None
    found = {}
    for each in documents if isinstance(documents, list) else []:
        if isinstance(each, dict) and isinstance(each.get("key"), str) and isinstance(each.get("chosen"), str):
            found[each["key"]] = each["chosen"]
    return found


def read_look(event: gr.EventData, files: Collection[str]) -> tuple[str, int]:
    """The file, one of `files`, and the number from 0 of the page whose thumbnail was clicked. Raises a PromptError for
    anything else that a browser may tell."""
    match read_event_data(event):
        case {"key": str(file), "number": int(number)} if file in files and number > 0:
            return file, number - 1
    raise PromptError("There is no such page; reload the page and try again.")


def list_pages(files: Sequence[str], shown: Any, limits: Limits) -> list[ImageRef]:
    """The pictures that are meant: each file, or the pages of it that are chosen in `shown`, which is the component's
    value or, for all files, a range. Raises an ImageError or a PromptError."""
    chosen = dict.fromkeys(files, shown) if isinstance(shown, str) else read_chosen(shown)
    images = []
    for file in files:
        pages = find_pages(file, limits)
        frames = read_ranges(chosen.get(file, FIRST), *pages) if pages.total > 1 else [0]
        images += [measure(file, limits, frame) for frame in frames]
    return images


@lru_cache(maxsize=256)
def find_pages(file: str, limits: Limits) -> Frames:
    """Of an upload's file, which never changes."""
    return find_frames(file, limits)


@lru_cache(maxsize=256)
def find_clip(file: str, limits: Limits) -> Clip:
    """What is known of a clip. Raises an ImageError."""
    return read_clip(read_source(file, limits), name_source(file), limits.max_pixels)


@lru_cache(maxsize=64)
def _thumbnails(file: str, count: int, limits: Limits) -> tuple[str, ...]:
    """Files in Gradio's cache."""
    data = read_source(file, limits)
    if is_clip(data):
        images = render_stills(data, name_source(file), range(count), limits.max_pixels)
    elif is_document(data):
        images = render_small(data, name_source(file), range(count), SIDE)
    else:
        images = [measure(file, limits, frame).open_small(SIDE) for frame in range(count)]
    return tuple(save_upload(encode_small(image, SIDE), "thumbnail.webp") for image in images)
