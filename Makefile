# All commands that a newcomer, a developer and CI need: `make run` starts the product, `make test` tests it.
PYTHON ?= python3
# The newest Python that the product supports. The lock has the newest Django for it, an older one for Python 3.11.
NEWEST ?= python3.13
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install --no-deps --no-compile --require-hashes
# On all cores, which pip doesn't; a few files of packages are no Python 3, on purpose.
COMPILE := $(BIN)/python -m compileall -qq --workers 0 $(VENV)/lib
# Run in three processes: the experiments wait more than they compute.
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder
TESTED := accounts chaos engine jobs pixian pixian_web tests
COVERED := $(TESTED) bench deploy static/client conftest.py manage.py

.PHONY: run setup test test-postgresql test-newest check types style house bench bench-engine soak format lock browser \
  servers languages messages
.DEFAULT_GOAL := run
# Otherwise glibc keeps freed memory for each thread, where no other thread can use it.
export MALLOC_ARENA_MAX ?= 2
# A test run starts hundreds of processes; whatever the shell says, they mustn't compile what they import.
unexport PYTHONDONTWRITEBYTECODE

# Ctrl-C reaches honcho, which stops all processes.
run: setup
	@processes=$$($(BIN)/python -m pixian_web.processes) && $(BIN)/python manage.py prepare && \
	  exec $(BIN)/honcho start $$processes

setup: $(VENV)/.run
	@$(BIN)/python -m engine.models.download

# Run all tests on SQLite, then those that depend on the database on PostgreSQL. With ARGS, run only the tests
# that it selects, on SQLite.
test: $(VENV)/.dev browser servers languages
	@$(BIN)/python -m engine.models.download fast standard
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)
	@$(if $(ARGS),,$(MAKE) --no-print-directory test-postgresql)

test-postgresql: $(VENV)/.dev servers
	@$(BIN)/python -m engine.models.download fast
	@TEST_DATABASE=postgresql $(BIN)/python -m pytest $(SPREAD) -m both_databases \
	  $(or $(ARGS),$$(grep -rl --include 'test_*.py' both_databases $(TESTED)))

# Run what `make test` runs on the newest Python and Django, in an environment of their own. Swift stays in its own,
# on the other Python.
test-newest: servers
	@if $(NEWEST) -c '' 2>/dev/null; then \
	  $(MAKE) --no-print-directory test VENV=.venv-newest PYTHON=$(NEWEST); \
	else \
	  echo "LEFT OUT: the tests on the newest Python, since $(NEWEST) is missing; NEWEST=/path/to/python names another"; \
	fi

# Types take the longest, on one core; the rest runs beside them.
check: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs 2 types style house

types:
	$(BIN)/mypy $(COVERED)

style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --quiet --check --lint templates

house:
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m pytest -q -m house -p no:randomly tests/site

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	-$(BIN)/djlint --quiet --reformat templates

lock: $(VENV)/.dev
	@for name in pip run dev swift; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --no-emit-package openvino-telemetry --allow-unsafe \
	    requirements/$$name.in -o requirements/$$name.txt $(ARGS) || exit 1; \
	done

# Measure the quality and speed of the cut-outs, and those of rembg if REMBG names a virtual environment that
# has it. Run this by hand on a quiet machine.
bench-engine: $(VENV)/.dev
	@$(BIN)/python -m bench.quality.fidelity $(if $(REMBG),--rembg $(REMBG)/bin/python)
	@$(BIN)/python -m bench.quality.delta
	@$(BIN)/python -m bench.quality.refusals
	@$(BIN)/python -m bench.speed.engine $(if $(REMBG),--rembg $(REMBG))

