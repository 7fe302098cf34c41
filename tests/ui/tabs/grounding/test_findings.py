"""What a person made of boxes outlives whatever takes their place, and how many of them there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.boxes import Box
from dsvl2_app.ui.tabs.grounding.findings import MOST_KEPT, Example, Finding, Search, count_boxes, show_count

DOG, CAT = Box("dog", 1, 2, 30, 40), Box("cat", 5, 6, 70, 80)
MINE, OURS = Box("my dog", 1, 2, 50, 60, ("by hand",)), Box("our dog", 9, 9, 50, 60, ("by hand",))


@pytest.fixture
def image(tmp_path: Path) -> ImageRef:
    Image.new("RGB", (40, 30)).save(tmp_path / "one.png")
    return ImageRef.of(tmp_path / "one.png")


def search(finding: Finding, image: ImageRef, *boxes: Box, phrase: str = "dog") -> Search:
    found = finding.open(image, "one.png", str(image.path), f"preview of {phrase}", "find_all", phrase)
    finding.take(boxes, "the answer")
    return found


def test_corrected_boxes_come_back_with_all_that_was_asked(image: ImageRef):
    finding = Finding()
    first = search(finding, image, DOG)
    finding.correct((MINE,))
    search(finding, image, CAT, phrase="cat")
    assert finding.aside == [first]
    assert finding.kept[image].boxes == (CAT,)
    assert finding.bring_back() is first is finding.search
    assert (first.phrase, first.mode, first.boxes, first.found) == ("dog", "find_all", (MINE,), (DOG,))
    assert finding.kept[image] is first.annotation and finding.kept[image].corrected
    assert finding.aside == []
    assert finding.bring_back() is None
    assert finding.search is first


def test_what_nobody_corrected_is_not_kept(image: ImageRef):
    finding = Finding()
    search(finding, image, DOG)
    finding.correct((MINE,))
    finding.correct((DOG,))  # as it was
    finding.close()
    assert (finding.search, finding.aside) == (None, [])


def test_boxes_that_are_all_taken_away_are_a_correction_too(image: ImageRef):
    finding = Finding()
    first = search(finding, image, DOG)
    finding.correct(())
    finding.close()
    assert finding.bring_back() is first and first.boxes == ()


def test_everything_corrected_can_be_seen_in_turn(image: ImageRef):
    finding = Finding()
    for box in (DOG, CAT, MINE):
        search(finding, image, box)
        finding.correct((OURS, box))
    seen = [back.boxes[1] for _ in range(4) if (back := finding.bring_back())]
    assert seen == [CAT, DOG, MINE, CAT]


def test_as_the_model_found_them_can_be_taken_back(image: ImageRef):
    finding = Finding()
    first = search(finding, image, DOG)
    finding.correct((MINE, CAT))
    finding.restore()
    assert first.boxes == (DOG,) and not first.corrected
    finding.restore()  # once more: there is nothing to keep
    assert len(finding.aside) == 1
    back = finding.bring_back()
    assert back and back.boxes == (MINE, CAT)
    assert (back.number, back.corrected) == (first.number, True)  # it may go on to be corrected


def test_a_class_keeps_its_number_whatever_comes_back(image: ImageRef):
    finding = Finding()
    search(finding, image, DOG)
    finding.correct((MINE,))
    search(finding, image, CAT)
    back = finding.bring_back()
    assert back and back.annotation and back.annotation.labels == ["my dog", "cat"]
    later = search(finding, image, DOG)
    assert later.annotation and later.annotation.labels == ["my dog", "cat", "dog"]


def test_files_of_what_may_come_back_stay_and_it_is_not_endless(image: ImageRef):
    finding = Finding()
    for number in range(MOST_KEPT + 2):
        search(finding, image, DOG, phrase=str(number))
        finding.correct((MINE,))
    assert [each.phrase for each in finding.aside] == [str(number) for number in range(1, MOST_KEPT + 1)]
    assert Path("preview of 1") in finding.files and Path("preview of 0") not in finding.files


def test_the_file_of_an_example_stays_with_its_search(image: ImageRef, tmp_path: Path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "example.png")
    example = Example(ImageRef.of(tmp_path / "example.png"), (1, 2, 30, 20))
    finding = Finding()
    finding.open(image, "one.png", str(image.path), "preview", "in_context", "", example)
    finding.take((DOG,), "the answer")
    finding.correct((MINE,))
    finding.close()
    assert tmp_path / "example.png" in finding.files
    back = finding.bring_back()
    assert back and back.example is example


@pytest.mark.parametrize(
    ("boxes", "phrases", "said"),
    [
        ([DOG, DOG, CAT], ["cat", "dog"], ["<strong>1</strong> <bdi>cat", "<strong>2</strong> <bdi>dog"]),
        ([DOG], ["dog", "<cat>"], ["<strong>1</strong> <bdi>dog", "<strong>0</strong> <bdi>&lt;cat&gt;"]),
        ([], ["dog"], ["<strong>0</strong> <bdi>dog"]),
        ([DOG, MINE], ["dogs"], ["<strong>1</strong> <bdi>dog", "<strong>1</strong> <bdi>my dog"]),
        ([Box("", 1, 2, 3, 4)] * 1200, ["dogs"], ["<strong>1,200</strong> <bdi>unnamed"]),
    ],
)
def test_a_count_names_each_label_and_each_phrase_of_which_there_is_nothing(boxes, phrases, said):
    items = show_count(boxes, phrases).partition(">")[2].removesuffix("</ul>").split("</bdi></li>")
    assert [item.removeprefix("<li>") for item in items if item] == said


@pytest.mark.parametrize(
    ("boxes", "phrases", "said"),
    [
        ([DOG], ["dog"], "1 box"),
        ([DOG], ["dog", "cat"], "1 box (dog: 1, cat: 0)"),
        ([DOG, DOG, CAT], [], "3 boxes (dog: 2, cat: 1)"),
        ([DOG, MINE], ["dog", "cat"], "2 boxes (dog: 1, my dog: 1)"),
        ([Box("", 1, 2, 3, 4), DOG], ["dog"], "2 boxes (unnamed: 1, dog: 1)"),
        ([], ["dog", "cat"], "Nothing found"),
    ],
)
def test_what_was_found_in_words_tells_of_each_phrase_of_which_there_is_nothing(boxes, phrases, said):
    assert count_boxes(boxes, phrases) == said
