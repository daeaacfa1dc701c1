"""The operator of an instance: runs the commands that docs/operating.md names, and keeps the transcript.

``manage.py`` runs in a forked process that has imported Django, by the same command line. Everything else
runs in a shell, in the folder that holds ``data``.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import psycopg
from django.core.management import execute_from_command_line
from psycopg.sql import SQL

from accounts.models import User
from chaos.servers import postgres_program
from chaos.system import System, close_connections

COMMAND_ENDS_WITHIN_SECONDS = 120
TOKEN = re.compile(r'name="token" value="([^"]+)"')
EXPLAINS = re.compile(r'href="(/staff/reconciliation/purchases/[^"]*bought_at=[^"]*)"')
DUMP = {
    "sqlite": "sqlite3 data/db.sqlite3 \"VACUUM INTO 'backup/{name}.sqlite3'\"",
    "postgresql": 'pg_dump -Fc -f backup/{name}.dump "$DATABASE_URL"',
}
RESTORE = {
    "sqlite": ["cp backup/{name}.sqlite3 data/db.sqlite3"],
    "postgresql": ["createdb postgres", 'pg_restore --exit-on-error -d "$DATABASE_URL" backup/{name}.dump'],
}
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ +\[")


@dataclass
class Operator:
    """Runs commands for an instance. transcript: lines of Markdown. wrong: sentences about commands."""

    system: System
    transcript: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def begin(self, step: str) -> None:
        """Begin a step, which is a block of its own in the transcript."""
        end = ["```"] if self.transcript else []
        self.transcript += [*end, "", f"## {step}", "", "```text"]

    def note(self, text: str) -> None:
        self.transcript.append(f"# {self._clean(text)}")

    def says(self) -> str:
        """Return the transcript as Markdown."""
        return "\n".join([*self.transcript, "```", ""])

    def do(self, text: str, work: Callable[[], object]) -> None:
        """Do something that is no command, and note its seconds."""
        began = time.monotonic()
        work()
        self.note(f"{text} ({time.monotonic() - began:.1f} s)")

    def shell(self, command: str, harmless: str = "") -> None:
        """Run a command in the instance's folder; it may fail with errors that all have harmless words."""

        def work() -> None:
            os.chdir(self._folder)
            os.environ.update(self._postgres_environment())
            os.execlp("sh", "sh", "-c", command)  # noqa: S606, S607 - the very text of the manual

        code, output = self._run(command, work)
        if code and not (harmless and all(harmless in line for line in output.splitlines())):
            raise RuntimeError(f"{command}: {output}")

    def manage(self, *arguments: str, status: int | None = 0, shown: bool = True) -> str:
        """Run ``manage.py`` and return its output. status: the expected one, None for any."""
        command = " ".join(f'"{word}"' if " " in word else word for word in ("manage.py", *arguments))
        code, output = self._run(
            command, lambda: execute_from_command_line(["manage.py", *arguments]), shown=shown
        )
        if status is not None and code != status:
            self.wrong.append(f"{command} ended with {code}: {output[-1500:]}")
        return output

    def dump(self, name: str) -> None:
        """Copy the database while all runs."""
        (self._folder / "backup").mkdir(exist_ok=True)
        self.shell(DUMP[self._database].format(name=name))

    def restore(self, name: str) -> None:
        """Restore the database into the place where there is none."""
        for command in RESTORE[self._database]:
            self.shell(command.format(name=name))

    def lose_database(self) -> None:
        """Delete the database with all that belongs to it; PostgreSQL is killed first."""
        close_connections()
        if postgres := self.system.environment.postgres:
            postgres.kill()
            postgres.start()
            template = postgres.url.rpartition("/")[0] + "/template1"
            with psycopg.connect(template, autocommit=True) as connection:
                connection.execute(SQL("DROP DATABASE postgres WITH (FORCE)"))
        else:
            for path in (self._folder / "data").glob("db.sqlite3*"):
                path.unlink()

    def enter_difference(self, staff: User, period: int) -> None:
        """Enter what explains a period's difference, by the link that its page has for it."""
        began = time.monotonic()
        with self.system.browser(staff) as http:
            link = EXPLAINS.search(http.get(f"/staff/reconciliation/{period}/").text)
            if link is None:
                self.wrong.append(f"period {period} has no link to enter what explains it")
                return
            address = unescape(link[1])
            token = TOKEN.search(http.get(address).text)
            form = dict(parse_qsl(urlsplit(address).query))
            form |= {"token": token[1] if token else "", "note": "charged since the backup, by the balance"}
            answer = http.post(address, data=form)
        seconds = time.monotonic() - began
        self.note(
            f"Enter what explains it, on the period's page: {form['credits']} credits ({seconds:.1f} s)"
        )
        if not answer.is_redirect:
            self.wrong.append(f"the purchase was answered {answer.status_code}")

    @property
    def _database(self) -> str:
        return "postgresql" if self.system.environment.postgres else "sqlite"

    @property
    def _folder(self) -> Path:
        return self.system.environment.folder

    def _postgres_environment(self) -> dict[str, str]:
        """Return where PostgreSQL's programs are, and its server."""
        if (server := self.system.environment.postgres) is None:
            return {}
        programs, path = Path(postgres_program("pg_dump")).parent, os.environ["PATH"]
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "PATH": f"{programs}:{path}" if programs.is_absolute() else path,
        }

    def _run(self, command: str, work: Callable[[], object], *, shown: bool = True) -> tuple[int | None, str]:
        """Do the work in a process of its own, and note it as this command; return its status and output."""
        file, began = self._folder / "output", time.monotonic()
        file.write_bytes(b"")

        def redirected() -> None:
            descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            work()

        code = self.system.fork(redirected).wait(COMMAND_ENDS_WITHIN_SECONDS)
        output, status = file.read_text(), f", status {code}" if code else ""
        self.transcript.append(f"$ {self._clean(command)}    # {time.monotonic() - began:.1f} s{status}")
        if shown:
            lines = self._clean(output).strip("\n").splitlines()
            self.transcript += [line.rstrip() for line in lines if not LOG_LINE.match(line)]
        return code, output

    def _clean(self, text: str) -> str:
        for own, public in (
            (f"{self._folder}/", ""),
            (self.system.upstream.url, "https://upstream.example"),
            (self.system.address, "http://localhost:8000"),
        ):
            text = text.replace(own, public)
        return re.sub(r"(/in/\d+/)\S+", r"\1…", text)
