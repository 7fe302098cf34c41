"""Pages of documents in Chat, at the endpoints and in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gradio_client import handle_file
from PIL import Image
from playwright.sync_api import expect

from dsvl2_app.__main__ import main
from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import USUAL, Limits, read_source
from dsvl2_app.image.page_ranges import open_pages
from dsvl2_app.image.reference import find_frames
from dsvl2_app.ui.opening import Opener
from dsvl2_app.ui.pages import list_pages, offer_pages, read_chosen
from tests.image.papers import A4, write_pdf, write_tiff
from tests.image.test_clips import write_clip
from tests.ui.steps import ask, bot, give, user
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "paper.pdf").write_bytes(write_pdf(30))
    (folder / "scan.tif").write_bytes(write_tiff(3))
    (folder / "locked.pdf").write_bytes(write_pdf(2, encrypt="secret"))
    (folder / "long.pdf").write_bytes(write_pdf(1, (300.0, 900.0)))
    return {path.stem: path for path in folder.iterdir()}


def test_the_choice_stays_with_its_file(papers: dict[str, Path]) -> None:
    paper, scan, single = (str(papers[name]) for name in ("paper", "scan", "long"))
    assert offer_pages([single], None, USUAL) is None
    offered = offer_pages([paper, scan], None, USUAL, {scan: [0, 2]})
    assert [each["count"] for each in offered["documents"]] == [30, 3]
    assert [len(each["thumbnails"]) for each in offered["documents"]] == [24, 3]
    assert read_chosen(offered) == {paper: "1", scan: "1, 3"}
    offered["documents"][0]["chosen"] = "2-4"
    assert read_chosen(offer_pages([single, paper], offered, USUAL)) == {paper: "2-4"}
    pages = list_pages([paper, single, scan], offered, USUAL)
    assert [page.frame for page in pages] == [1, 2, 3, 0, 0, 2]
    assert [page.frame for page in list_pages([paper, scan], "3", USUAL)] == [2, 2]
    for nothing in (None, 7, [], {"documents": 1}, {"documents": [1, {"key": 1, "chosen": []}]}):
        assert read_chosen(nothing) == {}
        assert len(list_pages([paper], nothing, USUAL)) == 1
    with pytest.raises(ImageError, match="locked"):
        list_pages([str(papers["locked"])], None, USUAL)


def test_a_file_is_read_once_to_count_and_to_name_its_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And once for each page that is meant, by which a changed file is known."""
    read: list[str] = []

    def read_and_note(source: str, limits: Limits) -> bytes:
        read.append(Path(source).name)
        return read_source(source, limits)

    for module in ("image.reference", "ui.pages"):
        monkeypatch.setattr(f"dsvl2_app.{module}.read_source", read_and_note)
    (tmp_path / "a.tif").write_bytes(write_tiff(3))
    (tmp_path / "b.pdf").write_bytes(write_pdf(3))
    for name in ("a.tif", "b.pdf"):
        file, known = str(tmp_path / name), find_frames(tmp_path / name)
        assert (read.pop(), read) == (name, [])
        assert len(open_pages(file, "2-3")) == 2
        assert read == [name] * (1 + 2)
        read.clear()
        assert len(list_pages([file], "2-3", USUAL)) == 2
        assert read == [name] * (1 + 2)
        read.clear()
        monkeypatch.setattr("dsvl2_app.ui.pages._thumbnails", lambda *_: ())
        assert len(list_pages([file], "2-3", USUAL)) == 2  # what is known is not read again
        assert [each["count"] for each in offer_pages([file], None, USUAL)["documents"]] == [known.total]
        assert read == []


def test_frames_are_called_frames_and_stills_stills(tmp_path: Path) -> None:
    """And of what is only searched, that one of them is."""
    images = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    for suffix in ("gif", "webp"):
        images[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=images[1:])
    (tmp_path / "a.tif").write_bytes(write_tiff(3))
    write_clip(tmp_path / "a.mp4")
    said = {}
    for suffix in ("gif", "webp", "tif", "mp4"):
        many, one = (offer_pages([str(tmp_path / f"a.{suffix}")], None, USUAL, single=one) for one in (False, True))
        document, searched = many["documents"][0], one["documents"][0]
        said[suffix] = (document["title"], document["label"], document["thumbnails"][1]["words"], document["more"])
        assert searched["more"] == "Only the one that is chosen is searched."
    for suffix in ("gif", "webp"):
        no_motion = "The model sees the chosen frames one by one, and no motion."
        assert said[suffix] == (f"a.{suffix}: 3 frames", "Frames", "Frame 2", no_motion)
    assert said["tif"] == ("a.tif: 3 pages", "Pages", "Page 2", "")
    assert said["mp4"][0].startswith("a.mp4: 24 stills of")
    assert said["mp4"][1:3] == ("Stills", "Still 2")


