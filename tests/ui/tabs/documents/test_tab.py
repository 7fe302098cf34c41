"""The Documents tab in a browser."""

from __future__ import annotations

import asyncio
import csv
import json
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect
from pypdfium2 import PdfDocument

from dsvl2_app.backend import Stream
from dsvl2_app.backend.scripted import CARD, ScriptedBackend
from dsvl2_app.errors import BusyError, PromptError
from dsvl2_app.image.load import USUAL, Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.ui.tabs.documents.exports import FORMATS, save_file, write_json
from dsvl2_app.ui.tabs.documents.own_text import find_first
from dsvl2_app.ui.tabs.documents.parts import (
    BEGUN,
    CHECK,
    HOW_TO,
    NO_OWN_TEXT,
    READY,
    READY_OWN,
    UNREAD,
    Answer,
    Question,
)
from dsvl2_app.ui.tabs.documents.reading import Leaf, Reading
from dsvl2_app.ui.tabs.documents.several import AT_ONCE, read_several
from dsvl2_app.ui.tabs.documents.showing import AGAIN, ALL_READ, ENDED, SOME_READ, Drawn, View, describe, name_kind
from dsvl2_app.ui.tabs.documents.tab import Documents
from dsvl2_app.ui.tabs.documents.tasks import BUNDLED_TOKENS, MOST_TOKENS, TASKS, compose, count_most, offer_tasks
from dsvl2_app.ui.words.chinese import CHINESE
from dsvl2_app.ui.words.wording import show_status
from tests.image.papers import A4, write_mixed, write_pdf, write_tiff
from tests.image.test_clips import write_clip
from tests.waiting import run_loop, wait_until

TEXT = "# Title\n\nof a\npaper\n\n- one\n- two"
BOXES = "<|ref|>chart<|/ref|><|det|>[[100, 200, 500, 700]]<|/det|>"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "paper.pdf").write_bytes(write_pdf(3))
    (folder / "mixed.pdf").write_bytes(write_mixed())
    (folder / "scan.tif").write_bytes(write_tiff(2))
    Image.new("RGB", (600, 800), "white").save(folder / "scanned.pdf")
    (folder / "locked.pdf").write_bytes(write_pdf(2, encrypt="secret"))
    return {path.stem: path for path in folder.iterdir()}


def test_what_is_read_stays_and_the_rest_goes_on(papers: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("dsvl2_app.ui.tabs.documents.reading.monotonic", lambda: now)
    pages = [(ImageRef.of(papers["paper"], frame=frame), "paper.pdf") for frame in range(3)]
    reading = Reading()
    assert reading.seconds_left is None
    reading.open(pages, ("text", ""))
    for leaf, finish in zip(reading.leaves, ("eos", "cancelled", None), strict=True):
        leaf.text, leaf.finish = "words", finish
    now = 102.0
    assert reading.seconds_left == 4.0
    reading.shown = reading.leaves[2]
    reading.open(pages[:1] + pages[:0:-1], ("text", ""))
    assert [leaf.text for leaf in reading.leaves] == ["words", "", ""]
    assert reading.shown is reading.leaves[1]  # where it goes on
    assert reading.seconds_left is None  # what was read before says nothing of this run
    run = reading.run
    reading.open(pages, ("own", "What?"))
    assert reading.shown is reading.leaves[0]  # of what is new, the first page
    reading.end(run)  # late: another one has begun
    assert not reading.stopping
    reading.end(reading.run)
    assert reading.stopping
    assert reading.written == []
    with pytest.raises(PromptError, match="Nothing is read yet"):
        save_file(reading, "Text")


def test_a_line_that_goes_on_has_no_full_stop_before_its_dots(
    papers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """assets/page.css adds them to what is running."""
    now = 100.0
    monkeypatch.setattr("dsvl2_app.ui.tabs.documents.reading.monotonic", lambda: now)
    reading = Reading()
    reading.open([(ImageRef.of(papers["paper"], frame=frame), "paper.pdf") for frame in range(2)], ("text", ""))
    assert describe(reading) == show_status("0 of 2 pages are read", running=True)
    reading.leaves[0].text, reading.leaves[0].finish = "words", "eos"
    now = 102.0
    assert describe(reading) == show_status("1 of 2 pages are read, about 2 s left", running=True)
    reading.stop()
    assert describe(reading) == show_status("1 of 2 pages are read; Read goes on from there.")
    reading.leaves[1].finish = "eos"
    assert describe(reading) == show_status("All 2 pages are read.")
    reading.leaves[1].finish = "length"
    assert describe(reading) == show_status("All 2 pages are read. 1 reached the limit of new tokens.")


def test_lines_call_a_frame_a_frame_and_a_still_a_still(papers: dict[str, Path], tmp_path: Path) -> None:
    paths = {kind: tmp_path / name for kind, name in (("frame", "a.gif"), ("still", "a.mp4"), ("picture", "a.png"))}
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "green"))
    first.save(paths["frame"], save_all=True, append_images=[second])
    write_clip(paths["still"])
    first.save(paths["picture"])
    two = {name: [(ImageRef.of(paths[name], frame=frame), name) for frame in (0, 1)] for name in ("frame", "still")}
    scan = [(ImageRef.of(papers["scan"]), "scan.tif"), (ImageRef.of(paths["picture"]), "a.png")]
    view = View(cast(Any, None), cast(Any, SimpleNamespace(text="text", note="note")), bundled=False)
    found = {}
    for name, pages in {**two, "scan": scan, "mixed": [*two["frame"], *scan]}.items():
        reading = Reading()
        reading.open(pages, ("text", ""))
        unread = view.show_text(reading)["text"]
        some = describe(reading)
        for leaf in reading.leaves:
            leaf.finish = "eos"
        found[name] = (some, describe(reading), unread, name_kind(reading.kind))
    nouns = {"frame": " frames", "still": " stills", "scan": " pages", "mixed": ""}
    for name, noun in nouns.items():
        number = 4 if name == "mixed" else 2
        some, every, *_ = found[name]
        assert some == show_status(f"0 of {number}{noun} are read", running=True)
        assert every == show_status(f"All {number}{noun} are read.")
    said = {name: words[2:] for name, words in found.items()}
    assert said["frame"] == ("*Frame 1 is not read yet.*", "Frame")
    assert said["still"] == ("*Still 1 is not read yet.*", "Still")
    assert said["scan"] == ("*Page 1 is not read yet.*", "Page")
    assert {*ALL_READ.values(), *SOME_READ.values(), *ENDED.values(), "Frame", "Still", "Page"} <= CHINESE.keys()
    assert not any("页" in CHINESE[words] for words in ENDED.values())  # they stand below all kinds


