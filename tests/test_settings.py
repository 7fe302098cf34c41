from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import FlagParser, Settings, add_model_flags

# flag, a good value as typed, the value it becomes, a bad value
ICON = str(Path(__file__).parent / "reference" / "images" / "three_1_200x300.png")
EXAMPLES = [
    ("backend", "scripted", "scripted", "some where"),
    ("api_base", "http://a/v1, https://b:9/v1", ("http://a/v1", "https://b:9/v1"), "a/v1"),
    ("api_key_env", "MY_KEY", "MY_KEY", "my key"),
    ("remote_model", "org/model", "org/model", "a model"),
    ("api_timeout", "30", 30, "0"),
    ("devices", "cuda:0, cuda:1,", ("cuda:0", "cuda:1"), "cuda"),
    ("gpu_seconds", "60", 60, "0"),
    ("model", "tiny", "tiny", "tinny"),
    ("load_format", "dummy", "dummy", "safetensors"),
    ("device", "cuda:3", "cuda:3", "cuda:"),
    ("dtype", "bfloat16", "bfloat16", "bf16"),
    ("quantize", "int4", "int4", "int3"),
    ("compile", "off", "off", "yes"),
    ("cache_mb", "0", 0, "-1"),
    ("threads", "4", 4, "0"),
    ("host", "::1", "::1", "my host"),
    ("port", "8080", 8080, "65536"),
    ("root_path", "/demo/", "/demo", "demo"),
    ("share", "on", True, "maybe"),
    ("auth", "me:first:second", (("me", "first:second"),), "nobody"),
    ("title", "Ask our maps", "Ask our maps", "two\nlines"),
    ("icon", ICON, ICON, "nowhere.png"),
    ("notice", "Nothing is kept.", "Nothing is kept.", "x" * 501),
    ("show_count", "on", True, "maybe"),
    ("mcp", "on", True, "maybe"),
    ("metrics", "on", True, "maybe"),
    ("log_format", "json", "json", "xml"),
    ("log_prompts", "on", True, "maybe"),
    ("max_megapixels", "100", 100, "-1"),
    ("max_queue", "8", 8, "1.5"),
    ("max_per_owner", "2", 2, "0"),
    ("max_per_minute", "60", 60, "-1"),
    ("max_per_address", "8", 8, "-1"),
    ("max_upload_files", "50", 50, "-1"),
    ("max_upload_mb", "100", 100, "-1"),
    ("max_disk_mb", "1000", 1000, "0"),
    ("max_question_pictures", "2", 2, "-1"),
    ("max_pictures", "9", 9, "many"),
    ("max_prompt_tokens", "2000", 2000, "-1"),
    ("max_new_tokens", "256", 256, "1e3"),
    ("max_seconds", "600", 600, "0.5"),
    ("grace", "30", 30, "0"),
    ("image_domains", "a.org, B.net,", ("a.org", "b.net"), "https://a.org"),
]
BAD = {name: bad for name, _, _, bad in EXAMPLES}