@pytest.mark.slow
def test_endpoints_take_pages(scripted, papers):
    client = scripted.client()
    paper = handle_file(papers["paper"])
    client.predict({"text": "What is here?", "files": [paper]}, pages="2-3", api_name="/chat")
    content = scripted.script.requests[-1].messages[-1]["content"]
    assert [part["image"].size for part in content if part["type"] == "image"] == [(1189, 1683)] * 2
    scripted.script.say = "<|ref|>red<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>"
    _, found, _ = client.predict(paper, "red", page=2, api_name="/ground")
    assert found["boxes"][0]["points"] == [0, 0, *A4]
    layouts = client.predict([handle_file(papers["scan"]), paper], pages="1-2", api_name="/tiles")
    assert [image["size"] for image in layouts["images"]] == [[100, 80], [200, 80], *[[1189, 1683]] * 2]
    for wrong, words in (({"pages": "31"}, "There are pages 1 to 30"), ({"pages": "x"}, "Pages are written as")):
        with pytest.raises(Exception, match=words):
            client.predict([paper], **wrong, api_name="/tiles")


def test_the_terminal_takes_pages(papers, capsys, monkeypatch, tmp_path):
    assert main(["tiles", str(papers["scan"]), "--pages", "2-3", "--json"]) == 0
    layouts = json.loads(capsys.readouterr().out)
    assert [(Path(each["file"]).name, each["size"]) for each in layouts] == [
        ("scan.tif, page 2", [200, 80]),
        ("scan.tif, page 3", [300, 80]),
    ]
    out = tmp_path / "boxes.json"
    arguments = ["ground", "--backend", "scripted", "--image", str(papers["paper"]), "--page", "2", "red"]
    assert main([*arguments, "--out", str(out)]) == 0
    written = json.loads(out.read_text())
    assert (written["page"], written["points"]) == (2, list(A4))
    assert main([*arguments[:-2], "31", "red"]) == 2
    assert "has no page 31" in capsys.readouterr().err


@pytest.mark.slow
def test_pages_are_chosen_and_asked_about(scripted, papers, open_page):
    page = open_page(scripted)
    page.set_input_files("#message input[type=file]", [papers["paper"], papers["long"]])
    document = page.locator("#chat-pages .document")
    expect(document).to_have_count(1)
    expect(document.locator("legend")).to_have_text("paper.pdf: 30 pages")
    expect(document.locator(".thumbnails img")).to_have_count(24)
    expect(document.locator("button[aria-pressed=true]")).to_have_text("1")
    meter = page.locator("#chat-meter")
    expect(meter).to_contain_text("Picture 2")
    document.get_by_role("button", name="Page 3").click()
    document.get_by_role("button", name="Page 2", exact=True).click()
    expect(document.locator("input")).to_have_value("1-3")
    expect(meter).to_contain_text("Picture 4")
    document.locator("input").fill("31")
    document.locator("input").press("Enter")
    expect(meter).to_contain_text("There are pages 1 to 30")
    document.locator("input").fill("2, 30")
    document.locator("input").press("Enter")
    expect(document.locator("button[aria-pressed=true]")).to_have_count(1)
    ask(page, "What is on these pages?")
    expect(bot(page)).to_contain_text("Hello.")
    expect(user(page).locator(".picture img")).to_have_count(3)
    expect(user(page).locator(".picture img").first).to_have_attribute("alt", "Picture 1, 1,189 × 1,683 px, page 2")
    expect(document).to_have_count(0)
    sent = [part["image"] for part in scripted.script.requests[-1].messages[0]["content"] if part["type"] == "image"]
    assert len(sent) == 3
    page.locator("#conversation .undo").click()  # back to the box, with its pages
    expect(document.locator("input")).to_have_value("2, 30")
    page.set_input_files("#message input[type=file]", [papers["locked"]])
    expect(meter).to_contain_text("locked.pdf' is locked with a password")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 800)])
