"""Where an experiment takes place: a folder, a database and an upstream of its own, and then Django.

Django reads its settings once, when it is set up. So an experiment has an entry that knows no more than its
command line (``chaos.crash``), and a *scene* that is imported when all else is there::

    with stage.built(options) as here:
        return here.scene("chaos.crash_cases").run(here, options)
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command

from chaos import servers, upstream
from chaos.upstream.running import Options

LEASE_SECONDS = 1
TIMEOUT_SECONDS = 2


@dataclass(frozen=True)
class Stage:
    """folder: all files of the experiment; ``data`` in it is the product's DATA_DIR. postgres: None where the
    database is SQLite. redis: where it was asked for."""

    folder: Path
    upstream: upstream.Server
    postgres: servers.Postgres | None
    redis: servers.Redis | None
    environment: Mapping[str, str]

    def scene(self, module: str) -> Any:
        """The module, with Django set up for this stage and an empty database for it to play on."""
        os.environ.update(self.environment)
        django.setup()
        call_command("migrate", verbosity=0)
        return import_module(module)


def parser(module: str, about: str) -> argparse.ArgumentParser:
    """What every experiment can be told."""
    made = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    made.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--keep", action="store_true", help="leave the folder behind, and print its name")
    return made


def report(name: str, options: argparse.Namespace, **facts: object) -> None:
    """An experiment's last line, for people and tests: ``E1 crash · sqlite · seed 1 · cases 700 · …``."""
    told = "".join(f" · {what} {value}" for what, value in facts.items())
    sys.stdout.write(f"{name} · {options.database} · seed {options.seed}{told}\n")


@contextmanager
def built(
    options: argparse.Namespace,
    *,
    answers: Options | None = None,
    environment: Mapping[str, str] | None = None,
    broker: bool = False,
    postgres_settings: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """A stage, taken down when this is left. answers: the upstream's options; environment: more settings
    than those that every experiment needs; broker: with a Redis."""
    signal.signal(signal.SIGTERM, _leave)
    told: Options = {"seed": options.seed, **(answers or {})}
    with ExitStack() as ends:
        folder = ends.enter_context(_folder(keep=options.keep))
        server = ends.enter_context(upstream.running(folder / "upstream.log", **told))
        private = servers.postgres(postgres_settings)
        postgres = ends.enter_context(private) if options.database == "postgresql" else None
        redis = ends.enter_context(servers.redis()) if broker else None
        own = _environment(folder, server)
        own |= {"DATABASE_URL": postgres.url} if postgres else {}
        own |= {"CELERY_BROKER_URL": redis.url} if redis else {}
        yield Stage(folder, server, postgres, redis, own | dict(environment or {}))


def _leave(*_: object) -> None:
    """Told to end, an experiment still takes its servers down."""
    sys.exit(1)


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    # A socket's path may have 108 bytes, so it is a short one.
    folder = Path(tempfile.mkdtemp(prefix="x-"))
    (folder / "data").mkdir()
    try:
        yield folder
    finally:
        if keep:
            sys.stdout.write(f"kept: {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, server: upstream.Server) -> dict[str, str]:
    """Everything that matters is said, so that nobody's ``.env`` decides."""
    return {
        "DJANGO_SETTINGS_MODULE": "pixian_web.settings",
        "DATA_DIR": str(folder / "data"),
        "DATABASE_URL": f"sqlite:///{folder / 'data' / 'db.sqlite3'}",
        "PIXIAN_API_URL": server.url,
        "PIXIAN_API_ID": server.credentials.api_id,
        "PIXIAN_API_SECRET": server.credentials.api_secret,
        "PIXIAN_TIMEOUT": str(TIMEOUT_SECONDS),
        "HOLD_CREDITS_PER_MEGAPIXEL": "1",
        "CALLS_IN_FLIGHT": "100",
        "WORKER_THREADS": "2",
        "CELERY_BROKER_URL": "",
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "SECRET_KEY": "not a secret",
        "DEBUG": "false",
        "LOG_LEVEL": "INFO",
    }
