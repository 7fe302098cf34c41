"""docker-compose.yml: what it starts, in which order, and that every flag in it is one of the program that gets it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsvl2_app.settings import RELEASED, Settings
from tests.docker.dockerfile import ROOT, read_stages

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = [name for name, service in SERVICES.items() if "build" in service]
PROFILES = {"page": [], "gpu": ["gpu"], "vllm-page": ["vllm"], "vllm": ["vllm"]}


def fill(word: str) -> str:
    """As Compose does where the environment has nothing: ${NAME:-this}."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word)


def read_settings(name: str) -> Settings:
    return Settings.parse([fill(word) for word in SERVICES[name].get("command", [])], {})


def test_the_first_needs_no_profile() -> None:
    assert {name: service.get("profiles", []) for name, service in SERVICES.items()} == PROFILES


@pytest.mark.parametrize("name", OWN)
def test_flags_of_the_page_are_its_own(name: str) -> None:
    settings = read_settings(name)
    assert (settings.model, settings.device, settings.api_base) == {
        "page": ("nano", "auto", ()),
        "gpu": ("tiny", "cuda", ()),
        "vllm-page": (RELEASED["tiny"], "auto", ("http://vllm:8000/v1",)),
    }[name]


def test_images_are_made_here_or_named_to_the_release() -> None:
    targets = {stage.name for stage in read_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))}
    for name, service in SERVICES.items():
        if name in OWN:
            assert service["build"]["target"] in targets
            assert service["image"] == f"dsvl2:{service['build']['target']}"
        else:
            assert re.search(r":v\d+\.\d+\.\d+$", service["image"])


def test_services_do_not_meet_at_a_port() -> None:
    ports = [port.split(":") for name in OWN for port in SERVICES[name]["ports"]]
    assert sorted(outer for outer, _ in ports) == ["7860", "7861", "7862"]
    assert {inner for _, inner in ports} == {"7860"}
    assert "ports" not in SERVICES["vllm"]  # asked by its page alone


def test_volumes_are_named() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert {volume for volume in used if not volume.startswith(".")} == COMPOSE["volumes"].keys()
    assert all((ROOT / volume).exists() for volume in used if volume.startswith("."))


def test_the_page_waits_for_vllm_and_asks_it() -> None:
    page, server = SERVICES["vllm-page"], SERVICES["vllm"]
    assert page["depends_on"] == {"vllm": {"condition": "service_healthy"}}
    assert "http://127.0.0.1:8000/health" in server["healthcheck"]["test"][-1]
    settings = read_settings("vllm-page")
    assert settings.backend == "openai"
    assert settings.model == server["command"][0]
    assert set(page["profiles"]) == set(server["profiles"])


def test_flags_of_vllm_are_those_of_the_documentation() -> None:
    documented = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^    vllm serve (?:.*\\\n)*.*\n", documented, re.MULTILINE)
    service = SERVICES["vllm"]
    assert service["entrypoint"] == ["vllm", "serve"]
    given = dict(zip(service["command"][1::2], service["command"][2::2], strict=True))
    assert given.keys() == set(re.findall(r"--[\w-]+", block))
    template = Path(given["--chat-template"])
    assert f"--chat-template assets{template}" in block
    assert f"./assets{template}:{template}:ro" in service["volumes"]
    assert given["--hf-overrides"] in block
    assert given["--max-model-len"] in block
