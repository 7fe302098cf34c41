"""Command line and environment in, one frozen `Settings` out.

Every field of `Settings` is a flag: `load_format` is --load-format, and DSVL2_LOAD_FORMAT in the environment.
A flag beats the environment and the environment beats the default; one rule reads them both.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from importlib.util import find_spec
from typing import Any, NoReturn

from dsvl2_app import __version__
from dsvl2_app.credentials import Credentials
from dsvl2_app.errors import SettingsError
from dsvl2_app.kinds import (
    ADDRESSES,
    BACKEND,
    COMPILE,
    CREDENTIALS,
    DEVICE,
    DEVICES,
    DOMAINS,
    DTYPE,
    HOST,
    ICON,
    LOAD_FORMAT,
    LOG_FORMAT,
    MODEL,
    NAME,
    QUANTIZE,
    RELEASED,
    ROOT_PATH,
    SENTENCE,
    SWITCH,
    VARIABLE,
    Kind,
    whole_number,
)


def flag(group: str, default: Any, kind: Kind, help: str, *also: str) -> Any:
    """A field of `Settings`. `group` is its heading in --help; `also` names environment variables that are read where
    DSVL2_NAME is not set."""
    return field(default=default, metadata={"group": group, "kind": kind, "help": help, "also": also})


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a person can choose when starting the demo."""

    backend: str = flag(
        "backend",
        "auto",
        BACKEND,
        "local: a model in this process; zerogpu: on the GPU that a Space gets for each answer; openai: servers "
        "elsewhere; scripted: fixed words, no model; auto: zerogpu where the environment says so, else local",
    )
    api_base: tuple[str, ...] = flag("backend", (), ADDRESSES, "openai: the servers, as http://localhost:8000/v1")
    api_key_env: str = flag("backend", "", VARIABLE, "openai: the environment variable that holds their key")
    remote_model: str = flag("backend", "", NAME, "openai: the model to ask for, where it is not their first")
    api_timeout: int = flag("backend", 120, whole_number(1), "openai: seconds of silence until an answer is given up")
    devices: tuple[str, ...] = flag(
        "backend", (), DEVICES, "local: a copy of the model on each, as cuda:0,cuda:1; the least busy one answers"
    )
    gpu_seconds: int = flag("backend", 120, whole_number(1), "zerogpu: most seconds of a GPU that an answer asks for")

    model: str = flag("model", "nano", MODEL, "nano, tiny, small, base, a Hugging Face repo id, or a folder")
    load_format: str = flag("model", "auto", LOAD_FORMAT, "dummy: right shapes, random weights, no download")
    device: str = flag("model", "auto", DEVICE, "auto, cpu, cuda, mps, or cuda:N for one GPU of several")
    dtype: str = flag("model", "auto", DTYPE, "number format of weights and activations")
    quantize: str = flag(
        "model", "none", QUANTIZE, "int8: half the memory of bfloat16, and faster; int4: a quarter, less exact"
    )
    compile: str = flag(
        "model", "auto", COMPILE, "build fast kernels with a C compiler; auto: in the background, where there is one"
    )
    cache_mb: int = flag(
        "model", 1024, whole_number(0), "memory for keys and values of earlier turns and features of pictures"
    )
    threads: int | None = flag("model", None, whole_number(1), "CPU threads")

    host: str = flag("page", "127.0.0.1", HOST, "0.0.0.0 serves other machines too", "GRADIO_SERVER_NAME")
    port: int = flag("page", 7860, whole_number(1, 65535), "port to serve on", "GRADIO_SERVER_PORT")
    root_path: str = flag(
        "page", "", ROOT_PATH, "where a proxy shows the page, as /demo or https://example.org/demo", "GRADIO_ROOT_PATH"
    )
    share: bool = flag("page", False, SWITCH, "public gradio.live link")
    auth: Credentials = flag(  # noqa: RUF009
        "page",
        Credentials(),
        CREDENTIALS,
        "a file of lines name:password, one of which is asked for; DSVL2_AUTH may hold such a line itself",
    )
    title: str = flag("page", "DeepSeek-VL2", SENTENCE, "of the page, and of previews of links to it")
    icon: str = flag("page", "", ICON, "the page's icon; Gradio's unless given")
    notice: str = flag("page", "", SENTENCE, "a line above the tabs, such as what becomes of what visitors send")
    show_count: bool = flag("page", False, SWITCH, "say on the page how many questions were answered since its start")
    mcp: bool = flag("page", False, SWITCH, "serve /chat, /ground and /tiles as MCP tools too")
    metrics: bool = flag("page", False, SWITCH, "serve figures for Prometheus at /metrics")
    log_format: str = flag("page", "text", LOG_FORMAT, "json: one object a line, also for every request")
    log_prompts: bool = flag("page", False, SWITCH, "write what is asked and answered to the log, too")
    max_megapixels: int = flag("page", 40, whole_number(1), "refuse larger ones; halve up to 2 times it, JPEGs up to 4")
    max_queue: int = flag("page", 32, whole_number(1), "most requests that wait; others are turned away")
    max_per_owner: int = flag(
        "page", 4, whole_number(1), "most requests of one visitor or client that run, and that wait"
    )
    max_per_minute: int = flag(
        "page", 0, whole_number(0), "most requests of one visitor or client in a minute; 0: any number"
    )
    max_per_address: int = flag(
        "page", 16, whole_number(0), "most requests of one network address that run or wait; 0: any number"
    )
    max_upload_files: int = flag(
        "page", 500, whole_number(0), "most files that a network address uploads in an hour; 0: any number"
    )
    max_upload_mb: int = flag(
        "page", 2000, whole_number(0), "most MB that a network address uploads in an hour; 0: any number"
    )
    max_disk_mb: int = flag("page", 8000, whole_number(1), "most MB of visitors' files that lie on the disk at once")
    max_question_pictures: int = flag("page", 0, whole_number(0), "most pictures in a question; 0: as many as fit")
    max_pictures: int = flag("page", 0, whole_number(0), "most pictures in a conversation; 0: as many as fit")
    max_prompt_tokens: int = flag("page", 0, whole_number(0), "most tokens of a conversation; 0: as many as fit")
    max_new_tokens: int = flag(
        "page", 0, whole_number(0), "tokens after which an answer ends, whatever is asked for; 0: the model's context"
    )
    max_seconds: int = flag(
        "page", 0, whole_number(0), "local: seconds after which an answer that has begun ends; 0: none does"
    )
    grace: int = flag("page", 8, whole_number(1), "seconds from SIGTERM to the end, in which answers may end")
    image_domains: tuple[str, ...] = flag(
        "page", (), DOMAINS, "hosts from which /v1 fetches pictures; others are sent as data URLs"
    )

    def __post_init__(self) -> None:
        if self.devices and self.device != "auto":
            raise SettingsError("--device and --devices cannot be given together; leave one of them out.")
        if self.mcp and find_spec("mcp") is None:
            raise SettingsError('--mcp needs a package that is not installed; run: pip install "gradio[mcp]".')
        if self.metrics and find_spec("prometheus_client") is None:
            raise SettingsError("--metrics needs a package that is not installed; run: pip install prometheus_client.")

    @property
    def checkpoint(self) -> str:
        """What to load: a released model's repo id where its weights are wanted, else `model` as given."""
        return RELEASED.get(self.model, self.model) if self.load_format == "auto" else self.model

    @classmethod
    def parse(cls, argv: Sequence[str], env: Mapping[str, str]) -> Settings:
        parser = FlagParser(
            prog="python app.py",
            description="Serve the DeepSeek-VL2 demo.",
            allow_abbrev=False,
        )
        add_version(parser)
        add_page_flags(parser)
        return cls.choose(parser.parse_args(argv), env)

    @classmethod
    def choose(cls, flags: argparse.Namespace, env: Mapping[str, str]) -> Settings:
        """Take each value from the flag, else from the environment, else the default."""
        return cls(**{f.name: choose_value(f, getattr(flags, f.name, None), env) for f in fields(cls)})

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """Settings from fields by name, checked as the flags are; None stands for the default. Raises SettingsError."""
        known = {f.name for f in fields(cls)}
        if unknown := given.keys() - known:
            raise SettingsError(f"There is no setting {min(unknown)!r}; choose from {', '.join(sorted(known))}.")
        return cls.choose(argparse.Namespace(**{name: v if v is None else str(v) for name, v in given.items()}), {})


