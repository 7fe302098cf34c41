"""All three tabs, in both themes and at every width: accessibility, layout and language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import Formatter

import axe_playwright_python
import httpx
import pytest
from playwright.sync_api import Page, expect

import dsvl2_app
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.engine.loading import RANDOM_NOTICE
from dsvl2_app.request import Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.ui.page import SCOPE, show_header
from dsvl2_app.ui.preview import DESCRIPTION
from dsvl2_app.ui.tabs import TABS
from dsvl2_app.ui.tabs.documents.showing import ENDED
from dsvl2_app.ui.words.chinese import CHINESE
from dsvl2_app.ui.words.translations import SAID
from dsvl2_app.ui.words.wording import UNEXPECTED
from tests.ui.conftest import CARD
from tests.ui.steps import ask, attach, bot, leave, measure, open_settings, user

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
BOXES = "<|ref|>" + "Longword" * 20 + "<|/ref|><|det|>[[100, 200, 500, 700], [0, 0, 10, 10]]<|/det|>"
ANSWER = BOXES + "\n\n" + "word" * 100 + "\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 3


IS_AT_REST = """() => {
    const before = document.before;
    document.before = document.body.outerHTML;
    return before === document.before && document.getAnimations().every(
        (each) => each.playState !== "running" || each.effect.getComputedTiming().iterations === Infinity);
}"""
IS_WIDE = "part => part.scrollWidth > part.clientWidth"
AUDIT = "axe.run({resultTypes: ['violations'], preload: false})"  # details of what passes take as long again
SCROLLED = ("html", ".bubble-wrap")
WIDTHS = (390, 768, 1280, 2560)  # px
AUDITED = (390, 1280)  # as a telephone and as a desk show it


def fill_tabs(page: Page, pictures: dict[str, Path]) -> Iterator[str]:
    """Each tab as it opens and with something in it; its name whenever there is something new to look at."""
    yield "chat"
    attach(page, pictures["wide"], pictures["tall"])
    ask(page, "x" * 300)
    expect(bot(page).locator("summary")).to_be_visible()
    attach(page, pictures["turned"])
    bot(page).locator("summary").click()
    open_settings(page)
    yield "chat-answered"
    page.locator("[data-tab-id=grounding]:visible").click()
    yield "grounding"
    page.locator("#grounding-picture input[type=file]").set_input_files(pictures["wide"])
    page.locator("#grounding-phrase :is(textarea, input)").fill("dog")
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-exports")).to_be_visible()
    yield "grounding-found"
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .row").first.press("Delete")
    expect(page.locator("#grounding-boxes .row")).to_have_count(1)
    page.get_by_label("Count", exact=True).check()
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-back")).to_be_visible()
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .row").first.click()
    expect(page.locator("#grounding-boxes .handle")).to_have_count(8)
    yield "grounding-counted"
    page.locator("[data-tab-id=tiles]:visible").click()
    yield "tiles"
    page.locator("#tiles-pictures input[type=file]").first.set_input_files(pictures["wide"])
    expect(page.locator("#tiles-tokens section")).to_be_visible()
    yield "tiles-cut"


def find_serious(page: Page) -> list[tuple[str, str]]:
    """What axe calls serious or worse: the rule and the element."""
    return [
        (violation["id"], node["html"][:200])
        for violation in page.evaluate(AUDIT)["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_scrolls_sideways_and_axe_finds_nothing_serious(scripted, pictures, open_page, theme):
    scripted.script.say = ANSWER
    page = open_page(scripted, width=WIDTHS[0], color_scheme=theme)
    page.evaluate(f"{AXE}; 0")
    wide, serious = [], []
    for place in fill_tabs(page, pictures):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": page.viewport_size["height"]})
            page.wait_for_function(IS_AT_REST, polling=200)
            wide += [(place, width, part) for part in SCROLLED if page.locator(part).first.evaluate(IS_WIDE)]
            if width in AUDITED:
                serious += [(place, width, *found) for found in find_serious(page)]
        page.set_viewport_size({"width": WIDTHS[0], "height": page.viewport_size["height"]})
    assert (wide, serious) == ([], [])


@pytest.mark.slow
def test_the_keyboard_reaches_everything_in_chat(scripted, open_page):
    page = open_page(scripted)
    ask(page, "Hi")
    expect(bot(page).locator("summary")).to_be_visible()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText")
        )
    expected = {"Chat", "Clear", "Copy message", "Edit", "Undo from here", "Retry", "How to answer", "Export", "Import"}
    assert expected <= {name.split("\n")[0] for name in reached}


@pytest.mark.slow
def test_the_page_speaks_chinese(scripted, pictures, open_page):
    scripted.script.say = BOXES
    page = open_page(scripted, locale="zh-CN")
    expect(page.get_by_role("tab")).to_contain_text(["对话", "定位", "切片"])
    expect(page.locator("#header .card")).to_contain_text("参数")
    expect(page.locator("#conversation .welcome h2")).to_have_text("就图片提问")
    expect(page.locator("#message textarea")).to_have_attribute("placeholder", "就图片提问")
    open_settings(page)
    expect(page.locator("#chat-preset")).to_contain_text("均衡")
    attach(page, pictures["wide"])
    ask(page, "你好")
    expect(bot(page).locator("summary")).to_contain_text("个词元")
    expect(page.locator("#chat-meter")).to_contain_text("留给回答")
    page.locator("#conversation").get_by_role("button", name="撤回到这里").click()
    expect(page.locator("#message textarea")).to_have_value("你好")
    assert scripted.script.requests[-1].sampling == Sampling(0.2, 0.9)
    page.get_by_role("tab", name="切片").click()
    page.set_input_files("#tiles-pictures input[type=file]", pictures["wide"])
    expect(page.locator("#tiles-candidates")).to_contain_text("浪费像素")


@pytest.mark.slow
def test_errors_are_in_chinese_for_those_who_read_it(scripted, pictures, open_page):
    page = open_page(scripted, locale="zh-CN")
    notice = page.get_by_role("alert")
    scripted.script.say = ZeroDivisionError("internal detail")
    ask(page, "你好")
    expect(notice).to_have_text("服务器出错，已记录此问题；请重试。")
    attach(page, pictures["broken"])
    ask(page, "你好")
    expect(notice).to_have_text("'broken.png' 已损坏或不完整；请重新保存或发送。")


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["zh-CN", "zh-TW", "zh-HK", "zh", "en-GB"])
def test_browser_and_server_speak_one_language(scripted, open_page, locale):
    page = open_page(scripted, locale=locale)
    chinese = locale in ("zh-CN", "zh-TW")
    expect(page.get_by_role("tab").first).to_have_text("对话" if chinese else "Chat")
    expect(page.locator("#header .card")).to_contain_text("参数" if chinese else "parameters")


def test_a_link_to_the_page_shows_its_own_name(scripted):
    page = httpx.get(scripted.url)
    assert len(page.content) == int(page.headers["content-length"])
    shown = re.findall(r'<meta\s+(?:property|name)="(?:og|twitter):(\w+)"\s+content="([^"]*)"', page.text)
    assert {words for name, words in shown if name == "title"} == {"DeepSeek-VL2"}
    assert next(words for name, words in shown if name == "description") == DESCRIPTION
    assert not {name for name, _ in shown} & {"image", "url", "creator"}


def test_the_bundled_model_says_what_it_can_do_and_no_other():
    nano = replace(CARD, name="nano", source="assets/nano", notice="", bundled=True)
    usual, own = Settings(), Settings(title="Our <maps>", notice="Pictures are deleted after an hour.")
    assert "A toy model" in show_header(ScriptedBackend(card=nano), usual)
    assert "banner" not in show_header(ScriptedBackend(card=nano), usual)
    assert "<h1>DeepSeek-VL2</h1>" in show_header(ScriptedBackend(card=nano), usual)
    assert "<h1>Our &lt;maps&gt;</h1>" in show_header(ScriptedBackend(card=nano), own)
    assert "Pictures are deleted after an hour." in show_header(ScriptedBackend(card=nano), own)
    for other in (replace(nano, source="random weights"), replace(nano, name="deepseek-vl2-tiny", source="/tiny")):
        other = replace(other, bundled=False)  # whatever its name
        assert "A toy model" not in show_header(ScriptedBackend(card=other), usual)


PACKAGE = Path(dsvl2_app.__file__).parent
# Where a visitor can cause an error. A CheckpointError comes before there is a page, and so do those of STARTING.
VISITED = (
    "image/*.py",
    *(f"text/{name}.py" for name in ("messages", "prompt", "tokens", "grounding")),
    "engine/*.py",
    *(f"backend/{name}.py" for name in ("local", "remote", "servers", "wire", "zerogpu")),
    "ui/**/*.py",
)
STARTING = ("loading.py", "page.py")
CAUSED = ("ImageError", "PromptError", "ContextError", "ServerError", "SettingsError", "BusyError")


def find_calls(names: tuple[str, ...], *patterns: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls of these, by file."""
    for file in sorted(file for pattern in patterns for file in PACKAGE.glob(pattern)):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield file.name, node