# Measure the path of a paid call as ratios to baselines: the pipeline to a plain loop (R1, R2), the gateway to
# its upstream (R3), the ledger to raw SQL (R7), a streamed ZIP to `zip -0` (R8), restyling to plain Pillow, each
# page at 1.2 million pictures (R6), a batch's page, a batch in a browser to a plain loop over the engine, a usage
# chart and the reconciliation of a million attempts to a GROUP BY (R10), the time to recover after all
# processes are killed (R9, takes minutes), and what docs/capacity.md computes from. Run this by hand on a quiet
# machine.
bench: $(VENV)/.dev servers browser
	@$(BIN)/python -m bench.speed.pipeline
	@$(BIN)/python -m bench.speed.gateway
	@$(BIN)/python -m bench.speed.ledger
	@$(BIN)/python -m bench.speed.zip
	@$(BIN)/python -m bench.speed.restyle
	@$(BIN)/python -m bench.speed.many_rows --database sqlite
	@$(BIN)/python -m bench.speed.many_rows --database postgresql
	@$(BIN)/python -m bench.speed.batch_page
	@$(BIN)/python -m bench.speed.reconcile --database sqlite
	@$(BIN)/python -m bench.speed.reconcile --database postgresql
	@$(BIN)/python -m bench.speed.batch_run
	@$(BIN)/python -m bench.speed.usage
	@$(BIN)/python -m bench.speed.recovery --database sqlite
	@$(BIN)/python -m bench.speed.recovery --database postgresql
	@$(BIN)/python -m bench.speed.capacity picture --database sqlite
	@$(BIN)/python -m bench.speed.capacity picture rows --database postgresql
	@$(BIN)/python -m bench.speed.capacity files --database sqlite
	@$(BIN)/python -m bench.speed.capacity queue --database postgresql --times 10 --delay 5 --seconds 60 --jobs 6000

# Run the long forms of the experiments, which take hours: the mixed load alone takes two on each database. SEED
# replays a run.
soak: $(VENV)/.dev servers browser
	@$(BIN)/python -m chaos soak $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.site.three_hundred

# Collect the interface texts into the catalogue and compile it (needs Debian's gettext). `make check` lists
# the texts that have no translation yet.
messages: $(VENV)/.dev
	@command -v xgettext >/dev/null || { echo "Install gettext first: apt install gettext"; exit 1; }
	@$(BIN)/python manage.py makemessages --locale fr --no-location --no-wrap --no-obsolete \
	  --ignore '.venv*/*' --ignore 'data/*' --ignore '*/tests/*'
	@$(BIN)/pybabel -q compile --directory locale --domain django

# Debian's Python has no ensurepip, so create the environment without pip; the system's pip then installs
# the pinned one.
$(BIN)/python:
	@$(PYTHON) -c 'import pip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer with pip is needed. On Debian 12: apt install python3-pip"; exit 1; }
	@echo "Setting up $(VENV): downloading Python packages takes a few minutes"
	@$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.run: $(BIN)/python requirements/pip.txt requirements/run.txt
	@$(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python -q install --require-hashes -r requirements/pip.txt
	@$(PIP) -r requirements/run.txt
	@$(COMPILE) || true
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@$(PIP) -r requirements/dev.txt
	@$(COMPILE) || true
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

# Tests start private servers (chaos/servers.py, tests/site/glewlwyd.py) with Debian's programs. Any server
# that the packages start themselves is neither used nor stopped.
servers: .venv-swift/.done
	@redis_is_here() { command -v redis-server >/dev/null; }; \
	postgres_is_here() { command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; }; \
	wanted="$$(redis_is_here || echo redis-server) $$(postgres_is_here || echo postgresql) \
	  $$(command -v glewlwyd >/dev/null || echo glewlwyd dbconfig-no-thanks)"; \
	[ -z "$$(echo $$wanted)" ] && exit 0; \
	$(call apt_install,$$wanted); \
	redis_is_here || echo "LEFT OUT: the tests with Redis, since redis-server is missing and can't be installed here"; \
	postgres_is_here || echo "LEFT OUT: the tests on PostgreSQL, since it is missing and can't be installed here"; \
	command -v glewlwyd >/dev/null || echo "LEFT OUT: signing in through Glewlwyd, which can't be installed here"

# OpenStack Swift is a production server that speaks S3. It has a virtual environment of its own, since it shares
# no package with the product.
.venv-swift/.done: requirements/swift.txt | $(VENV)/.run
	@echo "Setting up .venv-swift, the S3 server of the tests"
	@{ $(PYTHON) -m venv --without-pip .venv-swift && \
	  $(subst pip ,pip --python .venv-swift/bin/python ,$(PIP)) -r requirements/swift.txt && touch $@; } || \
	  echo "LEFT OUT: the tests with S3, since Swift can't be installed here"

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
