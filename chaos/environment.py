"""An experiment's environment: a folder, a database, an upstream and perhaps a broker of its own."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from django.db import connections

from chaos import hosts, servers, upstream
from chaos.experiments import say

TEMPLATES = "TEST_TEMPLATES"
"""Names the folder in which one test run keeps migrated databases; without it each experiment migrates."""


@dataclass(frozen=True)
class Environment:
    """The environment of an experiment. postgres: None if the database is SQLite.

    folder: all its files; ``data`` in it is the product's DATA_DIR. settings: environment variables.
    """

    folder: Path
    upstream: upstream.Server
    postgres: servers.Postgres | None
    redis: servers.Redis | None
    settings: Mapping[str, str]

    @property
    def needed_postgres(self) -> servers.Postgres:
        if self.postgres is None:
            raise RuntimeError("there is no PostgreSQL in this environment")
        return self.postgres

    @property
    def needed_redis(self) -> servers.Redis:
        if self.redis is None:
            raise RuntimeError("there is no broker in this environment")
        return self.redis

    def set_up(self) -> None:
        """Set Django up for this environment, with a migrated database."""
        os.environ.update(self.settings)
        django.setup()
        sqlite = self.folder / "data/db.sqlite3"
        template = _template("postgres" if self.postgres else "sqlite")
        if template is None:
            call_command("migrate", verbosity=0)
        elif not template.exists():
            call_command("migrate", verbosity=0)
            self._keep(sqlite, template)
        elif self.postgres is None:
            shutil.copyfile(template, sqlite)

    def _keep(self, sqlite: Path, template: Path) -> None:
        """Keep the migrated database for other experiments."""
        connections.close_all()
        template.parent.mkdir(parents=True, exist_ok=True)
        copy = template.with_name(f"{template.name}-{os.getpid()}")
        if self.postgres:
            connections["default"].close_pool()  # type: ignore[attr-defined]
            self.postgres.stop(cleanly=True)
            subprocess.run(["cp", "-a", self.postgres.folder / "data", copy], check=True)  # noqa: S603, S607
            self.postgres.start()
        else:
            shutil.copyfile(sqlite, copy)
        with suppress(OSError):  # another experiment was faster
            copy.rename(template)


def _template(name: str) -> Path | None:
    """Return the path of a migrated database, which may not be there yet."""
    folder = os.environ.get(TEMPLATES)
    return Path(folder, name) if folder else None


@contextmanager
def built(
    options: argparse.Namespace,
    *,
    answers: Mapping[str, Any] | None = None,
    settings: Mapping[str, str] | None = None,
    broker: bool = False,
    two_hosts: bool = False,
) -> Iterator[Environment]:
    """Build an environment, and take it down afterwards. answers: the upstream's settings."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its servers are still taken down
    folder = Path(tempfile.mkdtemp(prefix="x-"))  # a short name, since a socket's path may have 108 bytes
    (folder / "data").mkdir()
    address, bind = (hosts.ADDRESS, hosts.EVERYWHERE) if two_hosts else (hosts.LOOPBACK,) * 2
    with ExitStack() as ends:
        if options.keep:
            ends.callback(say, f"kept: {folder}")
        else:
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
        given = {"seed": options.seed, "bind": address, **(answers or {})}
        server = ends.enter_context(upstream.running(folder / "upstream.log", **given))
        own = _settings(folder, server)
        postgres = redis = None
        if options.database == "postgresql":
            more = {"listen_addresses": bind}
            postgres = ends.enter_context(servers.postgres(more, template=_template("postgres")))
            own["DATABASE_URL"] = postgres.url
        if broker:
            redis = ends.enter_context(servers.redis(bind))
            own["CELERY_BROKER_URL"] = redis.url
        own = {name: value.replace(hosts.LOOPBACK, address) for name, value in own.items()}
        yield Environment(folder, server, postgres, redis, own | dict(settings or {}))


def _settings(folder: Path, server: upstream.Server) -> dict[str, str]:
    """Return everything that matters, so that no ``.env`` decides."""
    return {
        "DJANGO_SETTINGS_MODULE": "pixian_web.settings",
        "DATA_DIR": str(folder / "data"),
        "DATABASE_URL": f"sqlite:///{folder / 'data' / 'db.sqlite3'}",
        "PORT": str(servers.free_port()),
        "PIXIAN_API_URL": server.url,
        "PIXIAN_API_ID": server.credentials.api_id,
        "PIXIAN_API_SECRET": server.credentials.api_secret,
        "PIXIAN_TIMEOUT": "2",
        "HOLD_CREDITS_PER_MEGAPIXEL": "1",
        "API_CALLS_PER_KEY": "0",
        "API_CALLS_PER_TEAM": "0",
        "CALLS_IN_FLIGHT": "100",
        "WORKER_THREADS": "2",
        "CELERY_BROKER_URL": "",
        "LEASE_SECONDS": "1",
        "SECRET_KEY": "not a secret",
        "DEBUG": "false",
        "LOG_LEVEL": "INFO",
    }
