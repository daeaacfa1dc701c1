"""Back an instance up, destroy it and restore it, by the commands that docs/operating.md gives."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL

from chaos.operator import Operator
from chaos.servers import Postgres
from chaos.system import close_connections
from jobs.storage import spool

FOLDER = "backup"


@dataclass
class Backup:
    """A copy of the database, perhaps with the files as they were a moment later. name: of the copy."""

    operator: Operator
    name: str

    @property
    def is_postgres(self) -> bool:
        return self._server is not None

    def dump(self) -> None:
        """Copy the database while all runs."""
        self._folder.mkdir(exist_ok=True)
        if self.is_postgres:
            self.operator.shell(f'pg_dump -Fc -f {FOLDER}/{self.name}.dump "$DATABASE_URL"')
        else:
            self.operator.shell(f"sqlite3 data/db.sqlite3 \"VACUUM INTO '{FOLDER}/{self.name}.sqlite3'\"")

    def copy_files(self) -> None:
        """Copy the files, after the database; those in the spool come and go meanwhile."""
        self.operator.shell(f"cp -a data/files {FOLDER}/files", harmless=f"/{spool.NAME}/")

    def restore(self) -> None:
        """Restore the database into the place where there is none."""
        if self.is_postgres:
            self.operator.shell("createdb postgres")
            self.operator.shell(f'pg_restore --exit-on-error -d "$DATABASE_URL" {FOLDER}/{self.name}.dump')
        else:
            self.operator.shell(f"cp {FOLDER}/{self.name}.sqlite3 data/db.sqlite3")

    def restore_files(self) -> None:
        self.operator.shell(f"mkdir -p data && cp -a {FOLDER}/files data/files")

    @property
    def _folder(self) -> Path:
        return self.operator.system.environment.folder / FOLDER

    @property
    def _server(self) -> Postgres | None:
        return self.operator.system.environment.postgres


def lose_database(operator: Operator) -> None:
    """Delete the database with all that belongs to it; PostgreSQL is killed first."""
    close_connections()
    environment = operator.system.environment
    if environment.postgres:
        environment.postgres.kill()
        environment.postgres.start()
        template = environment.postgres.url.rpartition("/")[0] + "/template1"
        with psycopg.connect(template, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE postgres WITH (FORCE)"))
    else:
        for path in (environment.folder / "data").glob("db.sqlite3*"):
            path.unlink()


def lose_files(operator: Operator) -> None:
    shutil.rmtree(operator.system.environment.folder / "data")