def test_pages_leave_with_their_document(papers: dict[str, Path]) -> None:
    paper = [(ImageRef.of(papers["paper"], frame=frame), "paper.pdf") for frame in range(2)]
    scan = [(ImageRef.of(papers["scan"], frame=frame), "scan.tif") for frame in range(2)]
    reading, streams = Reading(), [Stream(), Stream()]
    reading.open(paper + scan, ("text", ""))
    first, _, third, last = reading.leaves
    reading.streams = {streams[0]: first, streams[1]: third}
    reading.shown = first
    assert not reading.keep({papers["paper"], papers["scan"]})
    assert reading.shown is first
    reading.look(paper[1][0], "paper.pdf")
    assert reading.shown is reading.leaves[1]
    reading.look(ImageRef.of(papers["paper"], frame=2), "paper.pdf")  # is not to be read
    assert reading.shown not in reading.leaves
    assert reading.keep({papers["scan"]})
    assert reading.leaves == [third, last]
    assert reading.shown is third
    assert [stream.is_cancelled for stream in streams] == [True, False]
    assert reading.keep(set())
    assert (reading.leaves, reading.shown, describe(reading)) == ([], None, "")


def test_documents_come_back_with_what_was_read(papers: dict[str, Path]) -> None:
    paper, scan = (str(papers[name]) for name in ("paper", "scan"))
    pages = [(ImageRef.of(Path(file), frame=frame), Path(file).name) for file in (paper, scan) for frame in range(2)]
    reading = Reading()
    assert reading.bring_back() is None
    assert not reading.offer([paper, scan], {})
    reading.open(pages, ("text", ""))
    leaves = reading.leaves
    leaves[0].text, leaves[0].finish = "words", "eos"
    assert reading.offer([scan], {paper: "1-2", scan: "1"})
    assert reading.offer([], {scan: "1"})
    assert (reading.leaves, reading.shown) == ([], None)
    assert reading.files == {papers["paper"], papers["scan"]}  # are not deleted

    back = reading.bring_back()
    assert back and (back.gone, back.chosen) == ((scan,), {scan: "1"})
    assert (reading.offered, reading.leaves, reading.shown) == ((scan,), leaves[2:], leaves[2])
    assert not reading.offer([scan], {})  # as the page tells of the files that came back
    back = reading.bring_back()
    assert back and (back.gone, back.chosen[paper]) == ((paper,), "1-2")
    assert (reading.offered, reading.leaves) == ((paper, scan), leaves)
    assert [leaf.gone for leaf in leaves] == [False] * 4
    assert reading.read == leaves[:1]
    assert reading.bring_back() is None