@pytest.fixture(autouse=True)
def every_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all optional packages were installed."""
    monkeypatch.setattr("dsvl2_app.settings.find_spec", lambda name: name)


def as_flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def as_variable(name: str) -> str:
    return "DSVL2_" + name.upper()


def test_defaults_are_a_private_page_with_the_bundled_model() -> None:
    settings = Settings.parse([], {})
    assert settings == Settings()
    assert (settings.model, settings.host, settings.port, settings.share) == (
        "nano",
        "127.0.0.1",
        7860,
        False,
    )
    assert (settings.max_megapixels, settings.max_queue, settings.threads) == (40, 32, None)
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]


def test_every_flag_has_an_example() -> None:
    assert [name for name, *_ in EXAMPLES] == [f.name for f in fields(Settings)]


@pytest.mark.parametrize(("name", "text", "value", "bad"), EXAMPLES)
def test_flag_beats_environment_beats_default(name: str, text: str, value: object, bad: str) -> None:
    assert getattr(Settings(), name) != value
    assert getattr(Settings.parse([], {as_variable(name): text}), name) == value
    assert getattr(Settings.parse([f"{as_flag(name)}={text}"], {as_variable(name): bad}), name) == value


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("source", ["flag", "variable"])
def test_a_bad_value_names_its_source_and_what_is_allowed(name: str, source: str) -> None:
    if source == "flag":
        argv, env, origin = [f"{as_flag(name)}={BAD[name]}"], {}, as_flag(name)
    else:
        argv, env, origin = [], {as_variable(name): BAD[name]}, as_variable(name)
    with pytest.raises(SettingsError) as caught:
        Settings.parse(argv, env)
    sentence = str(caught.value)
    shown = "not understood" if name == "auth" else repr(BAD[name])
    assert sentence.startswith(f"{origin} is {shown}, but must be ")
    assert sentence.endswith(".")


def test_passwords_are_read_from_a_file_and_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("# who may come in\nann:pass word\n\nbob:x:y\n")
    settings = Settings.parse(["--auth", str(tmp_path / "users")], {})
    assert settings.auth == (("ann", "pass word"), ("bob", "x:y"))
    assert "pass word" not in f"{settings!r}{settings}"
    assert settings.auth.admit("bob", "x:y") and settings.auth.admit("ann", "pass word")
    assert not any(settings.auth.admit(*wrong) for wrong in (("bob", "x"), ("ann", ""), ("", ""), ("bob:x", "y")))
    for text in (":secret", "secret", "ann:"):
        with pytest.raises(SettingsError) as caught:
            Settings.parse([], {"DSVL2_AUTH": text})
        assert "secret" not in str(caught.value)


def test_the_sentence_lists_the_choices() -> None:
    with pytest.raises(
        SettingsError, match="DSVL2_DTYPE is 'bf16', but must be one of auto, float32, bfloat16, float16"
    ):
        Settings.parse([], {"DSVL2_DTYPE": "bf16"})
    with pytest.raises(SettingsError, match="--port is '0', but must be a whole number from 1 to 65535"):
        Settings.parse(["--port", "0"], {})


@pytest.mark.parametrize("argv", [["--modle", "nano"], ["--mod", "nano"], ["nano"], ["--port"]])
def test_what_argparse_refuses_is_a_settings_error(argv: list[str]) -> None:
    with pytest.raises(SettingsError, match="--help"):
        Settings.parse(argv, {})


def test_spaces_variables_come_after_our_own() -> None:
    spaces = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "8000"}
    settings = Settings.parse([], spaces)
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    settings = Settings.parse([], {**spaces, "DSVL2_HOST": "127.0.0.1", "DSVL2_PORT": "9000"})
    assert (settings.host, settings.port) == ("127.0.0.1", 9000)
    with pytest.raises(SettingsError, match="GRADIO_SERVER_PORT is 'http'"):
        Settings.parse([], {"GRADIO_SERVER_PORT": "http"})


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.parse([], {as_variable(name): "" for name in BAD}) == Settings()


@pytest.mark.parametrize(("argv", "share"), [(["--share"], True), (["--share", "off"], False), ([], True)])
def test_share_is_a_switch(argv: list[str], share: bool) -> None:
    assert Settings.parse(argv, {"DSVL2_SHARE": "1"}).share is share


@pytest.mark.parametrize(
    ("model", "load_format", "checkpoint"),
    [
        ("nano", "auto", "nano"),
        ("tiny", "auto", "deepseek-ai/deepseek-vl2-tiny"),
        ("small", "auto", "deepseek-ai/deepseek-vl2-small"),
        ("base", "auto", "deepseek-ai/deepseek-vl2"),
        ("base", "dummy", "base"),
        ("someone/finetune", "auto", "someone/finetune"),
    ],
)
def test_a_preset_stands_for_its_repo_when_weights_are_wanted(model: str, load_format: str, checkpoint: str) -> None:
    assert Settings.parse(["--model", model, "--load-format", load_format], {}).checkpoint == checkpoint


def test_a_folder_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Settings.parse(["--model", "mine"], {}).checkpoint == "mine"
    with pytest.raises(SettingsError, match="--model is 'yours'"):
        Settings.parse(["--model", "yours"], {})


def test_a_subcommand_reuses_the_model_flags() -> None:
    parser = FlagParser()
    bench = parser.add_subparsers(dest="command").add_parser("bench")
    add_model_flags(bench)
    flags = parser.parse_args(["bench", "--model", "tiny"])
    settings = Settings.choose(flags, {"DSVL2_LOAD_FORMAT": "dummy"})
    assert (settings.model, settings.load_format, settings.port) == ("tiny", "dummy", 7860)
    with pytest.raises(SettingsError, match="--port"):
        parser.parse_args(["bench", "--port", "1"])


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        Settings.parse(["--help"], {})
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"  {as_flag(name)} " in shown for name in BAD)


@given(name=st.sampled_from(sorted(BAD)), text=st.text(st.characters(exclude_characters="\0"), max_size=40))
def test_any_text_is_read_or_refused_with_one_sentence(name: str, text: str) -> None:
    try:
        settings = Settings.parse([f"{as_flag(name)}={text}"], {})
    except SettingsError as error:
        assert str(error).startswith(as_flag(name)) and "\n" not in str(error)
    else:
        assert text.strip()
        assert isinstance(getattr(settings, name), str | int | tuple)


def test_mcp_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsvl2_app.settings.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r'run: pip install "gradio\[mcp\]"\.$'):
        Settings.parse([], {"DSVL2_MCP": "on"})
