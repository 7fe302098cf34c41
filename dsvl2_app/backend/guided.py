"""Well-formed boxes from servers that decode by a regular expression, and whether one does is found out by asking it.

vLLM and SGLang take what they do not know without a word, and some engines of guided decoding never write special
tokens, so no version number would tell. The question costs three tokens.
"""

from __future__ import annotations

from typing import Any

import httpx

from dsvl2_app.backend.servers import Server
from dsvl2_app.text.grammar import OPENING
from dsvl2_app.text.pattern import write_pattern

PATIENCE = 30.0  # seconds; a server reads the pattern only once
PATTERN = write_pattern()
# What a request says to vLLM, to its releases before 0.11, and to SGLang.
WAYS: tuple[dict[str, Any], ...] = (
    {"structured_outputs": {"regex": PATTERN}},
    {"guided_regex": PATTERN},
    {"regex": PATTERN},
)
READABLE = {"skip_special_tokens": False, "spaces_between_special_tokens": False}  # else the tags of boxes are left out


async def find_guide(client: httpx.AsyncClient, server: Server, opening: int) -> dict[str, Any]:
    """The parameters that make `server` keep boxes well-formed; none where nothing does. `opening` is `<|det|>`.

    The answer is biased to be that token over and over, so that only a server which heeds the pattern goes on with a
    list, and only one whose patterns can match special tokens begins with it.
    """
    body = {
        "model": server.name,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 3,
        "temperature": 0,
        "logit_bias": {str(opening): 100},
        **READABLE,
    }
    for way in WAYS:
        try:
            response = await client.post(f"{server.url}/chat/completions", json=body | way, timeout=PATIENCE)
            (choice,) = response.json()["choices"]
            if str(choice["message"]["content"]).startswith(f"{OPENING}["):
                return way
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            continue  # it refuses the parameter
    return {}
