"""How a run is spread over processes, which tests are tried again, and what a run says: at once of tests that failed or
took long, at its end of those that did not run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

PAGE = "tests/ui/"  # tests that share a browser and servers, which take seconds to start
REASONS = 20  # that a run ends with
LONG = 60  # seconds of a test that are told at once


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What `find_scope` names runs in one process.

    Groups of xdist would say the same, but release 3.8 loses them in pytest 9.2, which keeps ids of tests elsewhere.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return find_scope(nodeid)

    config.option.loadscopereorder = False  # the order of `pytest_collection_modifyitems`
    return Scheduling(config, log)


def find_scope(nodeid: str) -> str:
    """The tests of a file run in one process, where fixtures of its module are made once; so do those of one tab of the
    page, those of the rest of it, and in processes of their own the same in front of a server."""
    if not nodeid.startswith(PAGE):
        return nodeid.partition("::")[0]
    part = nodeid.removeprefix(PAGE).split("/")
    group = part[1] if part[0] == "tabs" else "page"
    return f"{PAGE}{group}{' through a server' if '[openai' in nodeid else ''}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
            item.add_marker(pytest.mark.flaky(reruns=2, only_rerun=["^TimeoutError"]))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))
    slow = Counter(find_scope(item.nodeid) for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[find_scope(item.nodeid)])  # so that no process has a long file left at the end


class Teller:
    """Tells at once of each test that failed, is tried again or took long: a run that is cut off has said so."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self.reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        wrong = report.outcome in ("failed", "rerun")
        if wrong or report.duration > LONG:
            line = f"{report.outcome} after {report.duration:.0f} s of its {report.when}: {report.nodeid}"
            self.reporter.write(f"\n{line}{find_words(report) if wrong else ''}"[:400] + "\n")


@pytest.hookimpl(trylast=True)  # there is a reporter by then
def pytest_configure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Teller(reporter))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many tests did not run, by reason. pytest's own last line says how many were run again."""
    reasons = Counter(find_reason(report) for report in terminalreporter.stats.get("skipped", ()))
    options = {"-m": config.option.markexpr, "-k": config.option.keyword}
    lines = [f"{count:5} {reason}" for reason, count in reasons.most_common(REASONS)]
    if len(reasons) > REASONS:
        rest = sum(count for _, count in reasons.most_common()[REASONS:])
        lines.append(f"{rest:5} for {len(reasons) - REASONS} other reasons")
    lines += [f"  all that {option} {value!r} leaves out" for option, value in options.items() if value]
    if lines:
        terminalreporter.section("not run")
    for line in lines:
        terminalreporter.write_line(line)


def find_words(report: pytest.TestReport) -> str:
    """The first line of what a test that failed says."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return ": " + (crash.message if crash else str(report.longrepr)).partition("\n")[0]


def find_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped, in one line of at most 120 characters."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(told.removeprefix("Skipped: ").split())[:120]
