# All commands that a newcomer, a developer and CI need: `make run` starts the product, `make test` tests it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install --no-deps --require-hashes
# Run in three processes: the experiments wait more than they compute.
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder
COVERED := accounts bench chaos engine jobs pixian pixian_web tests conftest.py manage.py

.PHONY: run setup test test-postgresql check bench bench-engine soak format lock browser servers languages messages
.DEFAULT_GOAL := run

# Ctrl-C reaches honcho, which stops all processes.
run: setup
	@$(BIN)/python manage.py prepare
	@processes=$$($(BIN)/python -m pixian_web.processes) && exec $(BIN)/honcho start $$processes

setup: .venv/.run
	@$(BIN)/python -m engine.models.download

# Run all tests on SQLite, then those that depend on the database on PostgreSQL. With ARGS, run only the tests
# that it selects, on SQLite.
test: .venv/.dev browser servers languages
	@$(BIN)/python -m engine.models.download fast standard
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)
	@$(if $(ARGS),,$(MAKE) --no-print-directory test-postgresql)

test-postgresql: .venv/.dev servers
	@$(BIN)/python -m engine.models.download fast
	@TEST_DATABASE=postgresql $(BIN)/python -m pytest $(SPREAD) -m both_databases $(ARGS)

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(COVERED)
	$(BIN)/djlint --quiet --check --lint templates
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m pytest -q -m house -p no:randomly tests/site

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	-$(BIN)/djlint --quiet --reformat templates

lock: .venv/.dev
	@for name in pip run dev; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --no-emit-package openvino-telemetry --allow-unsafe \
	    requirements/$$name.in -o requirements/$$name.txt $(ARGS) || exit 1; \
	done

# Measure the quality and speed of the cut-outs, and those of rembg if REMBG names a virtual environment that
# has it. Run this by hand on a quiet machine.
bench-engine: .venv/.dev
	@$(BIN)/python -m bench.quality.fidelity $(if $(REMBG),--rembg $(REMBG)/bin/python)
	@$(BIN)/python -m bench.quality.delta
	@$(BIN)/python -m bench.quality.refusals
	@$(BIN)/python -m bench.speed.engine $(if $(REMBG),--rembg $(REMBG))

# Measure the path of a paid call as ratios to baselines: the pipeline to a plain loop (R1, R2), the gateway to
# its upstream (R3), the ledger to raw SQL (R7), a streamed ZIP to `zip -0` (R8), restyling to plain Pillow, a
# batch's page, a batch in a browser to a plain loop over the engine, and the time to recover after all processes
# are killed (R9, takes minutes). Run this by hand on a quiet machine.
bench: .venv/.dev servers browser
	@$(BIN)/python -m bench.speed.pipeline
	@$(BIN)/python -m bench.speed.gateway
	@$(BIN)/python -m bench.speed.ledger
	@$(BIN)/python -m bench.speed.zip
	@$(BIN)/python -m bench.speed.restyle
	@$(BIN)/python -m bench.speed.batch_page
	@$(BIN)/python -m bench.speed.batch_run
	@$(BIN)/python -m bench.speed.recovery --database sqlite
	@$(BIN)/python -m bench.speed.recovery --database postgresql

# Run the long forms of the experiments, which take hours. SEED replays a run.
soak: .venv/.dev servers browser
	@$(BIN)/python -m chaos soak $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.site.three_hundred

# Collect the interface texts into the catalogue and compile it (needs Debian's gettext). `make check` lists
# the texts that have no translation yet.
messages: .venv/.dev
	@command -v xgettext >/dev/null || { echo "Install gettext first: apt install gettext"; exit 1; }
	@$(BIN)/python manage.py makemessages --locale fr --no-location --no-wrap --no-obsolete \
	  --ignore '.venv/*' --ignore 'data/*' --ignore '*/tests/*'
	@$(BIN)/pybabel -q compile --directory locale --domain django

# Debian's Python has no ensurepip, so create the environment without pip; the system's pip then installs
# the pinned one.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@echo "Setting up .venv"
	@$(PYTHON) -m venv --without-pip .venv

.venv/.run: .venv/bin/python requirements/pip.txt requirements/run.txt
	@$(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python -q install --require-hashes -r requirements/pip.txt
	@$(PIP) -r requirements/run.txt
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	@$(PIP) -r requirements/dev.txt
	@touch $@

# Install Debian packages if root or sudo may. Otherwise the calling target prints what is left out.
define apt_install
if [ "$$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi; \
if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then \
  echo "Installing Debian's $(1) for the tests"; \
  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
fi
endef

# The browser tests drive Debian's Chromium. If it can't be installed, they are skipped, and the test run
# says so at its end.
browser:
	@command -v chromium >/dev/null && exit 0; \
	$(call apt_install,chromium); \
	command -v chromium >/dev/null || echo "LEFT OUT: the browser tests, since chromium is missing and can't be installed here"

# Tests start private servers (chaos/servers.py) with Debian's programs. Any server that the packages
# start themselves is neither used nor stopped.
servers:
	@redis() { command -v redis-server >/dev/null; }; \
	postgres() { command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; }; \
	wanted="$$(redis || echo redis-server) $$(postgres || echo postgresql)"; \
	[ "$$wanted" = " " ] && exit 0; \
	$(call apt_install,$$wanted); \
	redis || echo "LEFT OUT: the tests with Redis, since redis-server is missing and can't be installed here"; \
	postgres || echo "LEFT OUT: the tests on PostgreSQL, since it is missing and can't be installed here"

# The API samples run in every language that Debian has. A missing language is left out, with a message.
languages:
	@wanted="$$(php -m 2>/dev/null | grep -qx curl || echo php-cli php-curl) \
	  $$(ruby -rhttpclient -e '' 2>/dev/null || echo ruby ruby-httpclient) \
	  $$(command -v java >/dev/null || echo default-jdk-headless) \
	  $$(command -v mcs >/dev/null && ls /usr/lib/mono/4.5/System.Net.Http.dll >/dev/null 2>&1 || \
	     echo mono-mcs mono-runtime libmono-system-net-http4.0-cil) \
	  $$(ls /usr/share/java/httpclient5-fluent.jar >/dev/null 2>&1 || echo libhttpclient5-java libhttpcore5-java libslf4j-java)"; \
	[ -z "$$(echo $$wanted)" ] && exit 0; \
	$(call apt_install,$$wanted); \
	for name in php ruby java mcs; do \
	  command -v $$name >/dev/null || echo "LEFT OUT: the samples that need $$name, which can't be installed here"; \
	done