def test_what_was_asked_otherwise_does_not_come_back_with_its_document(papers: dict[str, Path]) -> None:
    paper, scan = (str(papers[name]) for name in ("paper", "scan"))
    reading = Reading()
    reading.offer([paper, scan], {})
    reading.open([(ImageRef.of(papers["paper"]), "paper.pdf")], ("text", ""))
    reading.offer([scan], {})
    reading.open([(ImageRef.of(papers["scan"]), "scan.tif")], ("own", "What?"))
    assert reading.bring_back()
    assert (reading.offered, [leaf.name for leaf in reading.leaves]) == ((paper, scan), ["scan.tif"])


@pytest.mark.slow
def test_who_begins_again_while_a_page_opens_has_one_run(
    papers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one has no stream yet that could be stopped."""
    backend, reading = ScriptedBackend("words"), Reading()
    with gr.Blocks() as demo:
        documents = Documents(backend, Limits())
        documents.build(demo)
    pages = [(ImageRef.of(papers["paper"], frame=frame), "paper.pdf") for frame in range(3)]
    monkeypatch.setattr(documents, "list", lambda *_: pages)

    async def read_twice() -> None:
        first, second = (documents.read([], None, "text", "", reading, cast(gr.Request, None)) for _ in range(2))
        await anext(first)
        await anext(second)
        async for _ in first:
            assert not backend.requests
        async for _ in second:
            pass

    run_loop(read_twice())
    assert [leaf.text for leaf in reading.leaves] == ["words"] * 3


@pytest.mark.slow
def test_a_page_whose_answer_repeats_itself_ends_and_the_next_one_is_read(
    papers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, reading = ScriptedBackend("| 0 | 0 |\n", endless=True, pause=0), Reading()
    with gr.Blocks() as demo:
        documents = Documents(backend, Limits())
        documents.build(demo)
    pages = [(ImageRef.of(papers["paper"], frame=frame), "paper.pdf") for frame in range(2)]
    monkeypatch.setattr(documents, "list", lambda *_: pages)

    async def read() -> None:
        async for _ in documents.read([], None, "text", "", reading, cast(gr.Request, None)):
            pass

    run_loop(read())
    wanted = [request.sampling for request in backend.requests]
    assert [(each.stop_repetition, each.max_new_tokens) for each in wanted] == [(True, MOST_TOKENS)] * 2
    assert [(leaf.finish, leaf.text) for leaf in reading.leaves] == [("repetition", "| 0 | 0 |")] * 2
    assert [page["finish"] for page in json.loads(write_json(reading.leaves))["pages"]] == ["repetition"] * 2
    assert "2 began to repeat themselves and were ended there." in describe(reading)
    assert "stopped: it repeated itself" in documents.view.show_text(reading)[documents.answer.note]


@pytest.mark.slow
def test_a_result_that_is_lost_takes_nothing_with_it(papers: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two results that come at once, Gradio's page can lose what only the first one sets."""
    words = " ".join(map(str, range(2000)))
    backend, reading = ScriptedBackend(words, pause=0.002), Reading()
    with gr.Blocks() as demo:
        documents = Documents(backend, Limits())
        documents.build(demo)
    pages = [(ImageRef.of(papers["paper"], frame=frame), "paper.pdf") for frame in range(2)]
    monkeypatch.setattr(documents, "list", lambda *_: pages)

    async def read() -> list[dict[Any, Any]]:
        return [update async for update in documents.read([], None, "text", "", reading, cast(gr.Request, None))]

    _, first, *grown, last = run_loop(read())
    answer, question = documents.answer, documents.question
    assert len(grown) > 3
    for update in (first, *grown, last):
        assert not update[answer.how].visible and update[answer.row].visible and "<img" in update[answer.picture]
        assert update[question.halt].visible is (update is not last)
    assert all(answer.which in update for update in grown[: AGAIN.count(0)])
    assert not all(answer.which in update for update in grown)  # or nobody could choose a page meanwhile


def test_a_whole_page_is_set_once_more_at_once_and_after_seconds(
    papers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("dsvl2_app.ui.tabs.documents.showing.monotonic", lambda: now[0])
    parts: Any = [[object() for _ in fields(part)] for part in (Question, Answer)]  # which no page has to hold
    view = View(Question(*parts[0]), Answer(*parts[1]), bundled=False)
    leaf = Leaf(ImageRef.of(papers["paper"], frame=1), "paper.pdf")
    reading = Reading(leaves=[leaf, Leaf(ImageRef.of(papers["paper"], frame=2), "paper.pdf")], shown=leaf)

    async def find_whole() -> list[float]:
        drawn, whole = Drawn(), list[float]()
        for tenth in range(60):
            now[0], leaf.text = 100 + tenth / 10, "word " * (tenth + 1)
            update, drawn = await view.show_growth(reading, drawn)
            assert view.answer.text in update
            if view.answer.which in update:
                whole.append(round(now[0] - 100, 1))
        return whole

    assert run_loop(find_whole()) == [0.0, 0.1, 0.2, 0.3, 1.0, 3.0]


def read_leaves(leaves: list[Leaf], turned_away: int, goes_on: bool = True) -> list[tuple[str, int]]:
    """What begins and ends, and how many are read then; a page that would be one more than `turned_away` is refused."""
    log: list[tuple[str, int]] = []
    reading: set[str] = set()

    async def read(leaf: Leaf, tell: Callable[[], None]) -> None:
        if len(reading) == turned_away:
            raise BusyError("Too many.")
        reading.add(leaf.name)
        log.append((f"+{leaf.name}", len(reading)))
        for _ in range(3):
            await asyncio.sleep(0.01)
            leaf.text += "word"
            tell()
        reading.discard(leaf.name)
        log.append((f"-{leaf.name}", len(reading)))

    async def read_all() -> None:
        async for _ in read_several(leaves, read, lambda: goes_on):
            assert all(leaf.text for leaf in leaves if f"-{leaf.name}" in dict(log))

    run_loop(read_all())
    return log


def test_three_pages_are_read_at_once_each_begun_behind_the_text_of_the_one_before(papers: dict[str, Path]) -> None:
    leaves = [Leaf(ImageRef.of(papers["paper"]), str(number)) for number in range(5)]
    log = read_leaves(leaves, turned_away=9)
    assert [name for name, _ in log if name[0] == "+"] == [f"+{number}" for number in range(5)]
    assert max(count for _, count in log) <= AT_ONCE
    assert {leaf.text for leaf in leaves} == {"wordwordword"}
    assert read_leaves(leaves, turned_away=9, goes_on=False) == []


def test_a_page_that_is_turned_away_waits_for_another(papers: dict[str, Path]) -> None:
    leaves = [Leaf(ImageRef.of(papers["paper"]), str(number)) for number in range(4)]
    log = read_leaves(leaves, turned_away=1)
    assert [name for name, _ in log] == [f"{sign}{number}" for number in range(4) for sign in "+-"]
    with pytest.raises(BusyError):  # with nobody to wait for
        read_leaves(leaves, turned_away=0)


def test_a_page_that_is_turned_away_as_another_ends_begins_again(papers: dict[str, Path]) -> None:
    leaves = [Leaf(ImageRef.of(papers["paper"]), name) for name in ("first", "second")]
    begun: list[str] = []

    async def read_all() -> None:
        turned_away = asyncio.Event()

        async def read(leaf: Leaf, grow: Callable[[], None]) -> None:
            begun.append(leaf.name)
            if begun == ["first", "second"]:
                turned_away.set()
                raise BusyError("Too many ask at once; try again.")
            leaf.text = "read"
            grow()
            if leaf.name == "first":
                await turned_away.wait()

        async for _ in read_several(leaves, read, lambda: True):
            pass

    run_loop(read_all(), 20)
    assert begun == ["first", "second", "second"]
    assert [leaf.text for leaf in leaves] == ["read", "read"]


def test_files_hold_what_was_read(papers: dict[str, Path], tmp_path: Path) -> None:
    reading = Reading()
    scan = ImageRef.of(papers["scan"], frame=1)
    reading.leaves = [
        Leaf(ImageRef.of(papers["paper"], frame=1), "paper.pdf", TEXT, "eos"),
        Leaf(ImageRef.of(papers["paper"], frame=2), "paper.pdf", f"A {BOXES}", "length"),
        Leaf(ImageRef.of(papers["paper"], frame=0), "paper.pdf"),
    ]
    files = {name: Path(save_file(reading, name)) for name in FORMATS}
    assert files["Markdown"].name == "paper.md"
    assert files["Markdown"].read_text() == f"<!-- page 2 -->\n\n{TEXT}\n\n<!-- page 3 -->\n\nA chart\n"
    assert files["Text"].read_text() == f"{TEXT}\n\fA chart\n"
    found = json.loads(files["JSON"].read_text())
    assert [page["page"] for page in found["pages"]] == [2, 3]
    assert found["pages"][1]["boxes"][0]["points"] == [
        pytest.approx(at)
        for at in (
            A4[0] * 100 / 999,
            A4[1] * 200 / 999,
            A4[0] * 500 / 999,
            A4[1] * 700 / 999,
        )
    ]
    searchable = PdfDocument(files["Searchable PDF"])
    assert len(searchable) == 2
    assert searchable[1].get_size() == A4
    assert "chart" in searchable[1].get_textpage().get_text_range()
    reading.leaves.append(Leaf(scan, "paper.tif", "Other", "eos"))
    with zipfile.ZipFile(save_file(reading, "Text")) as archive:
        assert archive.namelist() == ["paper.txt", "2-paper.txt"]
        assert archive.read("2-paper.txt") == b"Other\n"


def test_files_hold_the_text_that_a_pdf_holds_itself(papers: dict[str, Path]) -> None:
    reading = Reading(own=True, first_own=(str(papers["paper"]), 2))
    reading.leaves = [
        Leaf(ImageRef.of(papers["paper"], frame=2), "paper.pdf", "misread", "eos"),
        Leaf(ImageRef.of(papers["paper"], frame=0), "paper.pdf", f"misread {BOXES}", "eos"),
    ]
    assert Path(save_file(reading, "Text", reading.leaves)).read_text() == "PAGE 3\n\fPAGE 1\n"
    pages = json.loads(Path(save_file(reading, "JSON", reading.leaves)).read_text())["pages"]
    assert [(page["text"], page["finish"], page["boxes"]) for page in pages] == [
        ("PAGE 3", None, []),
        ("PAGE 1", None, []),
    ]
    reading.own = False
    assert Path(save_file(reading, "Text")).read_text() == "misread\n\fmisread chart\n"
    reading.own = True
    with pytest.raises(PromptError, match="None of these has a text of its own"):
        save_file(reading, "Text", [Leaf(ImageRef.of(papers["scanned"]), "scanned.pdf")])
    reading.leaves = [Leaf(ImageRef.of(papers["scan"]), "scan.tif", "of a scan", "eos")]
    reading.first_own = None  # there is no such choice any more
    assert Path(save_file(reading, "Text")).read_text() == "of a scan\n"
    assert Path(save_file(reading, "Markdown")).read_text() == "<!-- page 1 -->\n\nof a scan\n"


def test_the_text_that_a_pdf_holds_itself_needs_no_reading(papers: dict[str, Path]) -> None:
    reading = Reading(own=True, first_own=(str(papers["paper"]), 0))
    chosen = [Leaf(ImageRef.of(papers["paper"], frame=frame), "paper.pdf") for frame in (0, 2)]
    assert Path(save_file(reading, "Text", chosen)).read_text() == "PAGE 1\n\fPAGE 3\n"
    assert not reading.can_be_saved  # no page of it is shown
    reading.shown = chosen[0]
    assert reading.can_be_saved


def test_whether_a_chosen_page_holds_text_itself(papers: dict[str, Path]) -> None:
    paper, mixed, scan, scanned = (str(papers[name]) for name in ("paper", "mixed", "scan", "scanned"))

    def choose(text: str) -> dict[str, list[dict[str, str]]]:
        return {"documents": [{"key": mixed, "chosen": text}]}

    assert find_first([scan, scanned], None, USUAL) is None
    assert find_first([scan, paper], None, USUAL) == (paper, 0)
    for text, found in {"": (mixed, 1), "2-3": (mixed, 1), "1, 3": None, "no list": (mixed, 1)}.items():
        assert find_first([scanned, mixed], choose(text), USUAL) == found


def test_a_table_is_written_as_it_was_read_and_other_text_as_rows_of_its_lines(papers: dict[str, Path]) -> None:
    reading = Reading(asked=("tables", ""))
    reading.leaves = [
        Leaf(ImageRef.of(papers["paper"], frame=2), "paper.pdf", "```csv\na,b\n1,2\n```", "eos"),
        Leaf(ImageRef.of(papers["paper"], frame=0), "paper.pdf", 'In 1876, "Tom"\n\nsaid, so', "eos"),
    ]

    def read() -> str:
        return Path(save_file(reading, "CSV", reading.leaves)).read_text("utf-8-sig")

    assert read().startswith("a,b\n1,2\n\n")
    reading.asked = ("own", "Write it as CSV.")
    assert read().startswith("a,b\n1,2\n\n")
    reading.asked = ("text", "")
    rows = list(csv.reader(read().splitlines()))
    assert rows[0] == ["page", "text"] and rows[-2:] == [["1", 'In 1876, "Tom"'], ["1", "said, so"]]
    reading.asked, reading.own, reading.first_own = ("tables", ""), True, (str(papers["paper"]), 2)
    assert list(csv.reader(read().splitlines())) == [["page", "text"], ["3", "PAGE 3"], ["1", "PAGE 1"]]


@pytest.mark.slow
@pytest.mark.parametrize("bundled", [True, False])
def test_beside_the_text_of_the_bundled_model_stands_that_it_is_to_be_checked(
    papers: dict[str, Path], bundled: bool
) -> None:
    with gr.Blocks() as demo:
        documents = Documents(ScriptedBackend(card=replace(CARD, bundled=bundled)), Limits())
        documents.build(demo)
    reading = Reading()
    reading.open([(ImageRef.of(papers["paper"]), "paper.pdf")], ("text", ""))
    reading.leaves[0].text = "words"
    note = documents.answer.note
    assert ("often misreads documents" in documents.view.show(reading)[note]) is bundled
    reading.first_own = (str(papers["paper"]), 0)
    shown = documents.choose_text("own", reading)
    assert (shown[documents.answer.text], shown[note]) == ("PAGE 1", "")


def test_what_stands_in_the_place_of_a_page_is_said_in_chinese_too() -> None:
    assert {HOW_TO, READY, READY_OWN, BEGUN, CHECK, NO_OWN_TEXT, UNREAD} <= CHINESE.keys()


def test_the_bundled_model_is_asked_what_it_can_do() -> None:
    assert count_most(4096, bundled=True) == BUNDLED_TOKENS < count_most(4096, bundled=False) == MOST_TOKENS
    assert count_most(100, bundled=False) == 100
    assert {key for _, key in offer_tasks(bundled=True)} == {"text", "figures", "own"}
    assert {key for _, key in offer_tasks(bundled=False)} == set(TASKS)
    with pytest.raises(PromptError, match="no question of your own"):
        compose(None, "own", " ")


def add(page: Page, *files: Path) -> None:
    page.set_input_files("#documents-files input[type=file]", list(files))


@pytest.mark.slow
def test_documents_are_read_page_by_page(scripted, way, papers, open_page, tmp_path):
    scripted.script.say, scripted.script.pause = TEXT, 0.05
    page = open_page(scripted)
    page.get_by_role("tab", name="Documents").click()
    start = page.locator("#documents-start")
    expect(page.locator("#documents-how .empty")).to_be_visible()
    start.click()
    expect(page.locator("#documents-notice")).to_contain_text("There is no document")
    add(page, papers["locked"])
    expect(page.locator("#documents-notice")).to_contain_text("is locked with a password")
    page.locator("#documents-files").get_by_role("button", name="Clear").click()
    add(page, papers["paper"], papers["scan"])
    pages = page.locator("#documents-pages .document")
    expect(pages).to_have_count(2)
    expect(pages.locator("input:checked")).to_have_count(5)  # all of them, unless others are chosen
    pages.nth(0).get_by_label("Pages").fill("2-3")
    pages.nth(0).get_by_label("Pages").press("Enter")
    start.click()
    status, text = page.locator("#documents-status"), page.locator("#documents-text")
    expect(status).to_contain_text("of 4 pages are read")
    expect(text.locator("h1")).to_have_text("Title")
    expect(text.locator("p br")).to_have_count(1)  # lines stay lines
    expect(status).to_contain_text("All 4 pages are read.", timeout=40_000)
    expect(text.locator("li")).to_have_count(2)
    expect(page.locator("#documents-picture img")).to_be_visible()
    page.locator("#documents-which input").click()
    expect(page.get_by_role("option")).to_have_count(4)
    page.get_by_role("option", name="paper.pdf · 3").click()
    expect(page.locator("#documents-picture .canvas")).to_have_attribute("style", "--width:1189;--height:1683")
    for name, suffix in (("Searchable PDF", "-searchable.pdf.zip"), ("Markdown", ".md.zip")):
        with page.expect_download() as download:
            page.locator("#documents-exports").get_by_role("button", name=name).click()
        assert download.value.suggested_filename == f"documents{suffix}"
    assert zipfile.ZipFile(download.value.path()).namelist() == ["paper.md", "scan.md"]
    serious = [found for found in Axe().run(page).response["violations"] if found["impact"] in ("serious", "critical")]
    assert serious == []

    # the text that the PDF holds itself, on the page and in the files; a scan has none
    source = page.locator("#documents-source")
    source.get_by_label("The PDF's own text").check()
    expect(text).to_contain_text("PAGE 3")
    with page.expect_download() as download:
        page.locator("#documents-exports").get_by_role("button", name="Text").click()
    assert zipfile.ZipFile(download.value.path()).read("paper.txt") == b"PAGE 2\n\x0cPAGE 3\n"
    page.locator("#documents-which input").click()
    page.get_by_role("option", name="scan.tif · 1").click()
    expect(text).to_contain_text("Page 1 has no text of its own")
    source.get_by_label("The model's text").check()
    expect(text.locator("h1")).to_have_text("Title")

    # stopped, it goes on with what is left
    asked = len(scripted.script.requests)
    page.get_by_label("Figures with boxes").check()
    numbers = " ".join(map(str, range(120)))  # without them it would only repeat itself
    scripted.script.endless, scripted.script.say = True, f"{BOXES}\n{numbers}"
    start.click()
    expect(text).to_contain_text("chart")
    wait_until(lambda: len(scripted.script.requests) == asked + AT_ONCE)
    page.locator("#documents-stop").click()
    expect(status).to_contain_text("0 of 4 pages are read; Read goes on from there.")
    scripted.script.endless, scripted.script.pause = False, 0
    start.click()
    expect(status).to_contain_text("All 4 pages are read.", timeout=40_000)
    assert len(scripted.script.requests) == asked + AT_ONCE + 4
    # Nothing follows a page; a server elsewhere, which speaks OpenAI's protocol, is not told so.
    assert {request.keep for request in scripted.script.requests} == {way == "openai"}
    expect(page.locator("#documents-picture .box")).to_have_count(1)
    expect(page.locator("#documents-picture tr[data-index]")).to_have_count(1)

    # one's own question
    page.get_by_label("My own question").check()
    page.locator("#documents-own textarea, #documents-own input").fill("How many?")
    scripted.script.say = "Three."
    start.click()
    expect(text).to_contain_text("Three.")
    expect(status).to_contain_text("All 4 pages are read.", timeout=40_000)
    assert scripted.script.requests[-1].messages[0]["content"][-1]["text"].strip() == "How many?"

    # what only repeats itself is ended, and the rest is read
    page.locator("#documents-own textarea, #documents-own input").fill("Which?")
    scripted.script.say, scripted.script.pause = "Three. " + "and " * 1000, 0
    start.click()
    expect(status).to_have_text("All 4 pages are read. 4 began to repeat themselves and were ended there.")
    expect(text).to_contain_text("Three.")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(390, 800), (1280, 720)])