class FlagParser(argparse.ArgumentParser):
    """A parser that raises SettingsError where argparse would print and exit; subcommands inherit this."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message[0].upper()}{message[1:]}; --help lists what there is.")


def add_backend_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say who answers, and with which model; `Settings.choose` reads what was parsed."""
    add_flags(parser, "backend")
    add_model_flags(parser)


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which model runs, and how; `Settings.choose` reads what was parsed."""
    add_flags(parser, "model")


def add_page_flags(parser: argparse.ArgumentParser) -> None:
    """Add every flag of `Settings`."""
    parser.epilog = "The environment can set every flag, as DSVL2_LOAD_FORMAT for --load-format; a flag wins."
    add_backend_flags(parser)
    add_flags(parser, "page")


def add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"dsvl2 {__version__}")


def add_flags(parser: argparse.ArgumentParser, group: str) -> None:
    add_settings(parser.add_argument_group(group), *(f.name for f in fields(Settings) if f.metadata["group"] == group))


def add_settings(section: argparse._ActionsContainer, *names: str) -> None:
    """Add the flags of these fields."""
    for f in (f for f in fields(Settings) if f.name in names):
        kind: Kind = f.metadata["kind"]
        default = {None: "automatic", False: "off", (): "none", "": "none"}.get(f.default, f.default)
        alone: dict[str, Any] = {"nargs": "?", "const": "on"} if kind is SWITCH else {}
        help = f"{f.metadata['help']} (default: {default})"
        section.add_argument(flag_name(f), metavar=kind.metavar, help=help, **alone)


def flag_name(f: Field[Any]) -> str:
    return "--" + f.name.replace("_", "-")


def choose_value(f: Field[Any], given: str | None, env: Mapping[str, str]) -> Any:
    kind: Kind = f.metadata["kind"]
    variables = (f"DSVL2_{f.name.upper()}", *f.metadata["also"])
    for source, text in ((flag_name(f), given), *((name, env.get(name) or None) for name in variables)):
        if text is not None:
            try:
                return kind.read(text)
            except ValueError:
                given = "not understood" if kind.secret else repr(text)
                raise SettingsError(f"{source} is {given}, but must be {kind.allowed}.") from None
    return f.default