def test_the_message_box_stays_in_sight_where_documents_are_attached(scripted, tmp_path, open_page, width, height):
    page = open_page(scripted, width=width, height=height)
    documents, images = page.locator("#chat-pages .document"), page.locator("#chat-pages .thumbnails img")

    def attach_and_look(pages: int, shown: int) -> None:
        (tmp_path / f"{pages}.pdf").write_bytes(write_pdf(pages))
        page.set_input_files("#message input[type=file]", tmp_path / f"{pages}.pdf")
        expect(images).to_have_count(shown)
        expect(page.locator("#chat-meter")).to_contain_text(f"Picture {documents.count()}")
        for part in ("textarea", ".submit-button"):
            expect(page.locator(f"#message {part}")).to_be_in_viewport(ratio=1)
        assert page.evaluate("scrollY") == 0

    attach_and_look(5, 5)
    expect(documents.get_by_role("button", name="Page 1", exact=True)).to_be_in_viewport(ratio=1)
    page.locator("#message .delete-button").click()
    expect(documents).to_have_count(0)
    attach_and_look(20, 20)
    attach_and_look(5, 25)  # both, which scroll within themselves
    documents.nth(1).get_by_role("button", name="Page 5").click()
    expect(documents.nth(1).locator("input")).to_have_value("1, 5")
    expect(page.locator("#message .submit-button")).to_be_in_viewport(ratio=1)


@pytest.mark.slow
def test_grounding_and_tiles_open_documents(scripted, papers, open_page):
    scripted.script.say = "<|ref|>red<|/ref|><|det|>[[100, 200, 500, 700]]<|/det|>"
    page = open_page(scripted)
    page.get_by_role("tab", name="Grounding").click()
    page.locator("input[type=file]:has(+ #grounding-document)").set_input_files(papers["locked"])
    expect(page.locator("#grounding-notice")).to_contain_text("is locked with a password")
    page.locator("input[type=file]:has(+ #grounding-document)").set_input_files(papers["paper"])
    picture = page.locator("#grounding-picture img")
    expect(picture).to_be_visible()
    first = picture.get_attribute("src")
    page.locator("#grounding-pages").get_by_role("button", name="Page 2", exact=True).click()
    expect(picture).not_to_have_attribute("src", first)
    expect(page.locator("#grounding-pages button[aria-pressed=true]")).to_have_text("2")
    page.locator("#grounding-phrase textarea, #grounding-phrase input").fill("red")
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-boxes .box")).to_have_count(1)
    assert scripted.script.requests[-1].messages[0]["content"][0]["image"].size == (1189, 1683)
    with page.expect_download() as download:
        page.locator("#grounding-exports").get_by_role("button", name="JSON", exact=True).click()
    assert download.value.suggested_filename == "paper-page-2.json"
    written = json.loads(download.value.path().read_text())
    assert (written["picture"], written["page"], written["points"]) == ("paper.pdf", 2, list(A4))

    page.get_by_role("tab", name="Tiles").click()
    give(page, "drop", "#header", papers["paper"])
    expect(page.locator("#tiles-summary")).to_contain_text("from 1,189 × 1,683 px")
    page.locator("#tiles-pages input").fill("2-4")
    page.locator("#tiles-pages input").press("Enter")
    expect(page.locator("#tiles-which label")).to_have_count(3)
    page.locator("input[type=file]:has(+ #tiles-document)").set_input_files(papers["scan"])
    expect(page.locator("#tiles-summary")).to_contain_text("from 100 × 80 px")


@pytest.mark.slow
def test_pages_that_are_chosen_while_the_server_opens_others_are_opened_next(scripted, papers, open_page, held):
    page = open_page(scripted)
    page.get_by_role("tab", name="Grounding").click()
    page.locator("input[type=file]:has(+ #grounding-document)").set_input_files(papers["paper"])
    expect(page.locator("#grounding-picture img")).to_be_visible()
    calls, go = held(Opener, "turn")
    for name in ("Page 2", "Page 3"):
        page.locator("#grounding-pages").get_by_role("button", name=name, exact=True).click()
        wait_until(lambda: calls)
    go.set()
    wait_until(lambda: len(calls) == 2)
    assert [image.frame for pages in calls for _, image in pages] == [1, 2]

    page.get_by_role("tab", name="Tiles").click()
    page.locator("input[type=file]:has(+ #tiles-document)").set_input_files(papers["paper"])
    expect(page.locator("#tiles-summary")).to_contain_text("from 1,189 × 1,683 px")
    calls, go = held(Opener, "turn")
    for pages in ("2-4", "5-6"):
        page.locator("#tiles-pages input").fill(pages)
        page.locator("#tiles-pages input").press("Enter")
        wait_until(lambda: calls)
    go.set()
    expect(page.locator("#tiles-which label")).to_have_count(2)
    assert [image.frame for _, image in calls[1]] == [4, 5]