def test_that_reading_has_begun_is_in_sight(scripted, papers, open_page, width, height):
    scripted.script.say, scripted.script.endless = " ".join(map(str, range(120))), True
    scripted.script.pause = 1.0  # so that a slow browser sees the first line before it is scrolled away
    page = open_page(scripted, width=width, height=height)
    page.locator("[data-tab-id=documents]:visible").click()
    how, start, status = (page.locator(f"#documents-{name}") for name in ("how", "start", "status"))
    expect(how).to_contain_text("Add a PDF")
    add(page, papers["locked"])
    expect(page.locator("#documents-notice")).to_contain_text("is locked with a password")
    expect(page.locator("#documents-notice")).to_be_in_viewport(ratio=1)
    page.locator("#documents-files").get_by_role("button", name="Clear").click()
    page.evaluate("scrollTo(0, 0)")
    add(page, papers["paper"], papers["scan"])
    expect(page.locator("#documents-pages .document")).to_have_count(2)
    expect(how).to_contain_text("Press Read")
    expect(start).to_be_in_viewport(ratio=1)
    start.click()
    expect(status).to_have_text("0 of 5 pages are read")
    expect(status).to_be_in_viewport(ratio=1)
    expect(how).to_be_hidden()
    expect(page.locator("#documents-picture img")).to_be_in_viewport()
    line = page.locator("#documents-text p").first
    expect(line).to_contain_text("0 1 2 3")
    expect(line).to_be_in_viewport()
    page.locator("#documents-stop").click()
    expect(status).to_contain_text("Read goes on from there")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(390, 800), (1280, 720)])
