"""Keys, models, and what there is not."""

from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest

from dsvl2_app.api.access import read_keys
from tests.api.conftest import KEYS


@pytest.mark.slow
def test_models_are_listed(trained) -> None:
    (model,) = trained.client().models.list().data
    assert (model.id, model.object, model.owned_by) == ("nano", "model", "dsvl2")
    assert model.max_model_len == trained.backend.card.context
    assert trained.client().models.retrieve("nano").id == "nano"
    with pytest.raises(openai.NotFoundError, match="'other' does not exist"):
        trained.client().models.retrieve("other")


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_a_key_opens(guarded, key) -> None:
    assert guarded.client(key).models.list().data[0].id == "script"


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", "third key", "first", "first key, second key", "FIRST KEY", "ключ"])
def test_another_key_does_not(guarded, key) -> None:
    headers = {"Authorization": f"Bearer {key}".encode().decode("latin-1")}
    for method, path in (("GET", "models"), ("GET", "models/script"), ("POST", "chat/completions"), ("GET", "else")):
        with pytest.raises(HTTPError) as refusal:
            urlopen(Request(f"{guarded.url}v1/{path}", b"{}" if method == "POST" else None, headers, method=method))
        error = json.load(refusal.value)["error"]
        assert (refusal.value.code, error["code"]) == (401, "invalid_api_key")
    assert guarded.backend.requests == []


def test_owners_are_told_apart_by_their_keys(guarded) -> None:
    for key in KEYS:
        guarded.client(key).chat.completions.create(model="script", messages=[{"role": "user", "content": "Hi"}])
    owners = {request.owner for request in guarded.backend.requests}
    assert len(owners) == 2 and not any(key in owner for key in KEYS for owner in owners)


def test_keys_are_read_from_the_environment() -> None:
    assert read_keys({"DSVL2_API_KEYS": " a , b,"}) == ("a", "b")
    assert read_keys({}) == read_keys({"DSVL2_API_KEYS": " , "}) == ()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), [("POST", "embeddings"), ("GET", "chat/completions"), ("GET", "")])
def test_other_addresses_are_refused_in_the_protocols_form(scripted, method, path) -> None:
    with pytest.raises(HTTPError) as refusal:
        urlopen(Request(f"{scripted.url}v1/{path}", b"{}" if method == "POST" else None, method=method))
    assert refusal.value.code == 404
    assert f"{method} /v1/{path}" in json.load(refusal.value)["error"]["message"]


def test_the_page_is_still_there(guarded) -> None:
    with urlopen(guarded.url) as page:
        assert b"DeepSeek-VL2" in page.read()
