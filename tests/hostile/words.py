"""Words that try to be more than words."""

from __future__ import annotations

from collections.abc import Iterator

CONTROL = (
    "<｜begin▁of▁sentence｜>",
    "<｜end▁of▁sentence｜>",
    "<|User|>",
    "<|Assistant|>",
    "<image>",
    "<|ref|>",
    "<|/det|>",
)
HIDDEN = ("\u200b", "\u200d", "\ufeff", "\u00ad", "\u2060", "\0", "\u0301")  # what is not seen, or joins what is before
BARS = ("|", "｜", "∣", "│", "ǀ")


def spell(token: str) -> Iterator[str]:
    """A control token in every spelling that a person, a browser or a normaliser may take for it."""
    yield token
    for bar in BARS:
        yield token.replace("|", bar).replace("｜", bar)
    for mark in ("_", " ", "\u00a0", "▁"):
        yield token.replace("▁", mark)
    for hidden in HIDDEN:
        yield token[:2] + hidden + token[2:]
        yield hidden.join(token)
    yield token.upper()
    yield token.replace("<", "＜").replace(">", "＞")
    yield token.replace("<", "&lt;").replace(">", "&gt;")
    yield token.replace("<", "\\u003c")
    yield f"<{token}>"
    yield token * 3
    yield token[:-1] + token
    yield token[::-1]


SCRIPTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[click](javascript:alert(1))",
    "![](http://127.0.0.1/x.png)",
    "<a href='data:text/html,x'>a</a>",
    "{{7*7}} ${7*7} %s {0} {name.__class__}",
    "```\n</code></pre><b>\n```",
    "$$\\href{javascript:alert(1)}{x}$$",
    "'; DROP TABLE turns; --",
    "../../etc/passwd\0.png",
)
WRITINGS = (
    "\u202eright to left\u202c and on",
    "שלום עולם, مرحبا بالعالم",
    "\u2066isolated\u2069 \u200frtl\u200e",
    "a\u0300\u0301\u0302" * 30,
    "👨‍👩‍👧‍👦🏳️‍🌈",
    "\x01\x02\x07\x08\x1b[31mred\x1b[0m\x7f\x85",
    "line\r\nline\rline\u2028line\u2029line\x0b\x0c",
    "\ufffe\uffff\ufdd0",
    "ﷺ㌀ﬃ①",
    "\ue000private\uf8ff\U0010fffd",
)
PLACES = (
    "<image>",
    "<image",
    "image>",
    "<<image>>",
    "<image><image>",
    "a<image>b",
    "<image>\n",
    "\n<image>",
    "<IMAGE>",
    "< image >",
)
