"""E3 on SQLite: all processes that use the file die at once, and then one keeps its lock."""

import argparse
import random
import sqlite3
import sys
import time

from django.conf import settings
from django.db import connection, connections

from chaos.child import Child
from chaos.database_load import Load, acknowledge_too_early, end_all, kill_all
from chaos.database_notes import lost_bookings, lost_uploads
from chaos.database_verdict import verdict
from chaos.site import Site
from chaos.stage import Stage, report

LIVES_SECONDS = (0.3, 2.5)
PATIENCE_SECONDS = 1
"""How long SQLite waits for its lock here: 20 s in the product, beside a lease of 60 s."""

LOCKED_SECONDS = 1.6
LOCKS = 3
SETTLES_WITHIN_SECONDS = 180
CONTROL_TRIES = 4


def run(stage: Stage, options: argparse.Namespace) -> int:
    began = time.monotonic()
    settings.DATABASES["default"]["OPTIONS"]["timeout"] = PATIENCE_SECONDS
    chance = random.Random(options.seed)  # noqa: S311 - it is to replay
    with Site(stage, seed=options.seed) as site:
        load = Load(site, f"main-{options.seed}")
        found = kills(load, chance, options.kills)
        killed = verdict(load)
        found += locks(load)
        seen = verdict(load)
        found += [*seen.failures, *lost_uploads(load.uploads), *lost_bookings(load.bookings)]
        lost = control(site)
    for failure in found:
        sys.stdout.write(f"{failure}\n")
    report(
        "E3 database",
        options,
        kills=options.kills,
        locks=LOCKS,
        **seen.facts(),
        doubted_by_locks=seen.doubted - killed.doubted,
        failures=len(found),
        control=lost,
        seconds=round(time.monotonic() - began),
    )
    return 0 if lost and not found else 1


def kills(load: Load, chance: random.Random, number: int) -> list[str]:
    """Uploads and workers all die, again and again; the last ones finish what there is."""
    found: list[str] = []
    for _ in range(number):
        children = load.workers() + load.uploaders()
        time.sleep(chance.uniform(*LIVES_SECONDS))
        kill_all(children)
        found += broken()
    workers = load.workers()
    load.site.settled(SETTLES_WITHIN_SECONDS)
    return found + end_all(workers)


def locks(load: Load) -> list[str]:
    """Somebody else writes for longer than anybody waits; then all goes on by itself."""
    workers, uploaders = load.workers(), load.uploaders()
    for _ in range(LOCKS):
        time.sleep(LOCKED_SECONDS)
        keep_locked(load.site).wait()
    found = end_all(uploaders)
    load.site.settled(SETTLES_WITHIN_SECONDS)
    return found + end_all(workers)


def keep_locked(site: Site) -> Child:
    """Another program, with a transaction that takes its time."""

    def work() -> None:
        other = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=60, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(LOCKED_SECONDS)
        other.execute("COMMIT")

    return site.fork(work)


def broken() -> list[str]:
    """What SQLite itself finds wrong with the file."""
    with connection.cursor() as cursor:
        said = [row[0] for row in cursor.execute("PRAGMA integrity_check").fetchall()]
    connections.close_all()
    return [f"the database is broken: {line}" for line in said if line != "ok"]


def control(site: Site) -> int:
    """How many uploads are lost that were acknowledged before their commit."""
    load = Load(site, "control")
    for _ in range(CONTROL_TRIES):
        uploaders = load.uploaders(how=acknowledge_too_early)
        load.uploads.wait()
        kill_all(uploaders)
    return len(list(lost_uploads(load.uploads)))
