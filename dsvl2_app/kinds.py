"""What the text of a flag may be, and what it then means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dsvl2_app.credentials import read_credentials

RELEASED = {
    "tiny": "deepseek-ai/deepseek-vl2-tiny",
    "small": "deepseek-ai/deepseek-vl2-small",
    "base": "deepseek-ai/deepseek-vl2",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What the text of a flag may be; `read` raises ValueError for anything else. No error repeats a secret one."""

    metavar: str
    allowed: str
    read: Callable[[str], Any]
    secret: bool = False


def one_of(*choices: str) -> Kind:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Kind("|".join(choices), "one of " + ", ".join(choices), read)


def whole_number(low: int, high: int | None = None) -> Kind:
    def read(text: str) -> int:
        number = int(text)
        if number < low or (high is not None and number > high):
            raise ValueError
        return number

    return Kind("N", f"a whole number from {low}" + (" up" if high is None else f" to {high}"), read)


def matching(pattern: str, metavar: str, allowed: str) -> Kind:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError
        return text

    return Kind(metavar, allowed, read)


def read_domains(text: str) -> tuple[str, ...]:
    domains = tuple(domain.strip().lower() for domain in text.split(",") if domain.strip())
    if not domains or not all(re.fullmatch(r"[\w.-]+|\[[0-9a-f:]+\]", domain) for domain in domains):
        raise ValueError
    return domains


def read_addresses(text: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in text.split(",") if address.strip())
    if not addresses or not all(re.fullmatch(r"https?://[^\s/]+\S*", address) for address in addresses):
        raise ValueError
    return addresses


def read_devices(text: str) -> tuple[str, ...]:
    devices = tuple(device.strip() for device in text.split(",") if device.strip())
    if not devices or not all(re.fullmatch(r"cpu|mps|cuda:\d+", device, re.ASCII) for device in devices):
        raise ValueError
    return devices


def read_root_path(text: str) -> str:
    if not re.fullmatch(r"(?=.)(https?://[^\s/?#]+)?(/[^\s/?#]+)*/?", text):
        raise ValueError
    return text.rstrip("/")


def read_model(text: str) -> str:
    if text in ("nano", *RELEASED) or "/" in text or os.path.isdir(text):
        return text
    raise ValueError


def read_icon(text: str) -> str:
    if not (text.lower().endswith((".png", ".ico", ".gif")) and os.path.isfile(text)):
        raise ValueError
    return text


def read_switch(text: str) -> bool:
    if text.lower() in ("on", "true", "yes", "1"):
        return True
    if text.lower() in ("off", "false", "no", "0"):
        return False
    raise ValueError


MODEL = Kind("MODEL", "nano, tiny, small, base, a Hugging Face repo id (owner/name) or an existing folder", read_model)
BACKEND = matching(r"\w+", "BACKEND", "the name of a backend")
LOAD_FORMAT = one_of("auto", "dummy")
DEVICE = matching(r"auto|cpu|mps|cuda(:\d+)?", "DEVICE", "one of auto, cpu, cuda, mps, cuda:N")
DEVICES = Kind("DEVICE,...", "devices such as cuda:0,cuda:1", read_devices)
DTYPE = one_of("auto", "float32", "bfloat16", "float16")
QUANTIZE = one_of("none", "int8", "int4")
LOG_FORMAT = one_of("text", "json")
COMPILE = one_of("auto", "on", "off")
HOST = matching(r"[\w.:-]+", "HOST", "a host name or an address")
ADDRESSES = Kind("URL,...", "addresses that begin with http:// or https://, separated by commas", read_addresses)
ROOT_PATH = Kind("PATH", "a path as /demo, or an address that begins with http:// or https://", read_root_path)
VARIABLE = matching(r"[A-Za-z_]\w*", "NAME", "the name of an environment variable")
NAME = matching(r"\S+", "NAME", "a name without spaces")
SENTENCE = matching(r"[^\r\n]{1,500}", "TEXT", "one line of at most 500 characters")
ICON = Kind("FILE", "a .png, .ico or .gif file that is there", read_icon)
CREDENTIALS = Kind(
    "FILE", "a file with a line name:password for each who may come in, or one such line", read_credentials, secret=True
)
DOMAINS = Kind("HOST,...", "host names, separated by commas", read_domains)
SWITCH = Kind("on|off", "on or off", read_switch)
