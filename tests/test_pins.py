"""constraints.txt and floors.txt fit the ranges that they were made from, and this environment fits constraints.txt."""

from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests import canary, pins

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"},
    "mac": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64", "os_name": "nt"},
}
BESIDE = {"pip", "uv"}  # what installs is not installed with


@pytest.fixture(params=[(python, platform) for python in PYTHONS for platform in PLATFORMS], ids="-".join)
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    python, platform = request.param
    return {"python_version": python, "python_full_version": f"{python}.9", **PLATFORMS[platform]}


@pytest.mark.parametrize("file", [pins.CONSTRAINTS, pins.FLOORS], ids=lambda file: file.stem)
def test_every_pin_is_one_exact_public_release(file):
    requirements = pins.parse(file.read_text(encoding="utf-8"))
    assert len(requirements) > 50
    for requirement in requirements:
        assert not requirement.url and not requirement.extras
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        assert str(Version(specifier.version)) == specifier.version
        assert Version(specifier.version).local is None  # builds such as +cpu are not to be had everywhere


def test_constraints_fit_the_requirements(environment):
    pinned = pins.read_pins(pins.CONSTRAINTS, environment)
    for name in pins.REQUIREMENTS:
        for package, requirement in pins.read(pins.ROOT / name, environment).items():
            assert requirement.specifier.contains(pinned[package]), f"{requirement} of {name}: {pinned[package]}"


def test_floors_are_the_oldest_allowed(environment):
    pinned = pins.read_pins(pins.FLOORS, environment)
    for package, requirement in pins.read(pins.ROOT / "requirements.txt", environment).items():
        assert requirement.specifier.contains(pinned[package])
        (floor,) = (each.version for each in requirement.specifier if each.operator == ">=")
        assert Version(pinned[package]) == Version(floor)


def test_torch_is_pinned_as_it_was_measured():
    assert f"torch=={pins.read_pins(pins.CONSTRAINTS)['torch']}" == pins.TORCH


def test_constraints_tell_two_pins_of_one_package(tmp_path):
    file = tmp_path / "constraints.txt"
    file.write_text("# two\nnumpy==1.26.0 ; python_version < '3.11'\nnumpy==2.1.0 ; python_version >= '3.11'\n")
    assert pins.read_pins(file, {"python_version": "3.10"}) == {"numpy": "1.26.0"}
    assert pins.read_pins(file, {"python_version": "3.13"}) == {"numpy": "2.1.0"}
    file.write_text("numpy==1.26.0\nNumPy==2.1.0\n")
    with pytest.raises(ValueError, match="asks for numpy twice"):
        pins.read_pins(file)


def test_environment_is_what_the_constraints_say():
    stamp = Path(sys.prefix, "installed-dev")
    if not stamp.exists():
        pytest.skip("this environment was not made by make")
    if stamp.stat().st_mtime < pins.CONSTRAINTS.stat().st_mtime:
        pytest.skip("this environment is older than constraints.txt; any make brings it up to date")
    installed = {canonicalize_name(each.name): each.version for each in distributions(path=[_site_packages()])}
    for name in BESIDE:
        installed.pop(name, None)
    assert canary.differences(pins.read_pins(pins.CONSTRAINTS), installed) == []


def _site_packages() -> str:
    return next(path for path in sys.path if path.startswith(sys.prefix) and path.endswith("site-packages"))


def test_differences_name_both_releases():
    pinned = {"torch": "2.13.0", "rich": "15.0.0", "six": "1.17.0"}
    installed = {"torch": "2.13.0+cpu", "rich": "15.1.0", "pip": "26.0", "nvidia-nccl-cu13": "2.29.7", "new": "1.0"}
    assert canary.differences(pinned, installed) == [
        "new 1.0, which is not in constraints.txt",
        "rich 15.1.0 in place of 15.0.0",
    ]


@pytest.mark.parametrize(
    ("code", "output", "expected"),
    [
        (
            1,
            "WARNING: Retrying (Retry(total=1)) after connection broken",
            ("the package index cannot be reached", False),
        ),
        (None, "Collecting torch", ("they were not installed after 300 s", False)),
        (1, "Collecting a\nERROR: No matching distribution", ("they cannot be installed: ERROR: No matching", True)),
    ],
)
def test_failed_installations_are_explained(code, output, expected):
    reason, to_blame = canary.explain_failure(code, output)
    assert (reason.removesuffix(" distribution"), to_blame) == expected


@pytest.mark.slow
def test_a_command_is_ended_with_its_children_when_its_time_is_over():
    code, output = canary.run(["sh", "-c", "echo begun; sleep 60 & sleep 60"], 1, quiet=True)
    assert (code, output) == (None, "begun\n")
    assert canary.run(["sh", "-c", "echo done; exit 3"], 60, quiet=True) == (3, "done\n")


@pytest.fixture
def outcomes(monkeypatch, tmp_path):
    """The canary with commands that only note themselves; `code` of the tests by the set's name."""
    codes: dict[str, int | None] = {}
    commands = []

    def run(command, seconds, *, quiet=False):
        commands.append(command)
        if "list" in command:
            return 0, '[{"name": "rich", "version": "99.0"}]'
        if "pytest" in command:
            return codes.get(Path(command[0]).parents[1].name, 0), ""
        return codes.get("install", 0), "Retrying (Retry(total=0))" if codes.get("install") else ""

    monkeypatch.setattr(canary, "run", run)
    monkeypatch.setattr(canary, "FOLDER", tmp_path / "canary")
    (tmp_path / "canary").mkdir()
    return codes, commands


def test_canary_holds(outcomes, capsys):
    assert canary.main() == 0
    said = capsys.readouterr().out
    assert "everything holds with the newest" in said and "everything holds with the oldest" in said
    assert "rich 99.0 in place of" in said
    installs = [command for command in outcomes[1] if "install" in command]
    assert [str(pins.FLOORS) in command for command in installs] == [False, True]
    assert not canary.FOLDER.exists()


@pytest.mark.parametrize(("failing", "expected"), [("newest", 0), ("oldest", 1)])
def test_only_the_oldest_fail_the_build(outcomes, capsys, failing, expected):
    outcomes[0][failing] = 1
    assert canary.main() == expected
    said = capsys.readouterr().out
    assert f"TESTS FAIL WITH THE {failing.upper()} RELEASES" in said
    assert ("no failure of this change" in said) == (failing == "newest")


def test_an_index_out_of_reach_is_no_failure(outcomes, capsys):
    outcomes[0]["install"] = 1
    assert canary.main() == 0
    assert capsys.readouterr().out.count("the package index cannot be reached") == 2


def test_canary_runs_tests_that_exist():
    assert all((pins.ROOT / test).is_file() for test in canary.TESTS)
    assert set(canary.TOOLS) <= set(pins.read(pins.ROOT / "requirements-dev.txt"))
