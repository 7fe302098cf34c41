from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from dsvl2_app.image import overlay
from dsvl2_app.image.cut import PADDING, cut_tiles
from dsvl2_app.image.overlay import (
    GRID_COLOUR,
    MARK,
    PALETTE,
    OverlayBox,
    draw_boxes,
    draw_grid,
    draw_mark,
    label_colours,
    tile_images,
)
from dsvl2_app.image.tiles import lay_out

WHITE = Image.new("RGB", (400, 300), "white")
EDGES = st.floats(-1e4, 1e4) | st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, 1e300])


def changed(image: Image.Image, base: Image.Image = WHITE) -> np.ndarray:
    """Where two pictures differ, [height, width]."""
    return (np.asarray(image) != np.asarray(base)).any(axis=2)


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The WCAG contrast ratio, 1 to 21."""

    def luminance(colour: tuple[int, ...]) -> float:
        linear = [
            value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
            for value in (channel / 255 for channel in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# --- boxes ------------------------------------------------------------------------------------------------


def test_no_boxes_change_nothing() -> None:
    drawn = draw_boxes(WHITE, [])
    assert drawn is not WHITE
    assert not changed(drawn).any()


def test_a_box_is_drawn_on_its_edges_and_the_picture_is_left_alone() -> None:
    drawn = draw_boxes(WHITE, [OverlayBox("", 100, 80, 300, 200)])
    rows, columns = np.nonzero(changed(drawn))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (100, 80, 299, 199)
    assert drawn.getpixel((100, 80)) == drawn.getpixel((299, 199)) == PALETTE[0]
    assert drawn.getpixel((200, 140)) == (255, 255, 255)
    assert not changed(WHITE, Image.new("RGB", WHITE.size, "white")).any()


def test_reversed_edges_are_the_same_box() -> None:
    straight = draw_boxes(WHITE, [OverlayBox("cat", 100, 80, 300, 200)])
    turned = draw_boxes(WHITE, [OverlayBox("cat", 300, 200, 100, 80)])
    assert not changed(straight, turned).any()


def test_boxes_outside_are_not_drawn() -> None:
    outside = [
        OverlayBox("a", -50, 10, -10, 50),
        OverlayBox("b", 500, 10, 600, 50),
        OverlayBox("c", 9, 301, 99, 400),
    ]
    assert not changed(draw_boxes(WHITE, outside)).any()


def test_a_box_across_the_border_is_clipped() -> None:
    drawn = draw_boxes(WHITE, [OverlayBox("", -100, -100, 1e6, 1e6)])
    assert drawn.getpixel((0, 0)) == drawn.getpixel((399, 299)) == PALETTE[0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(400, 300), (30, 20), (1, 1), (3, 500)])
@given(
    boxes=st.lists(
        st.builds(
            OverlayBox,
            st.text(max_size=60),
            EDGES,
            EDGES,
            EDGES,
            EDGES,
        ),
        max_size=6,
    )
)
@settings(max_examples=30, deadline=None)
def test_any_boxes_can_be_drawn(size: tuple[int, int], boxes: list[OverlayBox]) -> None:
    drawn = draw_boxes(Image.new("RGB", size), boxes)
    assert (drawn.mode, drawn.size) == ("RGB", size)


def test_every_label_has_its_own_colour() -> None:
    labels = [f"label {index}" for index in range(3 * len(PALETTE))]
    colours = label_colours([*labels, labels[0]])
    assert list(colours) == labels
    assert len(set(colours.values())) == len(labels)
    drawn = draw_boxes(
        WHITE,
        [
            OverlayBox("cat", 10, 100, 50, 150),
            OverlayBox("dog", 200, 100, 250, 150),
            OverlayBox("cat", 300, 100, 350, 150),
        ],
    )
    expected = label_colours(["cat", "dog"])
    assert drawn.getpixel((49, 149)) == drawn.getpixel((349, 149)) == expected["cat"]
    assert drawn.getpixel((249, 149)) == expected["dog"]


@pytest.mark.parametrize("colour", [*PALETTE, *label_colours([str(index) for index in range(27)]).values()])
def test_label_text_is_readable_on_every_colour(colour: tuple[int, int, int]) -> None:
    assert contrast(colour, overlay.contrasting(colour)) >= 4.5


@pytest.mark.parametrize("place", [(0, 0), (380, 0), (0, 280), (380, 280), (200, 150), (-15, 100)])
@pytest.mark.parametrize("label", ["cat", "a very long label that goes on and on and on", "猫"])
def test_labels_stay_on_the_picture(place: tuple[int, int], label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    areas = []
    real = overlay._Chip.draw

    def record(chip: overlay._Chip, draw: ImageDraw.ImageDraw, area: overlay.PixelBox, colour: overlay.Colour) -> None:
        areas.append((chip, area))
        real(chip, draw, area, colour)

    monkeypatch.setattr(overlay._Chip, "draw", record)
    left, top = place
    draw_boxes(WHITE, [OverlayBox(label, left, top, left + 20, top + 20)])
    ((chip, area),) = areas
    assert area[0] >= 0 and area[1] >= 0 and area[3] <= 300
    assert area[2] <= 400 or chip.width > 400


def test_labels_make_room_for_each_other() -> None:
    taken: list[overlay.PixelBox] = []
    chip = overlay._Chip.of("cat", 12)
    for shift in range(4):
        area = overlay._free_area(chip, (100, 100 + shift, 300, 200), (400, 300), taken)
        assert not any(overlay._overlap(area, other) for other in taken)
        taken.append(area)


@pytest.mark.parametrize("label", ["cat", "淡定姐", "ねこ", "고양이", "кот", "a\nb\tc", "\ud800\0", "🐈", "…" * 100])
def test_labels_of_any_script_leave_ink(label: str) -> None:
    drawn = draw_boxes(WHITE, [OverlayBox(label, 50, 100, 350, 200)])
    plain = draw_boxes(WHITE, [OverlayBox("", 50, 100, 350, 200)])
    assert changed(drawn, plain).sum() > 50


def test_chinese_is_drawn_as_letters_where_a_font_has_them() -> None:
    font = overlay._font("猫", 20)
    unknown = bytes(font.getmask("\U0010fffd"))
    if overlay._fonts(20)[0].getname()[0].startswith("Noto Sans CJK"):
        assert bytes(font.getmask("猫")) != unknown
    drawn = [draw_boxes(WHITE, [OverlayBox(text, 50, 100, 350, 200)]) for text in ("猫", "狗")]
    assert changed(*drawn).any() == (bytes(font.getmask("猫")) != unknown)


def test_without_any_font_file_labels_are_still_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "FONTS", ())
    overlay._knows.cache_clear()
    overlay._fonts.cache_clear()
    try:
        drawn = draw_boxes(WHITE, [OverlayBox("cat 猫", 50, 100, 350, 200)])
        assert drawn.getpixel((51, 98)) == PALETTE[0]
    finally:
        overlay._knows.cache_clear()
        overlay._fonts.cache_clear()


@pytest.mark.slow
def test_lines_grow_with_the_picture() -> None:
    def thickness(side: int) -> int:
        base = Image.new("RGB", (side, side), "white")
        drawn = draw_boxes(base, [OverlayBox("", side * 0.2, side * 0.2, side * 0.8, side * 0.8)])
        return int(changed(drawn, base)[side // 2, : side // 2].sum())

    assert thickness(200) < thickness(2000) < thickness(4000)


# --- grid -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1000, 400), (333, 1301), (300, 300), (1, 4000), (5000, 4000)])
def test_the_grid_shows_the_canvas(size: tuple[int, int]) -> None:
    layout = lay_out(*size)
    picture = Image.new("RGB", size, (250, 0, 250))
    drawn = draw_grid(picture, layout)
    scale = min(1, 1600 / max(layout.canvas))
    assert drawn.size == tuple(round(side * scale) for side in layout.canvas)
    assert max(drawn.size) <= 1600
    for tile in range(1, layout.num_tiles):
        left, top, right, bottom = (round(edge * scale) for edge in layout.tile_box(tile))
        assert drawn.getpixel((left, bottom - 1)) == drawn.getpixel((right - 1, top)) == GRID_COLOUR
    middle = drawn.getpixel((drawn.width // 2 + 9, drawn.height // 2 + 9))
    assert middle == (250, 0, 250) or size == (1, 4000)


def test_padding_is_hatched() -> None:
    layout = lay_out(384, 96)
    drawn = np.asarray(draw_grid(Image.new("RGB", (384, 96)), layout))
    assert layout.content == (0, 144, 384, 240)
    padding = drawn[260:370, 100:370].reshape(-1, 3)
    assert {tuple(colour) for colour in padding.tolist()} == {(PADDING,) * 3, (187, 187, 187)}
    assert (drawn[150:230, 100:370] == 0).all()


def test_the_grid_can_be_smaller() -> None:
    layout = lay_out(1000, 1000)
    assert max(draw_grid(Image.new("RGB", (1000, 1000)), layout, longest_side=300).size) == 300


def test_tile_images_are_the_tiles() -> None:
    picture = Image.effect_noise((500, 300), 50).convert("RGB")
    tiles = cut_tiles(picture, lay_out(500, 300))
    images = tile_images(tiles)
    assert all(np.array_equal(np.asarray(image), tile) for image, tile in zip(images, tiles, strict=True))


def test_a_mark_is_a_red_frame_around_what_stays_to_be_seen():
    marked = draw_mark(WHITE, (100, 50, 200, 150))
    assert marked.getpixel((100, 100)) == marked.getpixel((199, 149)) == MARK
    assert marked.getpixel((150, 100)) == marked.getpixel((99, 100)) == marked.getpixel((200, 100)) == (255, 255, 255)
    assert not changed(WHITE).any()