def find_errors() -> list[tuple[str, ast.Call]]:
    return [(file, call) for file, call in find_calls(CAUSED, *VISITED) if file not in STARTING]


def find_words() -> Iterator[tuple[str, str]]:
    """What the code hands to `label` and `say`, by file."""
    for file, call in find_calls(("label", "say"), "ui/**/*.py"):
        if isinstance(call.args[0], ast.Constant):
            yield file, call.args[0].value


def test_everything_that_is_said_has_a_translation():
    assert {tab.title for tab in TABS} <= CHINESE.keys()
    assert [(file, words) for file, words in find_words() if words not in CHINESE] == []
    assert {UNEXPECTED, RANDOM_NOTICE, SCOPE, "random weights", "clipped", "corners swapped"} <= SAID.keys()
    assert {*ENDED.values()} <= CHINESE.keys()


def test_every_problem_of_an_answer_has_a_translation():
    tree = ast.parse((PACKAGE / "text" / "boxes.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    reports = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "report"]
    assert len(reports) > 10
    untold = [call for call in reports if getattr(call.args[1], "value", None) not in SAID]
    assert [ast.unparse(call) for call in untold] == []


def test_every_error_has_a_translation():
    """An f-string has none: its values belong beside the sentence."""
    assert len(find_errors()) > 50
    untold = [call for _, call in find_errors() if getattr(call.args[0], "value", None) not in SAID]
    assert [ast.unparse(call) for call in untold] == []


def test_an_error_gives_a_value_for_each_place():
    for file, call in find_errors():
        given = {keyword.arg for keyword in call.keywords}
        if None not in given:  # **values
            places = {name for _, name, *_ in Formatter().parse(call.args[0].value) if name} if given else set()
            assert given == places, f"{file}: {ast.unparse(call)}"


def test_a_translation_has_the_same_places_to_fill():
    def fields(text: str) -> set[str]:
        return {part.split("}")[0] for part in text.split("{")[1:]}

    assert [english for english, chinese in SAID.items() if fields(english) != fields(chinese)] == []


@pytest.mark.slow
def test_the_address_names_the_tab_that_a_reload_and_back_open(scripted, open_page):
    page = open_page(scripted)
    for tab in ("grounding", "tiles"):
        page.locator(f"[data-tab-id={tab}]:visible").click()
        page.wait_for_url(f"**/?tab={tab}")
    leave(page, page.reload)
    expect(page.locator("#tiles-pictures")).to_be_visible()
    page.locator("[data-tab-id=documents]:visible").click()
    page.wait_for_url("**/?tab=documents")
    page.go_back()
    expect(page.locator("#tiles-pictures")).to_be_visible()
    page.go_back()
    expect(page.locator("#grounding-picture")).to_be_visible()
    page.go_back()
    expect(page.locator("#message")).to_be_visible()
    assert page.url == scripted.url


@pytest.mark.slow
def test_a_long_conversation_is_printed_whole(scripted, open_page):
    scripted.script.say = "A line.\n\n" * 60 + "The end."
    page = open_page(scripted, height=720)
    ask(page, "Go on")
    expect(bot(page)).to_contain_text("The end.")
    area = page.locator("#conversation .bubble-wrap")
    hidden = "area => area.scrollHeight - area.clientHeight"
    assert area.evaluate(hidden) > 1000
    page.emulate_media(media="print")
    assert area.evaluate(hidden) <= 1
    first, last, frame = measure(user(page), bot(page), page.locator("#conversation"))
    assert frame["y"] <= first["y"]
    assert last["y"] + last["height"] <= frame["y"] + frame["height"]
    expect(page.locator("#message")).to_be_hidden()
