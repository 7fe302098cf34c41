"""Every RUN step of the Dockerfile without Docker, in folders that debootstrap makes: `make docker-dry`, as root.

The Dockerfile itself is read, so nothing here can differ from it but the base: in place of python:3.12-slim it is
Debian's minimal system with Debian's own Python. Each stage is a folder; the last one's app is then started as the
image's user, its health check is run, and it is asked a question.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.docker.dockerfile import ROOT, Instruction, Stage, list_context, read_stages

PYTHON = "python3 python3-venv python3-dev ca-certificates"  # Debian's, of what Docker's image of Python has
CLEAN = 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };'  # as Docker's images of Debian have it
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# Asks, in the image's own Python, once the app is there.
QUESTION = """
import json, os, urllib.request as u
page = "http://127.0.0.1:" + os.environ["PORT"]
name = json.load(u.urlopen(page + "/v1/models"))["data"][0]["id"]
body = {"model": name, "messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 32}
asked = u.Request(page + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
print("user", os.getuid(), "was told", json.load(u.urlopen(asked))["choices"][0]["message"]["content"])
"""


@dataclass(frozen=True)
class State:
    """What a stage hands to the next one besides its files."""

    folder: Path
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    directory: str = "/"
    user: str = "root"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()  # folders of this machine that are there while a command runs

    def fill(self, text: str) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda found: self.variables.get(found[1], ""), text)

    def run(self, words: list[str], **more: str) -> float:
        """Run a command within. Returns seconds; raises CalledProcessError."""
        environment = {**self.variables, "HOME": self.account[2], **more}
        mounts = "".join(f'mount --rbind {path} "$0{path}" && ' for path in ("/dev", *self.shared))
        user = ":".join(self.account[:2])
        inside = f'mount -t proc proc "$0/proc" && {mounts} exec chroot --userspec={user} "$0" "$@"'
        within = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.directory, *words]
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inside, str(self.folder)]
        started = time.monotonic()
        variables = [f"{name}={value}" for name, value in environment.items()]
        subprocess.run([*isolated, "/usr/bin/env", "-i", *variables, *within], check=True)
        return time.monotonic() - started

    @property
    def account(self) -> tuple[str, str, str]:
        """Numbers of the user and its group, and its home."""
        for line in (self.folder / "etc" / "passwd").read_text().splitlines():
            name, _, user, group, _, home, _ = line.split(":")
            if self.user in (name, user):
                return user, group, home
        raise KeyError(self.user)


@dataclass
class DryRun:
    folder: Path
    suite: str
    arguments: dict[str, str]
    pip: dict[str, str]  # of this machine, so that packages are found as here
    shared: tuple[str, ...]  # folders of this machine that pip wants
    made: dict[str, State] = field(default_factory=dict)

    def make_base(self, image: str) -> State:
        """In place of `image`: Debian with Python under the names that Docker's image has."""
        folder = self.folder / "base"
        if not folder.exists():
            subprocess.run(["debootstrap", "--variant=minbase", self.suite, str(folder)], check=True)
            for name in ("hosts", "resolv.conf"):  # which Docker gives to every container
                shutil.copy(f"/etc/{name}", folder / "etc" / name)
            (folder / "etc" / "apt" / "apt.conf.d" / "docker-clean").write_text(CLEAN)
            base = State(folder)
            base.run(["sh", "-c", f"apt-get update -q && apt-get install -qq -y --no-install-recommends {PYTHON}"])
            base.run(["ln", "-s", "/usr/bin/python3", "/usr/local/bin/python"])
            base.run(["sh", "-c", "apt-get clean && rm -rf /var/lib/apt/lists/*"])
            if certificates := self.pip.get("PIP_CERT"):
                shutil.copyfile(certificates, folder / certificates[1:])
            for path in self.shared:
                (folder / path[1:]).mkdir(parents=True, exist_ok=True)
        print(f"{image} is replaced by Debian {self.suite}, {measure(folder)}", flush=True)
        return State(folder, shared=self.shared)

    def make(self, stage: Stage) -> State:
        base = self.made.get(stage.base) or self.make_base(stage.base)
        folder = self.folder / stage.name
        subprocess.run(["cp", "-a", "--reflink=auto", str(base.folder), str(folder)], check=True)
        state = replace(base, folder=folder)
        for instruction in stage.instructions:
            state = self.step(state, instruction)
        self.made[stage.name] = state
        print(f"stage {stage.name}: {measure(folder)}", flush=True)
        return state

    def step(self, state: State, instruction: Instruction) -> State:
        text = instruction.text
        match instruction.name:
            case "RUN":
                print(f"RUN {text}", flush=True)
                print(f"    {state.run(['/bin/sh', '-c', text], **self.pip):.0f} s", flush=True)
            case "COPY":
                self.copy(state, instruction)
            case "ARG":
                name, _, usual = text.partition("=")
                return replace(state, variables={**state.variables, name: self.arguments.get(name, usual)})
            case "ENV":
                pairs = (pair.partition("=") for pair in shlex.split(text))
                found = {name: state.fill(value) for name, _, value in pairs}
                return replace(state, variables={**state.variables, **found})
            case "WORKDIR":
                (state.folder / text[1:]).mkdir(parents=True, exist_ok=True)
                return replace(state, directory=text)
            case "USER":
                return replace(state, user=text)
            case "ENTRYPOINT":
                return replace(state, entrypoint=tuple(json.loads(text)))
            case "CMD":
                return replace(state, command=tuple(json.loads(text)))
            case "HEALTHCHECK":
                return replace(state, check=tuple(json.loads(text.partition("CMD")[2])))
        return state

    def copy(self, state: State, instruction: Instruction) -> None:
        *sources, target = shlex.split(state.fill(instruction.text))
        place = state.folder / (Path(state.directory) / target).as_posix()[1:]
        if stage := instruction.flags.get("from"):
            assert len(sources) == 1
            subprocess.run(["cp", "-a", str(self.made[stage].folder / sources[0][1:]), str(place)], check=True)
            return
        for path in list_context():
            if sources == ["."] or path.as_posix() in sources:
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, place / path)
        if owner := instruction.flags.get("chown"):
            subprocess.run(["chown", "-R", ":".join(replace(state, user=owner).account[:2]), str(place)], check=True)


def measure(folder: Path) -> str:
    done = subprocess.run(["du", "-sxm", "--apparent-size", str(folder)], check=True, capture_output=True, text=True)
    return f"{int(done.stdout.split()[0]):,} MiB"


def ask(state: State) -> None:
    """Start the app as the image does, with a port in its command, and ask it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    app = shlex.join([*state.entrypoint, *state.command, "--port", port])
    check = shlex.join(state.check)
    question = shlex.join(["python", "-c", QUESTION])
    script = f"""
        {app} & app=$!
        for _ in $(seq 120); do {check} 2>/dev/null && break; kill -0 $app || exit 1; sleep 1; done
        {check} && {question}
        status=$?
        for _ in $(seq 60); do ls ~/.cache/dsvl2/*.so 2>/dev/null && break; sleep 1; done
        kill -TERM $app; wait $app; echo "the app ended with $?"
        exit $status
    """
    state.run(["/bin/sh", "-c", script], PORT=port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where stages are made; must not be there yet")
    parser.add_argument("--target", default="cpu", help="the last stage to make")
    parser.add_argument("--suite", default="trixie", help="release of Debian")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--share", action="append", default=[], help="a folder of this machine that pip needs")
    parser.add_argument("--keep", action="store_true", help="do not remove the folder afterwards")
    given = parser.parse_args()
    if os.geteuid() or not shutil.which("debootstrap"):
        sys.exit("make docker-dry needs root and debootstrap: apt-get install debootstrap")
    given.folder.mkdir(parents=True)
    arguments = dict(each.split("=", 1) for each in given.build_arg)
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    stages = read_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    run = DryRun(given.folder.resolve(), given.suite, arguments, pip, tuple(given.share))
    try:
        for stage in needed(stages, given.target):
            state = run.make(stage)
        if (state.folder / state.directory[1:] / "app.py").exists():
            ask(state)
    finally:
        if not given.keep:
            shutil.rmtree(given.folder)


def needed(stages: list[Stage], target: str) -> list[Stage]:
    """The stages that `target` is made of, in order."""
    by_name = {stage.name: stage for stage in stages}
    wanted, found = [target], set[str]()
    while wanted:
        stage = by_name.get(wanted.pop())
        if stage is not None:
            found.add(stage.name)
            wanted += [stage.base, *(step.flags["from"] for step in stage.instructions if "from" in step.flags)]
    return [stage for stage in stages if stage.name in found]


if __name__ == "__main__":
    main()