def test_the_text_of_a_pdf_is_offered_before_it_is_read(scripted, papers, open_page, width, height):
    page = open_page(scripted, width=width, height=height)
    page.locator("[data-tab-id=documents]:visible").click()
    how, start, text, offered = (page.locator(f"#documents-{name}") for name in ("how", "start", "text", "pdf-text"))
    add(page, papers["scan"], papers["scanned"])
    expect(how).to_contain_text("Press Read")
    expect(offered).to_be_hidden()
    page.locator("#documents-files").get_by_role("button", name="Clear").click()
    expect(how).to_contain_text("Add a PDF")
    page.evaluate("scrollTo(0, 0)")
    add(page, papers["mixed"])
    expect(how).to_contain_text("Or use the text that the PDF holds itself")
    expect(offered).to_be_in_viewport(ratio=1)
    expect(start).to_be_in_viewport(ratio=1)
    chosen = page.locator("#documents-pages").get_by_label("Pages")
    for numbers, has_text in (("1, 3", False), ("2-3", True)):
        chosen.fill(numbers)
        chosen.press("Enter")
        expect(offered).to_be_visible(visible=has_text)
    offered.click()
    expect(text).to_have_text("TYPED")
    expect(text).to_be_in_viewport()
    expect(page.locator("#documents-picture img")).to_be_visible()
    expect(page.locator("#documents-source").get_by_label("The PDF's own text")).to_be_checked()
    with page.expect_download() as download:
        page.locator("#documents-exports").get_by_role("button", name="Text", exact=True).click()
    assert Path(download.value.path()).read_bytes() == b"TYPED\n\x0c\n"
    assert scripted.script.requests == []
    chosen.fill("3")
    chosen.press("Enter")
    expect(text).to_have_text("Page 2 is not read yet.")
    expect(page.locator("#documents-exports")).to_be_hidden()


