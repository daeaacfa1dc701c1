"""The operator of an instance: runs the commands that docs/operating.md names, and keeps the transcript.

``manage.py`` runs in a forked process that has imported Django, by the same command line. Everything else
runs in a shell, in the folder that holds ``data``.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from django.core.management import execute_from_command_line

from accounts.models import User
from chaos.servers import postgres_program
from chaos.system import System

COMMAND_ENDS_WITHIN_SECONDS = 120
TOKEN = re.compile(r'name="token" value="([^"]+)"')
EXPLAINS = re.compile(r'href="(/staff/reconciliation/purchases/[^"]*bought_at=[^"]*)"')
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ +\[")

Result = TypeVar("Result")


class CommandFailedError(Exception):
    """A command of the procedure ended with another status than it should."""


@dataclass
class Operator:
    """Runs commands for an instance. transcript: lines of Markdown, without the machine's paths.

    wrong: what a command's status or output says that it shouldn't.
    """

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

    def do(self, text: str, work: Callable[[], Result]) -> Result:
        """Do something that is no command, and note its seconds."""
        began = time.monotonic()
        result = work()
        self.note(f"{text} ({time.monotonic() - began:.1f} s)")
        return result

    def shell(self, command: str, harmless: str = "") -> str:
        """Run a command in the instance's folder; raise CommandFailedError if it fails.

        harmless: words in each of its errors that don't make it fail.
        """
        began = time.monotonic()
        done = subprocess.run(  # noqa: S602 - the very text of the manual
            command,
            shell=True,
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        self._show(command, done.returncode, done.stdout + done.stderr, began)
        if done.returncode and not (harmless and all(harmless in line for line in done.stderr.splitlines())):
            raise CommandFailedError(f"{command}: {done.stderr}")
        return done.stdout

    def manage(self, *arguments: str, status: int | None = 0, shown: bool = True) -> str:
        """Run ``manage.py`` and return its output. status: the expected one, None for any."""
        output = self._folder / "output"
        output.unlink(missing_ok=True)

        def work() -> None:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            execute_from_command_line(["manage.py", *arguments])

        began = time.monotonic()
        code = self.system.fork(work).wait(COMMAND_ENDS_WITHIN_SECONDS)
        text = output.read_text()
        words = " ".join(f'"{word}"' if " " in word else word for word in arguments)
        self._show(f"manage.py {words}", code, text if shown else "", began)
        if status is not None and code != status:
            self.wrong.append(f"manage.py {words} ended with {code}: {text[-1500:]}")
        return text

    def enter_difference(self, staff: User, period: int) -> None:
        """Enter what explains a period's difference, by the link that its page has for it."""
        began = time.monotonic()
        with self.system.browser(staff) as http:
            page = http.get(f"/staff/reconciliation/{period}/").text
            link = EXPLAINS.search(page)
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
    def _folder(self) -> Path:
        return self.system.environment.folder

    def _environment(self) -> dict[str, str]:
        """Return the environment of a shell: PostgreSQL's programs, and where its server is."""
        own = dict(os.environ)
        if server := self.system.environment.postgres:
            programs = Path(postgres_program("pg_dump")).parent
            own |= {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
            own["PATH"] = f"{programs}:{own['PATH']}" if programs.is_absolute() else own["PATH"]
        return own

    def _show(self, command: str, code: int | None, output: str, began: float) -> None:
        status = f", status {code}" if code else ""
        seconds = time.monotonic() - began
        self.transcript.append(f"$ {self._clean(command)}    # {seconds:.1f} s{status}")
        lines = self._clean(output).strip("\n").splitlines()
        self.transcript += [line.rstrip() for line in lines if not LOG_LINE.match(line)]

    def _clean(self, text: str) -> str:
        text = text.replace(f"{self._folder}/", "").replace(
            self.system.upstream.url, "https://upstream.example"
        )
        text = text.replace(self.system.address, "http://localhost:8000")
        return re.sub(r"(/in/\d+/)\S+", r"\1…", text)
