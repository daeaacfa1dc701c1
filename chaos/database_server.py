"""E3 on PostgreSQL: its postmaster dies again and again, and connections are cut."""

import argparse
import random
import sys
import time
from dataclasses import dataclass, field

import psycopg
from django.db import connections

from chaos.database_load import Load, end_all
from chaos.database_notes import lost_bookings, lost_uploads
from chaos.database_verdict import Verdict, verdict
from chaos.servers import Postgres
from chaos.site import Site
from chaos.stage import Stage, report

CUTS_PER_KILL = 3
AWAY_SECONDS = (0.2, 2.0)
BETWEEN_SECONDS = (0.2, 1.5)
SETTLES_WITHIN_SECONDS = 180
UNCONFIRMED = 0.02
CONTROL_TRIES = 5
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < %s
"""


@dataclass
class Harm:
    """What was done to the server. in_flight: calls at each kill; cut: connections terminated."""

    server: Postgres
    chance: random.Random
    in_flight: list[int] = field(default_factory=list)
    cut: int = 0

    def kill(self, calls: int) -> None:
        self.in_flight.append(calls)
        self.server.kill()
        time.sleep(self.chance.uniform(*AWAY_SECONDS))
        self.server.start()

    def cut_some(self) -> None:
        """Each connection by a chance of its own."""
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            self.cut += len(connection.execute(CUT, [self.chance.random()]).fetchall())


def run(stage: Stage, options: argparse.Namespace) -> int:
    began = time.monotonic()
    chance = random.Random(options.seed)  # noqa: S311 - it is to replay
    if stage.postgres is None:
        raise RuntimeError("there is no PostgreSQL on this stage")
    harm = Harm(stage.postgres, chance)
    with Site(stage, seed=options.seed) as site:
        load = Load(site, f"main-{options.seed}", unconfirmed=UNCONFIRMED)
        found, seen = suffer(load, harm, options.kills)
        lost = control(site, stage.postgres)
    for failure in found:
        sys.stdout.write(f"{failure}\n")
    report(
        "E3 database",
        options,
        kills=options.kills,
        cut=harm.cut,
        in_flight=" ".join(map(str, harm.in_flight)) or "-",
        **seen.facts(),
        failures=len(found),
        control=lost,
        seconds=round(time.monotonic() - began),
    )
    return 0 if lost and not found else 1


def suffer(load: Load, harm: Harm, kills: int) -> tuple[list[str], Verdict]:
    """The load under all that harm, and what is wrong when it has settled by itself."""
    workers, uploaders = load.workers(), load.uploaders()
    for _ in range(kills):
        for _ in range(CUTS_PER_KILL):
            time.sleep(harm.chance.uniform(*BETWEEN_SECONDS))
            harm.cut_some()
        time.sleep(harm.chance.uniform(*BETWEEN_SECONDS))
        harm.kill(load.site.upstream.status()["in_flight"])
    found = end_all(uploaders)
    load.site.settled(SETTLES_WITHIN_SECONDS)
    found += end_all(workers)
    seen = verdict(load)
    return [*found, *seen.failures, *lost_uploads(load.uploads), *lost_bookings(load.bookings)], seen


def control(site: Site, server: Postgres) -> int:
    """How many acknowledged uploads are lost when a commit doesn't wait for the disk. It writes what it
    owes some 200 ms later, so the server is killed as soon as something was acknowledged."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER ROLE postgres SET synchronous_commit TO off")
    load = Load(site, "control")
    uploaders = load.uploaders()
    for _ in range(CONTROL_TRIES):
        load.uploads.wait()
        server.kill()
        server.start()
    end_all(uploaders)
    connections.close_all()
    return len(list(lost_uploads(load.uploads)))