@pytest.mark.slow
def test_what_was_read_leaves_with_its_document(scripted, papers, open_page):
    scripted.script.say = " ".join(map(str, range(120)))
    page = open_page(scripted)
    page.get_by_role("tab", name="Documents").click()
    how, row, status = (page.locator(f"#documents-{name}") for name in ("how", "page", "status"))
    add(page, papers["paper"], papers["scan"])
    expect(page.locator("#documents-pages .document")).to_have_count(2)
    page.locator("#documents-start").click()
    expect(status).to_have_text("All 5 pages are read.", timeout=40_000)
    remove = page.locator("#documents-files").get_by_role("button", name="Remove this file")
    remove.first.click()
    expect(page.locator("#documents-pages .document")).to_have_count(1)
    expect(status).to_have_text("All 2 pages are read.")
    page.locator("#documents-which input").click()
    expect(page.get_by_role("option")).to_contain_text(["scan.tif · 1", "scan.tif · 2"])
    page.keyboard.press("Escape")

    # and comes back with it
    back = page.locator("#documents-back")
    expect(back).to_have_text("Bring paper.pdf back")
    back.click()
    expect(page.locator("#documents-pages .document")).to_have_count(2)
    expect(status).to_have_text("All 5 pages are read.")
    expect(back).to_be_hidden()
    expect(page.locator("#documents-start")).to_be_focused()
    expect(remove).to_have_count(2)
    page.locator("#documents-which input").click()
    expect(page.get_by_role("option")).to_have_count(5)
    page.get_by_role("option", name="paper.pdf · 2").click()
    expect(page.locator("#documents-text")).to_contain_text("0 1 2 3")

    # while it is read, too
    scripted.script.endless = True
    page.get_by_label("Figures with boxes").check()
    page.locator("#documents-start").click()
    expect(page.locator("#documents-text")).to_contain_text("0 1 2 3")
    page.locator("#documents-files").get_by_role("button", name="Clear").click()
    expect(how).to_contain_text("Add a PDF")
    expect(row).to_be_hidden()
    expect(page.locator("#documents-start")).to_be_visible()
    expect(page.locator("#documents-exports")).to_be_hidden()
    expect(status).to_be_hidden()
    assert scripted.script.closed.wait(10)
    back.click()
    expect(page.locator("#documents-pages .document")).to_have_count(2)
    expect(status).to_contain_text("of 5 pages are read; Read goes on from there.")


