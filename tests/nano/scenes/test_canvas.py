from __future__ import annotations

from random import Random

import numpy as np

from nano.scenes.canvas import Canvas, overlap, round_rectangle, unite
from nano.scenes.fonts import CHARACTER_CODE, FAINT, find_faces, load_font


def ink_box(pixels: np.ndarray, threshold: int) -> tuple[int, int, int, int]:
    """Of dark ink on a white ground."""
    ink = 255 - pixels.min(2) > threshold
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_the_box_of_a_word_is_its_ink():
    rng = Random(0)
    for faces in find_faces().values():
        for face in faces:
            canvas = Canvas(300, 80, (255, 255, 255))
            word = "".join(rng.choices("ABCgjpqxyz379", k=6))
            canvas.text(10, 50, word, load_font(face, rng.randint(12, 34)), (0, 0, 0))
            assert canvas.objects[0].box == ink_box(canvas.pixels, FAINT), (face, word)


def test_words_of_a_line_are_separate_objects_in_order():
    canvas = Canvas(400, 60, (255, 255, 255))
    font = load_font(next(iter(find_faces().values()))[0], 20)
    box = canvas.text(5, 40, "Two words 17", font, (0, 0, 0), role="label")
    assert [item.text for item in canvas.objects] == ["Two", "words", "17"]
    assert box == unite([item.box for item in canvas.objects]) == ink_box(canvas.pixels, FAINT)
    assert all(one.box[2] <= other.box[0] for one, other in zip(canvas.objects, canvas.objects[1:], strict=False))
    assert canvas.lines[0].text == "Two words 17" and canvas.lines[0].role == "label"
    assert {item.line for item in canvas.objects} == {0}


def test_maps_name_the_character_and_its_place_in_the_word():
    canvas = Canvas(200, 60, (255, 255, 255))
    font = load_font(next(iter(find_faces().values()))[0], 24)
    canvas.text(10, 40, "Ab3", font, (0, 0, 0))
    row = 40 - font.cap_height // 2
    middles = [10 + font.width("Ab3"[:n]) + font.glyph("Ab3"[n]).advance // 2 for n in range(3)]
    assert [canvas.characters[row, x] for x in middles] == [CHARACTER_CODE[c] for c in "Ab3"]
    assert [canvas.order[row, x] for x in middles] == [0, 1, 2]
    assert canvas.capitals[row, middles[0]] == font.cap_height
    assert canvas.characters[row, 5] == 0 and canvas.characters[45, middles[0]] == 0


def test_text_beyond_the_edge_is_clipped():
    canvas = Canvas(40, 20, (255, 255, 255))
    font = load_font(next(iter(find_faces().values()))[0], 30)
    canvas.text(-8, 18, "Wide word", font, (0, 0, 0))
    assert all(0 <= left < right <= 40 and 0 <= top < bottom <= 20 for left, top, right, bottom in
               (item.box for item in canvas.objects[:1]))  # fmt: skip


def test_frame_stays_inside_its_box():
    for radius in (0, 6):
        canvas = Canvas(60, 40, (255, 255, 255))
        canvas.frame((10, 8, 50, 30), (0, 0, 0), 2, radius=radius)
        assert np.abs(np.subtract(ink_box(canvas.pixels, 127), (10, 8, 50, 30))).max() <= (1 if radius else 0)


def test_wear_keeps_the_shape_and_changes_little():
    canvas = Canvas(70, 50, (120, 130, 140))
    canvas.add_noise(Random(1), 0.2)
    canvas.compress(60)
    assert canvas.pixels.shape == (50, 70, 3) and canvas.pixels.dtype == np.uint8
    assert np.abs(canvas.pixels.reshape(-1, 3).mean(0) - (120, 130, 140)).max() < 6
    assert canvas.pixels.std() > 1


def test_overlap_and_rounding():
    assert overlap((0, 0, 10, 10), (9, 9, 20, 20)) and not overlap((0, 0, 10, 10), (10, 0, 20, 10))
    assert overlap((0, 0, 10, 10), (11, 0, 20, 10), margin=2)
    points = round_rectangle((0, 0, 20, 10), 50)
    assert points.min() >= 0 and points[:, 0].max() <= 20 and points[:, 1].max() <= 10
