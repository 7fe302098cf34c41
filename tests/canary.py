"""Whether the demo holds with other releases than those of constraints.txt: `make canary`.

Installs the newest releases that requirements*.txt allow, then the oldest (floors.txt), each into an environment of its
own that is removed afterwards, and runs the tests that touch the libraries' surface there.

The newest are the work of others, and change from day to day: what fails with them is told, and the exit code stays 0.
The oldest are a promise of requirements.txt, pinned to the last release: what fails with them is a fault of ours, and
the exit code is 1. Releases that cannot be had, because the package index cannot be reached or takes too long, are told
of too, and are no failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.pins import CONSTRAINTS, FLOORS, OF_TORCH, ROOT, read_pins

FOLDER = ROOT / ".canary"
SECONDS = 300  # at most, for installing either set, torch for Linux being several GB, and as many for its tests
# Loading and saving, generate, the processor, and the page: its endpoints over HTTP, and in a browser.
TESTS = (
    "tests/model/test_modeling.py",
    "tests/model/test_weights.py",
    "tests/text/test_processor.py",
    "tests/engine/test_loading.py",
    "tests/ui/test_endpoints.py",
    "tests/ui/test_page.py",
)
TOOLS = (
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "pytest-rerunfailures",
    "hypothesis",
    "playwright",
    "axe-playwright-python",
    "peft",
)
UNREACHABLE = re.compile(
    r"Retrying \(Retry|Max retries exceeded|Read timed out|NewConnectionError|Connection(Error|Reset)"
)


@dataclass(frozen=True)
class Releases:
    name: str
    arguments: tuple[str, ...]  # for pip
    promised: bool  # whether a failure is ours


NEWEST = Releases("newest", ("-r", "requirements-dev.txt"), promised=False)


def oldest() -> Releases:
    """The oldest releases that requirements.txt allows; the test tools are those of constraints.txt."""
    pins = read_pins(CONSTRAINTS)
    tools = tuple(f"{tool}=={pins[tool]}" for tool in TOOLS)
    return Releases("oldest", ("-r", "requirements.txt", "-c", str(FLOORS), *tools), promised=True)


def run(command: list[str], seconds: float, *, quiet: bool = False) -> tuple[int | None, str]:
    """Exit code, or None where `command` did not end in time and was ended with its children; and with `quiet` what it
    printed, which otherwise goes where this program's does."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output or ""
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output or ""
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def list_installed(python: Path) -> dict[str, str]:
    """The version of each package in an environment, by canonical name."""
    _, listed = run([str(python), "-m", "pip", "list", "--format=json", "--log", os.devnull], 60, quiet=True)
    found = json.loads(listed[listed.index("[{") : listed.rindex("}]") + 2])
    return {canonicalize_name(each["name"]): each["version"] for each in found}


def differences(pins: dict[str, str], installed: dict[str, str]) -> list[str]:
    """Packages in `installed` whose release differs from the pinned one, or that are not pinned."""
    lines = []
    for name, version in sorted(installed.items()):
        if name not in pins:
            if name != "pip" and not OF_TORCH.match(name):
                lines.append(f"{name} {version}, which is not in {CONSTRAINTS.name}")
        elif Version(version).public != pins[name]:
            lines.append(f"{name} {version} in place of {pins[name]}")
    return lines


def explain_failure(code: int | None, output: str) -> tuple[str, bool]:
    """Why an installation did not come about, in words; and whether the releases themselves are to blame."""
    if UNREACHABLE.search(output):
        return "the package index cannot be reached", False
    if code is None:
        return f"they were not installed after {SECONDS} s", False
    lines = [line for line in output.splitlines() if "ERROR" in line] or output.splitlines()[-1:]
    return "they cannot be installed: " + " ".join(lines)[:500], True


def try_out(releases: Releases) -> bool:
    """Install the releases, run the tests, print what happened, and return whether nothing failed."""
    folder = FOLDER / releases.name
    python = folder / "bin" / "python"
    began = time.monotonic()
    print(f"canary: the {releases.name} releases", flush=True)
    try:
        run([sys.executable, "-m", "venv", "--clear", str(folder)], 60, quiet=True)
        pip = [str(python), "-m", "pip", "install", "--no-compile", "--progress-bar=off", "--retries=2"]
        code, output = run([*pip, *releases.arguments], SECONDS, quiet=True)
        if code != 0:
            reason, to_blame = explain_failure(code, output)
            print(f"canary: nothing was tested with the {releases.name} releases: {reason}", flush=True)
            return not to_blame
        for line in differences(read_pins(CONSTRAINTS), list_installed(python)):
            print(f"  {line}")
        print(f"canary: installed in {time.monotonic() - began:.0f} s", flush=True)
        options = ["-q", "-m", "not remote", "-p", "no:cacheprovider", "-n", "2", "--timeout=120"]
        code, _ = run([str(python), "-m", "pytest", *options, *TESTS], SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = f"{time.monotonic() - began:.0f} s in all"
    if code == 0:
        print(f"canary: everything holds with the {releases.name} releases ({seconds})", flush=True)
    elif code is None:
        print(f"canary: the tests with the {releases.name} releases were not done after {SECONDS} s", flush=True)
    else:
        print(f"canary: TESTS FAIL WITH THE {releases.name.upper()} RELEASES, see above ({seconds})", flush=True)
    return code in (0, None)


def main() -> int:
    failed = [releases for releases in (NEWEST, oldest()) if not try_out(releases)]
    shutil.rmtree(FOLDER, ignore_errors=True)
    for releases in failed:
        if releases.promised:
            print("canary: requirements.txt promises more than holds; raise what is too old there, or mend the code")
        else:
            print(f"canary: no failure of this change, but of today's releases; {CONSTRAINTS.name} still holds")
    return int(any(releases.promised for releases in failed))


if __name__ == "__main__":
    sys.exit(main())
