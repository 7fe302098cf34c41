"""`tests.plan`: which tests are run again, what is told at once, and the summary of those that did not run."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest


def run(pytester: pytest.Pytester, text: str, *options: str) -> tuple[pytest.RunResult, str]:
    pytester.makepyfile(text)
    pytester.makeini("[pytest]\nmarkers = browser\n gpu\n slow")
    result = pytester.runpytest_inprocess("-p", "tests.plan", "-q", *options)
    return result, result.stdout.str()


@pytest.mark.slow
def test_a_browser_that_is_late_is_tried_again_and_nothing_else_is(pytester: pytest.Pytester) -> None:
    result, shown = run(
        pytester,
        """
        import pytest

        tries = []

        @pytest.fixture
        def browser():
            return None

        def test_late(browser):
            tries.append("late")
            if len(tries) == 1:
                raise TimeoutError("30 s are over")

        def test_wrong(browser):
            tries.append("wrong")
            assert tries.count("wrong") == 2

        def test_late_without_a_browser():
            raise TimeoutError
        """,
    )
    assert "2 failed, 1 passed, 1 rerun in " in shown.splitlines()[-1]
    at_once = shown[: shown.index("= FAILURES =")]
    for line in (
        "rerun after 0 s of its call: *::test_late: TimeoutError: 30 s are over",
        "failed after 0 s of its call: *::test_wrong: AssertionError*",
    ):
        assert [each for each in at_once.splitlines() if fnmatch(each, line)], at_once
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.slow
def test_what_did_not_run_is_listed_by_reason(pytester: pytest.Pytester) -> None:
    _, shown = run(
        pytester,
        """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_needs_a_door(number):
            pytest.skip("there is no door")

        @pytest.mark.parametrize("number", range(25))
        def test_each_has_its_own(number):
            pytest.skip(f"no {number}")

        @pytest.mark.slow
        def test_slow():
            ...
        """,
        *("-m", "not slow"),
    )
    lines = shown[shown.index("= not run =") :].splitlines()[1:]
    assert lines[0].split() == ["3", *["there", "is", "no", "door"]]
    assert lines[20] == "    6 for 6 other reasons"
    assert lines[21].strip() == "all that -m 'not slow' leaves out"


@pytest.mark.slow
def test_what_takes_long_is_told_at_once(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.plan.LONG", 0.05)
    _, shown = run(
        pytester,
        """
        import time

        def test_soon():
            ...

        def test_late():
            time.sleep(0.1)
        """,
    )
    assert "passed after 0 s of its call: test_what_takes_long_is_told_at_once.py::test_late" in shown
    assert "::test_soon" not in shown


@pytest.mark.slow
def test_files_with_more_slow_tests_begin_first(pytester: pytest.Pytester) -> None:
    slow = "import pytest\n@pytest.mark.slow\n@pytest.mark.parametrize('n', range({}))\ndef test_{}(n):\n    ...\n"
    pytester.makepyfile(test_a="def test_a():\n    ...\n" * 9, test_b=slow.format(1, "b"), test_c=slow.format(2, "c"))
    pytester.makeini("[pytest]\nmarkers = browser\n gpu\n slow")
    shown = pytester.runpytest_inprocess("-p", "tests.plan", "--collect-only", "-q").stdout.str()
    assert [line.partition("::")[0] for line in shown.splitlines() if "::" in line] == [
        *["test_c.py"] * 2,
        "test_b.py",
        "test_a.py",
    ]