@pytest.mark.slow
def test_a_thumbnail_shows_its_page_and_that_stays_while_others_are_read(scripted, papers, open_page):
    scripted.script.say, scripted.script.endless = " ".join(map(str, range(120))), True
    page = open_page(scripted)
    page.get_by_role("tab", name="Documents").click()
    add(page, papers["paper"])
    text, which, chosen = page.locator("#documents-text"), page.locator("#documents-which input"), "input:checked"
    page.get_by_role("button", name="Page 3").click()
    expect(text).to_have_text("Page 3 is not read yet.")
    current = page.locator("#documents-pages [aria-current=page]")
    expect(current).to_have_accessible_name("Page 3")
    expect(page.locator("#documents-picture img")).to_be_visible()
    expect(page.locator("#documents-how")).to_be_hidden()
    box = page.get_by_label("To be read: page 3")
    box.focus()
    page.keyboard.press("Space")  # is not to be read
    expect(page.get_by_label("Pages")).to_have_value("1-2")
    expect(box).to_be_focused()
    expect(page.locator(f"#documents-pages {chosen}")).to_have_count(2)

    page.locator("#documents-start").click()
    expect(which).to_have_value("paper.pdf · 1")
    expect(current).to_have_accessible_name("Page 1")
    expect(text).to_contain_text("0 1 2 3")
    page.get_by_role("button", name="Page 2").focus()
    page.keyboard.press("Enter")
    expect(which).to_have_value("paper.pdf · 2")
    expect(text).to_contain_text("0 1 2 3")
    asked = len(scripted.script.requests)
    page.locator("#documents-stop").click()
    expect(page.locator("#documents-status")).to_contain_text("Read goes on from there")
    expect(which).to_have_value("paper.pdf · 2")
    page.locator("#documents-start").click()
    expect(which).to_have_value("paper.pdf · 1")  # it has begun, so that the next click is the later one
    page.get_by_role("button", name="Page 3").click()
    expect(text).to_have_text("Page 3 is not read yet.")
    scripted.script.endless = False
    expect(page.locator("#documents-status")).to_have_text("All 2 pages are read.")
    expect(text).to_have_text("Page 3 is not read yet.")
    assert len(scripted.script.requests) == asked + 2
    page.get_by_role("button", name="Page 1").click()
    expect(which).to_have_value("paper.pdf · 1")
    expect(text).to_contain_text("79")
    which.click()
    page.get_by_role("option", name="paper.pdf · 2").click()
    expect(current).to_have_accessible_name("Page 2")
    expect(current).to_have_count(1)
