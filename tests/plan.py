"""How a run is spread over processes, which tests are tried again, and what a run says of tests that did not run."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

# Fixtures of tests/ui that cost seconds: whoever needs one runs in the process that has them all.
PAGE_FIXTURES = {"browser", "nano", "nano_backend", "scripted_app", "trained", "mcp_app"}
PAGE = "page"
REASONS = 20  # that a run ends with


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group(PAGE if fixtures & PAGE_FIXTURES else item.path.stem))
        if "browser" in fixtures:
            item.add_marker("browser")
            item.add_marker(pytest.mark.flaky(reruns=2, only_rerun=["^TimeoutError"]))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Why tests did not run, and how many. How many were tried again stands in the last line."""
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


def find_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Of a skip, in one line."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(told.removeprefix("Skipped: ").split())[:120]
