# make setup | run | demo | test | lint | bench | bench-compiled | compiled | test-compiled | clean
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
COMPILED := $(CURDIR)/build/compiled
TEST_WORKERS ?= 3
NATIVE := $(wildcard pbx/native/include/*.h pbx/native/src/*.c pbx/native/src/*.h pbx/native/build.py)

# What the build needs, what a spoken greeting needs, and what the tests call against.
BUILD_PACKAGES := gcc pkg-config libc6-dev libopus-dev libspandsp-dev libspeexdsp-dev libbcg729-dev libsndfile1-dev
SOUND_PACKAGES := asterisk-core-sounds-en-wav asterisk-core-sounds-en-g722 asterisk-moh-opsound-wav
BENCH_PACKAGES := rtpengine-daemon sip-tester libsrtp2-dev
TEST_PACKAGES := sip-tester libsrtp2-dev baresip-core linphone-cli iproute2 nftables sipvicious conntrack clang libclang-rt-dev tshark postgresql \
  sox libsox-fmt-all flac lame vorbis-tools opus-tools ffmpeg

.PHONY: help setup run demo test lint bench bench-compiled compiled test-compiled clean test-packages

help:
	@echo "make setup   build everything into .venv"
	@echo "make run     serve the embedded default from var/ (made at first start)"
	@echo "make demo    two phones register and talk through a throw-away PBX"
	@echo "make test    set up, lint and test"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make compiled        a copy in build/compiled with what a call goes through compiled by mypyc"
	@echo "make test-compiled   the tests, in that copy"
	@echo "make bench   the figures of docs/performance.md, beside public peers"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml $(NATIVE) scripts/debian-packages.sh
	@scripts/debian-packages.sh required $(BUILD_PACKAGES)
	@scripts/debian-packages.sh optional $(SOUND_PACKAGES)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "setup: python3 -m venv failed; on Debian: apt-get install python3-venv python3-dev" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: setup
	$(BIN)/pbx serve

demo: setup
	$(BIN)/pbx demo

test-packages:
	@scripts/debian-packages.sh optional $(TEST_PACKAGES)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Most tests wait more than they work: three at a time. Those that load the machine come last, one by one. Where one that
# has to keep time with real phones, sockets and threads fails because of its neighbours, here or on the same host, it
# runs once more and has to pass then; after any other failure there is no second look (tests/conftest.py).
AGAIN = { test $$? -eq 1 && $(BIN)/python -m pytest -x --last-failed --last-failed-no-failures none

test: setup test-packages lint
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadscope -m "not alone" || $(AGAIN) -m "not alone"; }
	$(BIN)/python -m pytest -m alone || $(AGAIN) -m alone; }

# `make bench ARGS=--help` says what can be chosen; `ARGS=--write` puts the table into docs/performance.md.
# What is measured is what `make setup` installs; `bench-compiled` measures the compiled copy.
bench: setup $(BENCH_VENV)/.ready
	@scripts/debian-packages.sh optional $(BENCH_PACKAGES)
	$(BIN)/python -m bench.run $(ARGS)

bench-compiled: compiled $(BENCH_VENV)/.ready
	@scripts/debian-packages.sh optional $(BENCH_PACKAGES)
	PYTHONPATH=$(COMPILED) $(BIN)/python -m bench.run $(ARGS)

# Compiled modules stand in a copy only, which this brings up to date: none is ever beside the sources that people edit.
compiled: setup
	@$(BIN)/python scripts/compiled_tree.py

# pytest's status 5: of what ARGS chooses, nothing is to run alone, or only alone.
COMPILED_TESTS = cd $(COMPILED) && PYTHONPATH=$(COMPILED) TANDEM_VECTORS=$${TANDEM_VECTORS:-$(CURDIR)/../shared/vectors} $(CURDIR)/$(BIN)/python -m pytest $(ARGS)

test-compiled: compiled test-packages
	$(COMPILED_TESTS) -n $(TEST_WORKERS) --dist loadscope -m "not alone" || test $$? = 5
	$(COMPILED_TESTS) -m alone || test $$? = 5

# sippy, which Tandem is measured beside, has a place of its own: nothing of it gets into Tandem's.
$(BENCH_VENV)/.ready:
	@$(PYTHON) -m venv $(BENCH_VENV)
	@if $(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check sippy==2.5.0; then touch $@; \
	else echo "bench: sippy could not be installed; measuring without it" >&2; fi

clean:
	rm -rf $(VENV) $(BENCH_VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find pbx -name '*.so' -delete
