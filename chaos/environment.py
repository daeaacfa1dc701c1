"""An experiment's environment: a folder, a database, an upstream and perhaps a broker of its own."""

import argparse
import hashlib
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

from chaos import servers, upstream

TEMPLATES = "CHAOS_TEMPLATES"
"""Names the folder in which experiments keep migrated databases for one another; without it each migrates."""


@dataclass(frozen=True)
class Environment:
    """The environment of an experiment.

    folder: all its files; ``data`` in it is the product's DATA_DIR. postgres: None if the database is SQLite.
    redis: None unless asked for. settings: the product's environment variables.
    """

    folder: Path
    upstream: upstream.Server
    postgres: servers.Postgres | None
    redis: servers.Redis | None
    settings: Mapping[str, str]

    def set_up(self) -> None:
        """Set Django up for this environment, with a migrated database."""
        os.environ.update(self.settings)
        django.setup()
        if not self._is_migrated():
            call_command("migrate", verbosity=0)
            self._keep_as_template()

    def _is_migrated(self) -> bool:
        template = _template("postgres" if self.postgres else "sqlite")
        if self.postgres is None and template and template.exists():
            shutil.copyfile(template, self.folder / "data/db.sqlite3")
        return template is not None and template.exists()

    def _keep_as_template(self) -> None:
        template = _template("postgres" if self.postgres else "sqlite")
        if template is None:
            return
        connections.close_all()
        template.parent.mkdir(parents=True, exist_ok=True)
        copy = template.with_name(f"{template.name}-{os.getpid()}")
        if self.postgres:
            connections["default"].close_pool()  # type: ignore[attr-defined]
            self.postgres.stop(cleanly=True)
            subprocess.run(["cp", "-a", self.postgres.folder / "data", copy], check=True)  # noqa: S603, S607
            self.postgres.start()
        else:
            shutil.copyfile(self.folder / "data/db.sqlite3", copy)
        with suppress(OSError):  # another experiment was faster
            copy.rename(template)


def _template(name: str) -> Path | None:
    """Return the path of a migrated database, which may not be there yet; migrations are part of its name."""
    folder = os.environ.get(TEMPLATES)
    digest = hashlib.sha256()
    for migration in sorted(Path(__file__).resolve().parents[1].glob("*/migrations/*.py")):
        digest.update(migration.read_bytes())
    return Path(folder) / f"{name}-{digest.hexdigest()[:12]}" if folder else None


@contextmanager
def built(
    options: argparse.Namespace,
    *,
    answers: Mapping[str, Any] | None = None,
    settings: Mapping[str, str] | None = None,
    broker: bool = False,
    postgres_settings: Mapping[str, str] | None = None,
) -> Iterator[Environment]:
    """Build an environment, and take it down afterwards.

    answers: the upstream's options. settings: on top of those that every experiment needs.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its servers are still taken down
    with ExitStack() as ends:
        folder = ends.enter_context(_folder(keep=options.keep))
        running = upstream.running(folder / "upstream.log", seed=options.seed, **(answers or {}))
        server = ends.enter_context(running)
        own = _settings(folder, server)
        postgres = redis = None
        if options.database == "postgresql":
            private = servers.postgres(postgres_settings, template=_template("postgres"))
            postgres = ends.enter_context(private)
            own["DATABASE_URL"] = postgres.url
        if broker:
            redis = ends.enter_context(servers.redis())
            own["CELERY_BROKER_URL"] = redis.url
        yield Environment(folder, server, postgres, redis, own | dict(settings or {}))


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="x-"))  # a short name, since a socket's path may have 108 bytes
    (folder / "data").mkdir()
    try:
        yield folder
    finally:
        if keep:
            sys.stdout.write(f"kept: {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)


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
