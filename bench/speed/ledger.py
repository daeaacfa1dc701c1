"""``python -m bench.speed.ledger``: R7, compare hold + settle through our functions with raw SQL.

Eight clients use a PostgreSQL of their own, which syncs every commit to the disk. Both sides take turns on
the same tables: eight processes of ours (``bench.speed.ledger_client``), and pgbench with eight connections
(``bench/speed/ledger.sql``). Run it by hand on a quiet machine.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

import psycopg

from chaos.servers import Postgres, postgres, postgres_program

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_suffix(".sql")
CLIENTS = 8
SECONDS = 5
REPEATS = 5
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@dataclass(frozen=True)
class Books:
    """Measure pairs of hold and settle a second, on one team with credits or on one per client.

    environment: for our processes, to find the database. runs: numbers the runs, for their idempotency keys.
    """

    server: Postgres
    environment: dict[str, str]
    runs: Iterator[int] = field(default_factory=count)

    def ours(self, teams: int) -> float:
        run = next(self.runs)
        with ExitStack() as ending:
            clients = [ending.enter_context(self._client(run, n, teams)) for n in range(CLIENTS)]
            for client in clients:
                _read(client)
            for client in clients:
                _tell(client)
            return sum(int(_read(client)) for client in clients) / SECONDS

    def raw(self, teams: int) -> float:
        variables = {"run": next(self.runs), "number": 0, "teams": teams} | self._first_numbers()
        command = [postgres_program("pgbench"), "-n", "-f", str(SCRIPT), "-T", str(SECONDS)]
        command += [
            "-c",
            str(CLIENTS),
            "-j",
            "2",
            *(f"-D{name}={value}" for name, value in variables.items()),
        ]
        command += ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres", "postgres"]
        printed = _run(command)
        rate = re.search(r"^tps = ([\d.]+)", printed, re.MULTILINE)
        if rate is None:
            raise ValueError(printed)
        return float(rate.group(1))

    def _client(self, run: int, number: int, teams: int) -> "subprocess.Popen[str]":
        slug, keys = f"bench-{number % teams}", f"ours-{run}-{number}"
        command = [sys.executable, "-m", "bench.speed.ledger_client", slug, keys, str(SECONDS)]
        pipe = subprocess.PIPE
        return subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, env=self.environment, stdin=pipe, stdout=pipe, text=True
        )

    def _first_numbers(self) -> dict[str, int]:
        """Return the ids of the first team and its first account; the others' follow in a row."""
        query = (
            "SELECT min(team.id), min(account.id) FROM accounts_team team "
            "JOIN accounts_ledgeraccount account ON account.team_id = team.id WHERE slug = 'bench-0'"
        )
        with psycopg.connect(self.server.url) as connection:
            row = connection.execute(query).fetchone()
        return dict(zip(("first_team", "first_account"), row or (), strict=True))


@contextmanager
def books() -> Iterator[Books]:
    with postgres(DURABLE) as server, tempfile.TemporaryDirectory(prefix="bench") as folder:
        own = {"DATABASE_URL": server.url, "DATA_DIR": folder, "SECRET_KEY": "not a secret"}
        own["DJANGO_SETTINGS_MODULE"] = "pixian_web.settings"
        environment = os.environ | own
        manage = [sys.executable, "manage.py"]
        _run([*manage, "migrate", "--verbosity", "0"], environment)
        # The first team's grant makes the account that issues; the others' accounts follow in a row.
        for name in ("First", *(f"Bench {n}" for n in range(CLIENTS))):
            team = [name, "--owner", "bench@example.org", "--credits", "100000"]
            _run([*manage, "setup_team", *team], environment)
        yield Books(server, environment)


def main() -> None:
    with books() as sides:
        durability = ", ".join(f"{name} {value}" for name, value in DURABLE.items())
        sys.stdout.write(f"{CLIENTS} clients, {REPEATS} times {SECONDS} s a side, {durability}\n")
        for teams in (1, CLIENTS):
            ours, raw = [], []
            for _ in range(REPEATS):
                raw.append(sides.raw(teams))
                ours.append(sides.ours(teams))
            sys.stdout.write(f"{teams} {'team' if teams == 1 else 'teams'}\n")
            for name, rates in (("raw SQL", raw), ("ours", ours)):
                spread = f"{min(rates):.0f} to {max(rates):.0f}"
                sys.stdout.write(f"  {name:8} {median(rates):6.0f} pairs a second ({spread})\n")
            ratios = [mine / theirs for mine, theirs in zip(ours, raw, strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            sys.stdout.write(f"  ratio    {median(ours) / median(raw):6.2f} ({spread})\n")


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _read(client: "subprocess.Popen[str]") -> str:
    return client.stdout.readline() if client.stdout else ""


def _tell(client: "subprocess.Popen[str]") -> None:
    if client.stdin:
        client.stdin.write("go\n")
        client.stdin.flush()


if __name__ == "__main__":
    main()
