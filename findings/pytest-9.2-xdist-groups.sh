#!/usr/bin/env bash
# pytest-xdist 3.8 ignores its own groups under pytest 9.2: `--dist loadgroup` spreads tests as if none were marked.
#
# Expected: tests with `@pytest.mark.xdist_group("a")` run in one process, one after another, as the manual of xdist says.
# Happens: under pytest 9.2 they run in all processes, at the same time, and nothing is printed about it. xdist tells its
#   scheduler of a group by writing "@a" behind the `_nodeid` of each test; in 9.2 `nodeid` is computed from another
#   attribute, so the writing is without effect. Under pytest 9.0 the same file runs in one process.
# Matters: what a group shares (a browser, a server, a port) starts once in every process, and tests that must not meet do.
#   A scheduler of one's own (the hook pytest_xdist_make_scheduler) or `--dist loadfile` works; the tests of the page
#   here run with the former.
# Source: run below; xdist/remote.py of 3.8.0.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/test_group.py" <<'P'
import time
import pytest


@pytest.mark.xdist_group("a")
@pytest.mark.parametrize("number", range(8))
def test_one_of_a_group(number):
    time.sleep(0.2)
P
for version in 9.0.2 9.2.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -q "pytest==$version" "pytest-xdist==3.8.0"
    "$folder/$version/bin/python" -m pytest -p no:cacheprovider --rootdir "$folder" -c /dev/null -v -n 2 --dist loadgroup \
        "$folder/test_group.py" > "$folder/run"
    workers=$(grep -o '^\[gw[0-9]*\].* PASSED' "$folder/run" | cut -d']' -f1 | sort -u | wc -l)
    passed=$(grep -c PASSED "$folder/run")
    echo "pytest $version, pytest-xdist 3.8.0: $passed tests of one group ran in $workers process(es)" | tee -a "$folder/output"
done
grep -q "pytest 9.0.2, .*: 8 tests of one group ran in 1 process" "$folder/output"
grep -q "pytest 9.2.0, .*: 8 tests of one group ran in 2 process" "$folder/output"
